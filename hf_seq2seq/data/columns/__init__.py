"""Detection of the columns of a task, by name or by content."""
