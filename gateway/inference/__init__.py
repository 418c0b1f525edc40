"""Shelves of models, checked before anything else starts, and the runner that scores windows in micro-batches."""
