"""The command line: one module per command; nothing here imports torch before a command runs."""
