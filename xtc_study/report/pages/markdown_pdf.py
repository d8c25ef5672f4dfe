"""Write the report in other formats: Markdown with pandas and tabulate; PDF printed by a headless Chromium."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from xtc_study._version import __version__
from xtc_study.analysis.claims import RULE
from xtc_study.atomic import publish_file
from xtc_study.nearest import did_you_mean
from xtc_study.report.equal_bytes import NAME, TITLE, EqualBytes
from xtc_study.report.pages.equal_bytes import write_equal_bytes
from xtc_study.report.pages.html import citation, earlier_pages, shown_states
from xtc_study.report.scope import scope_together
from xtc_study.report.study import StudyPage, with_done_runs
from xtc_study.report.summary import cards, pareto_figure, runs_by_state, sharing
from xtc_study.report.tables import PageTable

FORMATS = ("html", "md", "pdf")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
BROWSER_VARIABLE = "XTC_BROWSER"
"""Environment variable with the path of the Chromium or Chrome to print with."""
_TEMPLATES = Path(__file__).parents[1] / "templates"
_SECONDS_A_PAGE = 120
_SCRIPT = re.compile(r'<script type="module">.*</script>', re.DOTALL)
_LINK_TO_A_FILE = re.compile(r'(<a [^>]*?)href="(?!#|https?:)[^"]*"')


class FormatError(ValueError):
    """The format is unknown, or this machine cannot produce it."""


def check_format(name: str) -> str:
    """Return the browser that the format needs, empty if none. To be called before anything is computed.

    Raises:
        FormatError: an unknown format, or PDF on a machine without Chromium.
    """
    if name not in FORMATS:
        raise FormatError(f"--format {name}: expected one of {', '.join(FORMATS)}{did_you_mean(name, FORMATS)}")
    return find_browser() if name == "pdf" else ""


def find_browser() -> str:
    """Return the path of an installed Chromium or Chrome.

    Raises:
        FormatError: none is installed.
    """
    chosen = os.environ.get(BROWSER_VARIABLE)
    for name in (chosen,) if chosen else BROWSERS:
        path = shutil.which(name)
        if path:
            return path
    missing = (
        f"{BROWSER_VARIABLE}={chosen}: no such program" if chosen else f"none of {', '.join(BROWSERS)} is installed"
    )
    raise FormatError(f"--format pdf needs Chromium or Chrome: {missing}. Install one, or set {BROWSER_VARIABLE}.")


def write_format(
    name: str,
    index: Path,
    studies: Sequence[StudyPage],
    browser: str = "",
    profile: str = "",
    published: bool = False,
) -> Path:
    """Write the report in this format beside its HTML, and return the path of its index.

    Args:
        name: html, md or pdf.
        index: the index of the HTML report.
        studies: as for ``pages.html.write_report``, which wrote the HTML.
        browser: what ``check_format`` returned.
        profile: the profile's name in headings; empty: the folder's name.
        published: as for ``pages.html.write_report``.

    Raises:
        FormatError: the browser did not print a page.
    """
    if published:
        studies = with_done_runs(studies)
    if name == "md":
        return write_markdown(index.parent, studies, profile, published)
    if name == "pdf":
        for study in studies:
            print_pdf(index.with_name(study.href), browser)
        equal_bytes = index.with_name(f"{NAME}.html")
        if equal_bytes.is_file():
            print_pdf(equal_bytes, browser)
        return print_pdf(index, browser)
    return index


def write_markdown(folder: Path, studies: Sequence[StudyPage], profile: str = "", published: bool = False) -> Path:
    """Write ``index.md`` and one ``study-<name>.md`` per study, with links to the report's SVG figures.

    Args:
        folder: the folder of the HTML report.
        studies: as for ``pages.html.write_report``.
        profile: the profile's name in headings; empty: the folder's name.
        published: as for ``pages.html.write_report``.
    """
    if published:
        studies = with_done_runs(studies)

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"md": escaped}
    environment.globals |= {"table": markdown_table, "fenced": _fenced}
    common: dict[str, Any] = {
        "profile": profile or folder.name,
        "states": shown_states(published),
        "version": __version__,
        "citation": citation(),
        "rule": RULE,
        "published": published,
    }

    # One file per study, then the index with the figure of all studies.
    for study in studies:
        text = environment.get_template("study.md.j2").render(study=study, **common)
        publish_file(folder / study.href.replace(".html", ".md"), text)
    equal = write_equal_bytes(folder, EqualBytes(studies), environment, common, "md")
    pareto = pareto_figure(studies)
    if pareto:
        publish_file(folder / f"{pareto[0].name}.svg", pareto[0].file)
    text = environment.get_template("index.md.j2").render(
        studies=studies,
        cards=cards(studies) if studies else [],
        runs_by_state=runs_by_state(studies),
        sharing=sharing(studies),
        scope=scope_together([study.scope for study in studies]),
        pareto=pareto,
        equal=(equal, TITLE) if equal else None,
        earlier=earlier_pages(folder, studies, ".md"),
        **common,
    )
    return publish_file(folder / "index.md", text)


def markdown_table(table: PageTable) -> str:
    """Return the table as Markdown with its caption below."""
    text = pd.DataFrame({escaped(name): [escaped(cell) for cell in table.text[name]] for name in table.text.columns})
    return text.to_markdown(index=False, disable_numparse=True) + f"\n\n{escaped(table.caption)}"


def escaped(text: object) -> str:
    """Escape text so that Markdown, and HTML made from it, show it unchanged."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", line)


def print_pdf(page: Path, browser: str) -> Path:
    """Print a page to a PDF beside it, and return its path.

    A copy of the page is printed: without its script, so that tables show every row, and without links to other
    files, which a PDF would turn into paths of this machine.

    Args:
        page: the HTML page.
        browser: path of Chromium or Chrome.

    Raises:
        FormatError: the browser failed or took too long.
    """
    target = page.with_suffix(".pdf")
    with tempfile.TemporaryDirectory(prefix="xtc-", ignore_cleanup_errors=True) as folder:
        # The copy that is printed.
        copy = Path(folder) / page.name
        still = _SCRIPT.sub("", page.read_text(encoding="utf-8"))
        copy.write_text(_LINK_TO_A_FILE.sub(r"\1", still), encoding="utf-8")

        command = [
            browser,
            "--headless",
            "--disable-gpu",
            f"--user-data-dir={folder}/browser",
            "--no-pdf-header-footer",
            f"--print-to-pdf={Path(folder) / 'page.pdf'}",
            copy.as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium's sandbox refuses to run as root
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_A_PAGE)
        except subprocess.TimeoutExpired:
            raise FormatError(f"{page.name}: {browser} did not print the page within {_SECONDS_A_PAGE} s") from None
        except OSError as error:
            why = f"{browser} cannot be started: {error.strerror or error}"
            raise FormatError(f"{page.name}: {why}. Set {BROWSER_VARIABLE} to a Chromium or Chrome.") from None
        try:
            content = (Path(folder) / "page.pdf").read_bytes()
        except OSError:
            raise FormatError(f"{page.name}: {browser} printed nothing: {done.stderr.strip()[-300:]}") from None
    return publish_file(target, content)


def _fenced(text: str) -> str:
    """Return the text as a code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
