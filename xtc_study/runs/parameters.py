"""Reads and checks the parameters of a notebook with ast: papermill itself accepts typos and changes types."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xtc_study.nearest import did_you_mean

INJECTED = "# Parameters"
"""First line of the cell that papermill inserts below the parameters cell."""


class ParameterError(ValueError):
    """A notebook without a parameters cell, or a parameter it does not have."""


def read_parameters(notebook: Path) -> dict[str, Any]:
    """Return the name and default of each parameter: the literal assignments of the cell tagged ``parameters``.

    Raises:
        ParameterError: no such notebook or cell, or a default that is not a plain literal.
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
        raise ParameterError(f"{notebook}: the parameters cell is not valid Python ({error})") from None

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
    """Check the values of parameters and return them as plain JSON types, ready for papermill.

    Raises:
        ParameterError: a name the notebook does not have, or a value JSON cannot hold.
    """
    known = read_parameters(notebook)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ParameterError(f"{notebook.name}: {_unknown(unknown, known)}")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{notebook.name}: a parameter is not a plain value: {error}") from None
    return plain


def check_injected(names: Mapping[str, Any]) -> None:
    """Check that papermill set only parameters of this notebook. Call it before anything is computed.

    papermill only warns of a mistyped parameter and keeps the default. IPython keeps the source of every executed cell
    (``In``): a name that the injected cell sets, and no earlier cell, is not a parameter.

    Args:
        names: the notebook's ``globals()``.

    Raises:
        ParameterError: a parameter the notebook does not have.
    """
    cells: list[str] = list(names.get("In", ()))
    injected = [index for index, source in enumerate(cells) if source.startswith(INJECTED)]
    if not injected:
        return
    last = injected[-1]  # a user may have corrected the cell and rerun it
    known = _assigned([source for source in cells[:last] if not source.startswith(INJECTED)])
    unknown = [name for name in _assigned([cells[last]]) if name not in known]
    if unknown:
        raise ParameterError(_unknown(unknown, known))


def _unknown(unknown: Sequence[str], known: Sequence[str] | Mapping[str, Any]) -> str:
    near = "".join(did_you_mean(name, known) for name in unknown)
    return f"unknown parameter {', '.join(unknown)}; the notebook has {', '.join(known)}{near}"


def _assigned(cells: Sequence[str]) -> list[str]:
    """Return the names that cells set by ``name = value`` at top level, each once."""
    names: dict[str, None] = {}
    for source in cells:
        try:
            body = ast.parse(source).body
        except SyntaxError:  # a cell that failed, or one in another language
            continue
        for node in body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names |= dict.fromkeys(target.id for target in targets if isinstance(target, ast.Name))
    return list(names)
