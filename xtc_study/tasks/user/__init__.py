"""Data sets of your own: a YAML description, its files checked row by row, and the task they make."""
