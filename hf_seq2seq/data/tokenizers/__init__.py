"""Tokenizers: vocabularies, training and caching."""
