"""Executed notebooks as pages of the report, through nbconvert and our own template. Unchanged ones are left alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from xtc_study._version import __version__
from xtc_study.atomic import publish_file
from xtc_study.report.pages.sanitise import aligned, safe_html, safe_svg
from xtc_study.report.pages.script import CSP

TEMPLATES = Path(__file__).parents[1] / "templates"
MANY = 48
"""More pages than this are made by several processes; a page takes about a tenth of a second."""
LONGEST_TEXT, MOST_OUTPUT = 20_000, 1_500_000
"""Characters shown of one printed text; of all outputs of a page, which must stay below 2 MB."""
SHOWN_KINDS = ("image/svg+xml", "image/png", "image/jpeg", "text/html", "text/markdown", "text/plain")
"""Of an output the first of these is shown, in the template's order."""
PRIVATE = ("claim", "results_dir")
"""Parameters that say where a run was, not what it was."""
PLACES = ("data_dir", "models_dir", "synonyms", "task_files")
"""Of these only the last part of the path is shown."""
_PART_OF_THE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class NotebookPage:
    """What a page shows around its notebook. Plain text; escaped when written."""

    title: str
    studies: tuple[tuple[str, str], ...] = ()
    """Title and address, from this page, of each study it belongs to."""
    state: str = ""
    error: str = ""
    command: str = ""
    root: str = "../"
    """From this page to the index."""


def write_notebook_pages(folder: Path, notebooks: Mapping[Path, NotebookPage]) -> dict[str, Path]:
    """Write ``folder/<name>.html`` for each executed notebook that can be read, and return the pages by title.

    A page that was made of the same notebook, in the same words, by the same template is not made again.

    Args:
        notebooks: by path of the executed notebook. The page is named after its title.

    Raises:
        OSError: the folder cannot be written.
    """
    written, to_make = {}, []
    for path, page in notebooks.items():
        if not _PART_OF_THE_ID.fullmatch(page.title):
            continue  # no id may lead out of the folder
        try:
            digest = _digest(path.read_bytes(), page, folder)
        except OSError:
            continue
        target = folder / f"{page.title}.html"
        if _made_of(target) == digest:
            written[page.title] = target
        else:
            to_make.append((path, page, digest, target))
    with ExitStack() as stack:
        if len(to_make) > MANY:
            made = stack.enter_context(ProcessPoolExecutor()).map(_make, to_make, chunksize=8)
        else:
            made = map(_make, to_make)
        for (_, page, _, target), done in zip(to_make, made, strict=True):
            if done:
                written[page.title] = target
    return written


def _make(job: tuple[Path, NotebookPage, str, Path]) -> bool:
    """Writes one page; False where the notebook cannot be read."""
    path, page, digest, target = job
    try:
        html = _convert(path, page, digest, target.parent)
    except Exception:
        # Cut short, or almost a notebook, in whatever way: a run's page is no reason to go without a report.
        return False
    publish_file(target, html)
    return True


def _convert(path: Path, page: NotebookPage, digest: str, folder: Path) -> str:
    import nbformat
    from nbconvert.exporters import TemplateExporter

    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    _keep_small(notebook)
    papermill = notebook.metadata.get("papermill", {})
    seconds = papermill.get("duration")
    made = f"Executed {str(papermill.get('start_time') or 'by hand')[:16].replace('T', ' ')}"
    made += f" with papermill {papermill['version']}" if papermill.get("version") else ""
    made += f" in {seconds:.0f} s" if isinstance(seconds, int | float) else ""
    around = {
        **asdict(page),
        "digest": digest,
        "csp": CSP,
        "css": (TEMPLATES / "page.css").read_text("utf-8"),
        "parameters": _parameters(papermill.get("parameters") or {}),
        "notebook": quote(Path(os.path.relpath(path, folder)).as_posix()),
        "made": f"{made}. Page made by XTC Study {__version__}.",
    }
    # HTMLExporter's own method parses the finished page once more to add roles and alt texts, which ours has already;
    # that took most of the time.
    html, _ = TemplateExporter.from_notebook_node(_exporter(), notebook, resources={"xtc": around})
    return str(html)


@cache
def _exporter() -> Any:
    from nbconvert import HTMLExporter
    from nbconvert.filters import Highlight2HTML

    exporter = HTMLExporter(
        template_name="notebook", extra_template_basedirs=[str(TEMPLATES)], exclude_anchor_links=True
    )
    exporter.register_filter("highlight_code", Highlight2HTML(pygments_lexer="python3", parent=exporter))
    exporter.register_filter("safe_html", safe_html)
    exporter.register_filter("aligned", aligned)
    exporter.register_filter("safe_svg", safe_svg)
    exporter.register_filter("description", _description)
    return exporter


def _keep_small(notebook: Any) -> None:
    """Long text is cut, and what would make the page larger than a browser likes is left out; both are said."""
    left = MOST_OUTPUT
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text" in output:
                output["text"] = _cut(output["text"])
            if "traceback" in output:
                output["traceback"] = [_cut(line) for line in output["traceback"]]
            data = output.get("data", {})
            if "text/plain" in data:
                data["text/plain"] = _cut(data["text/plain"])
            shown = next((data[kind] for kind in SHOWN_KINDS if kind in data), "")
            size = len(shown) + len(output.get("text", "")) + sum(map(len, output.get("traceback", [])))
            if size > left:
                note = f"An output of {size:,} characters is left out here; it is in the executed notebook."
                output.clear()
                output.update(output_type="stream", name="stderr", text=note)
            else:
                left -= size


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}\n... {len(text) - LONGEST_TEXT:,} more characters are in the executed notebook."


def _description(output: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, str]:
    """A figure's description in its metadata: alt and caption, from the output, else from the cell."""
    stored: dict[str, str] = {}
    for source in (cell.get("metadata", {}), *output.get("metadata", {}).values()):
        if isinstance(source, Mapping):
            stored |= {key: str(source[key]) for key in ("alt", "caption") if source.get(key)}
    text = str(output.get("data", {}).get("text/plain", ""))
    alt = stored.get("alt") or ("A figure without a description" if text.startswith("<") or not text else text)
    return {"alt": alt, "caption": stored.get("caption", ""), "name": alt}


def _parameters(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    shown = []
    for name, value in values.items():
        if name in PRIVATE:
            continue
        text = str(value)
        if name in PLACES:
            text = ", ".join(Path(str(path)).name for path in (value if isinstance(value, list) else [value]) if path)
        shown.append((str(name), text or "not set"))
    return shown


def _digest(content: bytes, page: NotebookPage, folder: Path) -> str:
    found = hashlib.sha256(_template())
    found.update(json.dumps([asdict(page), folder.name]).encode())
    found.update(content)
    return found.hexdigest()


@cache
def _template() -> bytes:
    """All that decides how a notebook looks as a page."""
    files = [TEMPLATES / "notebook" / "index.html.j2", TEMPLATES / "page.css", Path(__file__)]
    files.append(Path(__file__).with_name("sanitise.py"))
    return __version__.encode() + b"".join(file.read_bytes() for file in files)


def _made_of(page: Path) -> str:
    """The digest of what a page was made of, as it is written in the page; empty if there is none."""
    try:
        with page.open("rb") as file:
            head = file.read(400)
    except OSError:
        return ""
    found = re.search(rb'<meta name="xtc-source" content="([0-9a-f]{64})">', head)
    return found[1].decode() if found else ""
