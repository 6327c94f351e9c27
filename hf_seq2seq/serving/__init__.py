"""Answers requests: one engine for all models, and HTTP before it."""
