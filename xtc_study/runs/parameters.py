"""The parameters cell of a notebook, read with ast: papermill itself lets typos pass and changes types."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ParameterError(ValueError):
    """A notebook without a parameters cell, or a parameter it does not have."""


def read_parameters(notebook: Path) -> dict[str, Any]:
    """Name and default of each parameter: the literal assignments of the cell tagged ``parameters``.

    Raises:
        ParameterError: no such notebook or cell, or a default that is no plain literal.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParameterError(f"{notebook}: not a readable notebook ({error})") from None
    if len(tagged) != 1:
        raise ParameterError(f"{notebook}: expected one cell tagged 'parameters', found {len(tagged)}")
    source = "".join(tagged[0]["source"])
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"{notebook}: the parameters cell is no Python ({error})") from None
    parameters = {}
    for node in body:
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        target, value = targets[0], node.value
        if isinstance(node, ast.AugAssign) or len(targets) != 1 or not isinstance(target, ast.Name):
            raise ParameterError(f"{notebook}: line {node.lineno} of the parameters cell must be 'name = literal'")
        if value is None:
            continue
        try:
            parameters[target.id] = ast.literal_eval(value)
        except (ValueError, TypeError):
            raise ParameterError(f"{notebook}: parameter {target.id} must be a plain literal") from None
    return parameters


def checked_parameters(notebook: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as plain JSON types, ready for papermill.

    Raises:
        ParameterError: a name the notebook does not have, or a value JSON cannot hold.
    """
    known = read_parameters(notebook)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ParameterError(f"{notebook.name}: unknown parameter {', '.join(unknown)}; it has {', '.join(known)}")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{notebook.name}: a parameter is no plain value: {error}") from None
    return plain
