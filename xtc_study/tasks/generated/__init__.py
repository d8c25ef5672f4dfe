"""The five generated tasks: small, always the same, learnable from scratch in seconds on one core."""
