"""Reports on models: one pass over a test set, and the page and files made from it."""
