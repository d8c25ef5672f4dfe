"""Canonical JSON (equal values give equal text) and its hash, which name runs, steps and some files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(values: Mapping[str, Any]) -> str:
    """Write values as JSON with sorted keys, no spaces, and whole floats as integers."""
    return json.dumps(plain(values), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(values: Mapping[str, Any]) -> str:
    """Return the first 10 hex digits of the sha256 of the canonical JSON."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:10]


def plain(value: Any) -> Any:
    """Turn tuples into lists and whole floats into integers, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
