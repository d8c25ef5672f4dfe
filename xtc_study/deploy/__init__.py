"""Trained model in, small file out: bit packing and the checkpoint that loads again."""
