"""Tokenizers: vocabularies, their training and what they are kept in."""
