"""Rewords pydantic's errors about a recipe like our other messages: the field, its value, what was expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from xtc_study.canonical import plain
from xtc_study.nearest import did_you_mean

PLAIN_WORDS = {
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "finite_number": "expected a finite number",
    "literal_error": "expected {expected}",
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing", "int_parsing_size"), "expected a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "expected a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "expected true or false"),
    "string_type": "expected text",
}
"""Messages by pydantic's type of error."""
NOT_TEXT = "expected a number, not text"


def readable(item: Any, fields: Mapping[str, Any]) -> str:
    """Word one of pydantic's errors as one line: the field, its value and what was expected.

    Args:
        item: an entry of ``ValidationError.errors()``.
        fields: the values that were given for the recipe.
    """
    field = str(item["loc"][0]) if item["loc"] else "recipe"
    message: str = item["msg"].removeprefix("Value error, ")

    if item["type"] in PLAIN_WORDS:
        message = PLAIN_WORDS[item["type"]].format(**plain(item.get("ctx", {})))
    if item["type"] == "literal_error" and isinstance(fields.get(field), str):
        message += did_you_mean(fields[field], re.findall(r"'([^']*)'", message))

    # These fields accept several kinds of values, of which pydantic names one at a time.
    if field in ("layers", "teacher_layers") and (item["type"] != "value_error" or message == NOT_TEXT):
        of = "teacher" if field == "layers" else "encoder"
        message = (
            f"expected a count of at least 1, a share such as 1/2, a list of {of} layers (from 0), or null for all"
        )
    if field == "ffn" and item["type"] != "value_error":
        message = "expected a share such as 1/2, or null for all units"
    if field == "holdout" and item["type"] != "value_error":
        message = "expected a share such as 1/5, or null for a run that is not a trial"

    if not item["loc"]:
        return message
    return f"{field}: is required" if item["type"] == "missing" else f"{field}={fields.get(field)!r}: {message}"
