"""Sequence-to-sequence learning on Hugging Face: one command from text pairs to a model that others can load."""

__version__ = "0.1.0"
