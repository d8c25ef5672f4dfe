"""The five generated tasks: small, deterministic, and learnable from scratch in seconds on one core."""
