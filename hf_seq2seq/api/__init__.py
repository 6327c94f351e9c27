"""The Python API: load, train, evaluate and preview."""
