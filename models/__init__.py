"""Shelves of models, one folder a domain, and the training that fills them. The gateway reads the files only."""
