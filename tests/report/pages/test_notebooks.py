from __future__ import annotations

import json
import os
import re
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from fabricate_report import EVIL, executed
from nbformat.v4 import new_code_cell, new_notebook, new_output

from xtc_study.report.pages import notebooks
from xtc_study.report.pages.notebooks import NotebookPage, write_notebook_pages

RUN = NotebookPage("toy-1", (("Bits <b>", "../study-bits.html"),), "failed", EVIL, "papermill 'a b'")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    source = executed(folder / "results" / "toy-1" / "notebook.ipynb", error=True)
    written = write_notebook_pages(folder / "runs", {source: RUN})
    assert written == {"toy-1": folder / "runs" / "toy-1.html"}
    return written["toy-1"].read_text("utf-8")


def test_the_page_is_self_contained_and_links_its_study(page: str) -> None:
    assert page.startswith("<!doctype html>") and '<html lang="en">' in page and page.count("<h1") == 1
    assert "default-src 'none'" in page and "script-src" not in page
    assert not re.search(r'(src|href)="(https?:)?//', page) and "cdnjs" not in page and "mathjax" not in page.lower()
    assert '<a href="../index.html">All studies</a>' in page and "Bits &lt;b&gt;" in page
    assert 'href="../results/toy-1/notebook.ipynb"' in page and "papermill 'a b'" in page.replace(
        "&#39;", "'"
    ).replace("&#x27;", "'")
    assert len(page) < 100_000


def test_hostile_outputs_are_harmless(page: str) -> None:
    assert "<script" not in page and "onerror" not in page and "example.org" not in page and "javascript:" not in page
    assert page.count("&lt;script&gt;") >= 3  # printed, in the error and in the traceback
    assert "tr {display: none}" not in page


def test_figures_have_alt_texts_and_captions(page: str) -> None:
    assert 'aria-label="A line that falls and rises"' in page
    assert "<figcaption>It falls to 1, then rises.</figcaption>" in page
    assert all(re.search(r'alt="[^"]+"', image) for image in re.findall(r"<img [^>]*>", page))
    assert page.count("<img ") == 1  # the hostile SVG: as an image it runs nothing
    assert "No description has been provided" not in page


def test_the_footer_lists_parameters_without_private_ones(page: str) -> None:
    assert "<dt>task</dt><dd>toy-pairs</dd>" in page and "<dt>data_dir</dt><dd>glue</dd>" in page
    assert "secret-token" not in page and "/home/someone" not in page and "/a/glue" not in page
    assert "Executed 2026-05-04 10:00 with papermill 2.7.0 in 12 s." in page


def test_an_unchanged_notebook_is_not_converted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = executed(tmp_path / "r" / "notebook.ipynb")
    made: list[str] = []
    convert = notebooks._convert
    monkeypatch.setattr(notebooks, "_convert", lambda *given: made.append(given[1].title) or convert(*given))
    for _ in range(2):
        write_notebook_pages(tmp_path / "runs", {source: RUN})
    assert made == ["toy-1"]
    write_notebook_pages(tmp_path / "runs", {source: NotebookPage("toy-1", state="done")})
    assert made == ["toy-1"] * 2
    source.write_text(source.read_text().replace("One model", "Another"))
    os.utime(source, (0, 0))  # its content counts, not its time
    write_notebook_pages(tmp_path / "runs", {source: NotebookPage("toy-1", state="done")})
    assert len(made) == 3 and "Another" in (tmp_path / "runs" / "toy-1.html").read_text("utf-8")


def test_unreadable_notebooks_and_titles_outside_the_folder_get_no_page(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ipynb"
    broken.write_text('{"cells": 3}')
    good = executed(tmp_path / "good.ipynb")
    pages = {broken: RUN, tmp_path / "missing.ipynb": RUN, good: NotebookPage("../outside")}
    assert write_notebook_pages(tmp_path / "runs", pages) == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.ipynb", "good.ipynb"]


def test_a_malformed_notebook_does_not_stop_other_pages(tmp_path: Path) -> None:
    good = executed(tmp_path / "good.ipynb")
    papermill, outputs = json.loads(good.read_text()), json.loads(good.read_text())
    papermill["metadata"]["papermill"] = "2.7.0"
    for cell in outputs["cells"]:
        cell.pop("outputs", None), cell.pop("execution_count", None)
    pages = {}
    for name, content in (("papermill", papermill), ("outputs", outputs), ("good", json.loads(good.read_text()))):
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(content))
        pages[tmp_path / f"{name}.ipynb"] = NotebookPage(name)
    assert list(write_notebook_pages(tmp_path / "runs", pages)) == ["good"]


def test_a_notebook_of_many_megabytes_gets_a_small_page(tmp_path: Path) -> None:
    picture = new_output("display_data", data={"image/png": "A" * 900_000, "text/plain": "a picture"})
    long = new_output("stream", name="stdout", text="wide " * 100_000)
    cells = [new_code_cell("x", outputs=[long, *[deepcopy(picture) for _ in range(5)]])]
    nbformat.write(new_notebook(cells=cells), tmp_path / "big.ipynb")
    (page,) = write_notebook_pages(tmp_path / "runs", {tmp_path / "big.ipynb": RUN}).values()
    text = page.read_text("utf-8")
    assert len(text) < 2_000_000 and text.count("<img ") == 1
    assert text.count("An output of 900,000 characters is omitted here") == 4
    assert "480,000 more characters are in the executed notebook" in text


def test_many_pages_are_converted_in_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "MANY", 2)
    source = json.loads(executed(tmp_path / "0.ipynb").read_text())
    sources = {}
    for number in range(4):
        path = tmp_path / f"{number}.ipynb"
        path.write_text(json.dumps(source))
        sources[path] = NotebookPage(f"run-{number}")
    assert sorted(write_notebook_pages(tmp_path / "runs", sources)) == [f"run-{number}" for number in range(4)]
