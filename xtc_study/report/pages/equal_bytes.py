"""Write the page of equal bytes beside the studies' pages, as HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from xtc_study.atomic import publish_file
from xtc_study.report.equal_bytes import NAME, TITLE, EqualBytes


def write_equal_bytes(
    folder: Path, equal: EqualBytes, environment: Environment, common: Mapping[str, Any], ending: str
) -> str:
    """Write the page and its figure, and return the page's address from the index; empty if no run is done.

    Args:
        folder: of the report.
        equal: the page's parts.
        environment: of the templates.
        common: what all templates of the report get.
        ending: of the file: ``html`` or ``md``.

    Raises:
        OSError: the folder cannot be written.
    """
    if not equal:
        return ""
    if not equal.figure.missing:
        publish_file(folder / f"{equal.figure.name}.svg", equal.figure.file)
    text = environment.get_template(f"equal_bytes.{ending}.j2").render(equal=equal, heading=TITLE, **common)
    return publish_file(folder / f"{NAME}.{ending}", text).name
