"""Scoring of models and files, and comparison of systems."""
