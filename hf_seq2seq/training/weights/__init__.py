"""The weights of a run: precision, and sharding over processes."""
