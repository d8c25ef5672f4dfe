"""Link reports in sibling folders, for instance reports/mini and reports/mini-cola: each index links the others."""

from __future__ import annotations

import re
from html import escape, unescape
from pathlib import Path
from urllib.parse import quote

from xtc_study.atomic import publish_file

_HEAD = 4000
"""Characters at the start of a page that contain its title."""
_TITLE = re.compile(r"<title>XTC Study, ([^<]*)</title>")
_START, _END = "<!-- reports beside this one -->", "<!-- end of the reports beside this one -->"
_BETWEEN = re.compile(f"{re.escape(_START)}.*?{re.escape(_END)}", re.DOTALL)


def reports_beside(folder: Path) -> list[tuple[str, str]]:
    """Return the title of each sibling report (``mini profile: cola``) and its address from this report's index."""
    return [(title, f"../{quote(path.parent.name)}/index.html") for path, title in _indexes(folder)]


def links_beside(folder: Path) -> str:
    """Return the links to sibling reports as HTML between two comments, by which ``link_back`` finds them.

    Without siblings only the comments are returned.
    """
    links = "".join(f'\n  <li><a href="{escape(at)}">{escape(title)}</a></li>' for title, at in reports_beside(folder))
    if links:
        links = f'\n<nav class="beside" aria-label="Other reports">\n<ul>{links}\n</ul>\n</nav>\n'
    return f"{_START}{links}{_END}"


def link_back(folder: Path) -> None:
    """Update the links in the sibling indexes after this report was written or got another title.

    An index without the two comments, or one that cannot be written, is left alone.
    """
    for path, _ in _indexes(folder):
        try:
            text = path.read_text("utf-8")
            linked = _BETWEEN.sub(lambda _, beside=path.parent: links_beside(beside), text, count=1)  # type: ignore[misc]
            if linked != text:
                publish_file(path, linked)
        except (OSError, UnicodeDecodeError):
            continue


def _indexes(folder: Path) -> list[tuple[Path, str]]:
    indexes = []
    here = folder.resolve()
    for path in sorted(here.parent.glob("*/index.html")):
        if path.parent == here or path.is_symlink() or path.parent.is_symlink():
            continue
        try:
            with path.open(encoding="utf-8") as file:
                title = _TITLE.search(file.read(_HEAD))
        except (OSError, UnicodeDecodeError):
            continue
        if title:
            indexes.append((path, unescape(title[1])))
    return indexes
