"""A saved model: where it is, what its folder holds, and how it is loaded."""
