"""Tasks, from text to batches of tensors: the eight GLUE tasks, five generated tasks and your own data."""
