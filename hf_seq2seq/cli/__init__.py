"""The command line: one module a command; nothing here imports torch before a command runs."""
