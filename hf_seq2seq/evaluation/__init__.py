"""Scoring of models and of files, and comparison of systems."""
