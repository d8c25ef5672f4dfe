"""Text in, batches out: the eight GLUE tasks, five generated tasks, and how they become tensors."""
