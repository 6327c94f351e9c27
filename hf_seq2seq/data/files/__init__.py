"""Readers: a file a form."""
