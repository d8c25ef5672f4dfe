"""A table of static token vectors in place of an encoder: its model, its vectors and its head."""
