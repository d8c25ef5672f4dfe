"""Names in a model folder: its files, and our format in its configuration."""

from __future__ import annotations

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
METHOD = "xtc"
"""``quant_method`` in the configuration of a packed folder."""
