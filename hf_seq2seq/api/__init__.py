"""What the command line does, for Python: load, train, evaluate and preview."""
