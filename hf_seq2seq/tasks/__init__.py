"""Builders of tasks: they read and encode what a recipe's configuration selects, and combine it with a model."""
