"""Finding the columns of a task by convention or by looking."""
