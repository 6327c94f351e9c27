"""Saved models: finding them, their files, and loading."""
