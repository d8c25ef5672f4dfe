"""What a model's folder holds: the names of its files, and the name of our format in its configuration."""

from __future__ import annotations

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
METHOD = "xtc"
"""``quant_method`` in the configuration of a packed folder."""
