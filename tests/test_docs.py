"""The project's pages: links lead somewhere, paths exist, lines are short; README begins with its two commands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "benchmarks" / "README.md"]
PAGES += sorted((PROJECT / "docs").glob("*.md"))
LINE_LENGTH = 130
WRITTEN_BY_RUNS = ("results/smoke/", "results/PROFILE/", "reports/smoke/")
"""What these folders hold is not in git."""
NAMES = [page.relative_to(PROJECT).as_posix() for page in PAGES]

FENCE = re.compile(r"^ *```.*?^ *```[^\n]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
INLINE_LINK = re.compile(r"\]\(([^()\s]+)\)")
DEFINED_LINK = re.compile(r"^\[([^\]]+)\]: (\S+)$", re.MULTILINE)
USED_DEFINITION = re.compile(r"\[([^\[\]]+)\](?![\[(:])")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PATH = re.compile(r"`([a-z_]+/(?:[\w.]+/)*\w+\.(?:py|cpp|csv|yml|md|ipynb))`")


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings: lower case, punctuation dropped, blanks to hyphens."""
    headings = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in HEADING.findall(prose(text)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    """The relative links of a page that lead to no file, to no heading, or out of the project."""
    plain = CODE.sub("", prose(text))
    targets = INLINE_LINK.findall(plain) + [target for _, target in DEFINED_LINK.findall(plain)]
    broken = []
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / unquote(path)).resolve() if path else page
        inside = file.is_relative_to(PROJECT) and not path.startswith("/")
        if not inside or not (file == page or file.exists()):
            broken.append(target)
        elif anchor:
            linked = text if file == page else file.read_text(encoding="utf-8")
            if anchor not in anchors(linked):
                broken.append(target)
    return broken


def missing_paths(text: str) -> list[str]:
    """Paths in code quotes that exist neither in the project nor in the package."""
    return [
        path
        for path in PATH.findall(prose(text))
        if not path.startswith(WRITTEN_BY_RUNS)
        and not any((root / path).is_file() for root in (PROJECT, PROJECT / "xtc_study", PROJECT / "docs"))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    page = PROJECT / name
    assert not broken_links(page, page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_every_short_link_is_defined(name: str) -> None:
    plain = CODE.sub("", prose((PROJECT / name).read_text(encoding="utf-8")))
    defined = {label for label, _ in DEFINED_LINK.findall(plain)}
    used = set(USED_DEFINITION.findall(DEFINED_LINK.sub("", plain)))
    assert defined <= used
    # Only the table of studies uses short links; elsewhere square brackets are text.
    assert used <= defined or not defined


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CONTRIBUTING.md"])
def test_every_quoted_path_exists(name: str) -> None:
    """CONTRIBUTING.md names the files of a study that the reader is about to write; it is checked below."""
    assert not missing_paths((PROJECT / name).read_text(encoding="utf-8"))


def test_contributing_quotes_paths_that_exist_or_are_its_example() -> None:
    missing = missing_paths((PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert missing == ["xtc_study/studies/21_word_table.yml"]


@pytest.mark.parametrize("name", NAMES)
def test_lines_are_short(name: str) -> None:
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    assert not [f"{number}: {line[:60]}" for number, line in enumerate(lines, 1) if len(line) > LINE_LENGTH]


def test_every_page_of_docs_is_in_the_contents() -> None:
    contents = (PROJECT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (PROJECT / "docs").glob("*.md")} - {"README.md"}
    assert {target for target in INLINE_LINK.findall(contents) if "/" not in target} == pages


def test_every_notebook_is_in_the_table_of_studies() -> None:
    text = (PROJECT / "docs" / "studies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[([\w.]+)\] \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(label for label, _ in DEFINED_LINK.findall(text))
    notebooks = {path.name for path in (PROJECT / "notebooks").glob("*.ipynb")}
    assert {f"{row.removesuffix('.ipynb')}.ipynb" for row in rows} == notebooks


def test_the_first_two_make_lines_of_the_readme_set_the_project_up() -> None:
    blocks = "\n".join(FENCE.findall((PROJECT / "README.md").read_text(encoding="utf-8")))
    assert re.findall(r"^make .*$", blocks, re.MULTILINE)[:2] == ["make demo", "make test"]


def test_the_floors_of_contributing_are_those_that_are_checked() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    floors = re.findall(
        r"^    ([\w/]+(?:, [\w/]+)*)  ", text.split("## The floors")[1].split("\n## ")[0], re.MULTILINE
    )
    rooms = [room.rstrip("/") for floor in floors for room in floor.split(", ")]
    configuration = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    contract, *_ = configuration["tool"]["importlinter"]["contracts"]
    assert rooms == [room for layer in contract["layers"] for room in layer.split(" | ")]


PAGE = """# A page: `code`, and more

[good](install.md#install) [same](#a-page-code-and-more) [away](https://example.org/x) `[code](no.md)`

```
[fenced](no.md)
```
"""


def test_a_page_whose_links_are_good_has_no_broken_ones() -> None:
    assert broken_links(PROJECT / "docs" / "page.md", PAGE) == []


@pytest.mark.parametrize("link", ["no.md", "#no", "install.md#no", "/etc/hosts", "../../outside.md", "../Readme.md"])
def test_a_broken_link_is_found(link: str) -> None:
    assert broken_links(PROJECT / "docs" / "page.md", f"{PAGE}[broken]({link})\n") == [link]
    assert broken_links(PROJECT / "docs" / "page.md", f"{PAGE}\n[broken]: {link}\n") == [link]


def test_a_path_that_is_gone_is_found() -> None:
    assert missing_paths("`runs/lease.py` and `runs/gone.py`") == ["runs/gone.py"]
