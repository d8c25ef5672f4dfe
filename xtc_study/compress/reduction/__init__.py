"""Reduction: fewer layers, narrower feed-forward parts, fewer rows of the word table."""
