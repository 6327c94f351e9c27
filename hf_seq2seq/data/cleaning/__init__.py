"""Cleaning of pairs: rules, and what applies them to a stream of rows."""
