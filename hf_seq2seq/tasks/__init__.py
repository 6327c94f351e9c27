"""Builders of tasks: what a recipe's configuration asks for, read, encoded and joined with a model."""
