"""Measure how fast a report writes the pages of executed notebooks: new, unchanged, and in several processes.

    python benchmarks/report.py [PAGES]

Prints times and ratios of one run.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from xtc_study.report.pages import notebooks
from xtc_study.report.pages.notebooks import NotebookPage, write_notebook_pages
from xtc_study.report.pages.script import policy

CELLS = 14
TABLE = "<table><tbody>" + "<tr><th>row</th><td>1.5</td><td>text</td></tr>" * 8 + "</tbody></table>"


def make_notebook(path: Path) -> None:
    """Write a notebook with as many cells as run.ipynb, with tables."""
    cells = []
    for number in range(CELLS):
        output = new_output("display_data", data={"text/html": TABLE, "text/plain": "table"})
        cells.append(new_markdown_cell(f"## Part {number}\n\n" + "Some words of *prose* with `code`. " * 12))
        cells.append(new_code_cell("import pandas as pd\nx = pd.DataFrame()\n" * 4, outputs=[output]))
    nbformat.write(new_notebook(cells=cells), path)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    policy()  # reads the script's bundle, which is cached
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_notebook(folder / "0.ipynb")
        sources = {}
        for number in range(pages):
            path = folder / f"{number}.ipynb"
            if number:
                shutil.copy(folder / "0.ipynb", path)
            sources[path] = NotebookPage(f"run-{number}")

        # One process, then several, then unchanged notebooks.
        write_notebook_pages(folder / "warm-up", dict(list(sources.items())[:1]))
        many, notebooks.MANY = notebooks.MANY, pages
        alone = timed(lambda: write_notebook_pages(folder / "alone", sources))
        notebooks.MANY = many
        together = timed(lambda: write_notebook_pages(folder / "together", sources))
        again = timed(lambda: write_notebook_pages(folder / "together", sources))
    print(f"{pages} pages, one process: {alone:.2f} s, {1000 * alone / pages:.1f} ms per page")
    print(f"{os.cpu_count()} processors: {together:.2f} s, {alone / together:.2f} times faster than one process")
    print(f"unchanged: {again:.3f} s, {together / again:.0f} times faster than writing them")


if __name__ == "__main__":
    main()
