"""The command: argument parsing and composition of the other rooms."""
