from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from fabricate import claim, make_done_run, plan_runs, write_json
from fabricate_report import EVIL, executed, plain, section

from xtc_study.analysis.claims import RULE, Answer
from xtc_study.analysis.stats import Difference
from xtc_study.compress.method_version import METHOD_VERSION
from xtc_study.recipe import Recipe
from xtc_study.report.pages.html import write_report
from xtc_study.report.pages.markdown_pdf import escaped, write_markdown
from xtc_study.report.pages.script import script
from xtc_study.report.study import StudyPage
from xtc_study.report.tables import PageTable
from xtc_study.studies import PlannedRun

VOID = {"meta", "link", "br", "hr", "img", "input", "use", "path"}


class Page(HTMLParser):
    """Checks that elements nest, and keeps tags, attributes and text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text("utf-8")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(self.source)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def states(self) -> dict[str, int]:
        """The counts of runs by state."""
        strip = re.search(r'<ul class="states".*?</ul>', self.source, re.DOTALL)
        assert strip
        return {
            state: int(count.replace(",", ""))
            for count, state in re.findall(r"<strong>([\d,]+)</strong> (\w+)", strip[0])
        }

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def written(folder: Path, *studies: StudyPage) -> tuple[Page, Page]:
    """The index and the first study's page."""
    index = write_report(folder, studies)
    assert index == folder / "index.html"
    return Page(index), Page(folder / studies[0].href)


def test_a_study_page_starts_with_the_verdicts_and_its_table_with_the_reference(
    tmp_path: Path, runs: Path, planned: list[PlannedRun]
) -> None:
    index, page = written(tmp_path / "mini", section(planned, runs))
    for text in (
        "mini profile", "What does each bit-width cost?", "Supported", "One bit costs more than 2 points.",
        "4 seeds, 400 examples, 2,000 resamples", "32-bit (reference)", "Few seeds.", "torch 2.9.0",
        "xtc-study run bits --arm 1-bit", "Run the remaining ones", RULE,
        "Tasks: toy-sentiment, toy-pairs. Seeds: 0, 1, 2, 3. Encoder: builtin:tiny. Epochs of a student: 3.",
        "ValueError", "2026-05-04", "cpu", "@software",
    ):  # fmt: skip
        assert text in page.text, text
    assert page.states() == {"done": 16, "failed": 1, "missing": 1}
    assert page.source.index("Supported") < page.source.index("Score and size of each arm")  # the answer comes first
    assert page.source.index("32-bit (reference)") < page.source.index('<th scope="row">1-bit<')
    for text in (
        "What does each bit-width cost?",
        "Supported",
        "16 of 18 runs done",
        "best packed file under",
        "1 of 1",
    ):
        assert text in index.text, text
    assert index.states() == page.states() and RULE in index.text and "Tasks: toy-sentiment, toy-pairs." in index.text
    title = "XTC Study, mini profile: toy-sentiment, toy-pairs"
    assert f"<title>{title}</title>" in index.source, "the title distinguishes two reports of one profile"


def bare(name: str, *answers: Answer) -> StudyPage:
    return StudyPage(name, name, "q", answers, {"done": 1}, "run", seconds={"x": ("cpu", 1.0)})


def test_a_verdict_on_few_seeds_is_always_shown_with_their_number(tmp_path: Path) -> None:
    few = Difference(-0.1, -0.2, -0.05, n_seeds=2, n_examples=100, resamples=9, rng_seed=0)
    study = bare("bits", Answer(claim("lower", "1-bit", "32-bit"), "supported", "", few))
    index, page = written(tmp_path, study)
    assert index.text.count("Supported, on 2 seeds") == 2 and page.text.count("Supported, on 2 seeds") == 1
    write_markdown(tmp_path, [study])
    for name in ("index.md", "study-bits.md"):
        text = (tmp_path / name).read_text()
        assert "**Supported, on 2 seeds**" in text and escaped(RULE) in text


def test_runs_that_two_studies_share_are_explained(tmp_path: Path) -> None:
    note = "A run that several studies share counts in each: 1 done runs are counted 2 times."
    both = [bare("bits"), bare("again")]
    assert note in written(tmp_path, *both)[0].text and note in write_markdown(tmp_path, both).read_text()
    assert "A run that several" not in written(tmp_path, both[0])[0].text


def test_downloads_are_written_beside_the_page(tmp_path: Path, runs: Path, planned: list[PlannedRun]) -> None:
    study = section(planned, runs)
    _, page = written(tmp_path / "mini", study)
    linked = {str(link["href"]) for link in page.all("a") if "download" in link}
    names = {"results.csv", "results.parquet", "differences.svg", "seeds.svg"}
    assert linked == {f"study-bits/{name}" for name in names}
    assert {path.name for path in (tmp_path / "mini" / "study-bits").iterdir()} == names
    again = pd.read_parquet(tmp_path / "mini" / "study-bits" / "results.parquet")
    assert len(again) == len(pd.read_csv(tmp_path / "mini" / "study-bits" / "results.csv")) == 32


def test_every_page_is_accessible_and_self_contained(site: Path) -> None:
    paths = [site / "index.html", *sorted(site.glob("study-*.html"))]
    assert len(paths) == 4
    for path in paths:
        page = Page(path)
        assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1
        assert len(page.all("caption")) == len(page.all("table"))
        assert bool(page.all("table")) == (path.name != "study-empty.html"), "no table of dashes"
        assert all(heading.get("scope") in ("row", "col") for heading in page.all("th"))
        assert all(svg["role"] in ("img", "group") and svg["aria-label"] for svg in page.all("svg"))
        assert page.all("a")[0] == {"class": "skip", "href": "#content"}
        ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
        assert len(ids) == len(set(ids))
        targets = [str(link["href"]) for link in page.all("a")]
        assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)
        for target in targets:
            file, _, part = target.partition("#")
            assert not file or (site / file).is_file(), target
            assert not file or not part or f'id="{part}"' in (site / file).read_text("utf-8"), target
        assert (
            len(page.all("script")) == (path.name != "study-empty.html")
            and not page.all("img")
            and not page.all("link")
        )
        outside = page.source.replace(script(), "")
        assert not re.search(r'(src|href)\s*=\s*["\']?(http|//)', outside) and "@import" not in outside
        assert "url(http" not in outside and "default-src &#39;none&#39;" in outside


def test_failed_stale_and_missing_runs_are_shown(site: Path) -> None:
    page, index = Page(site / "study-bits.html"), Page(site / "index.html")
    assert page.states() == {"done": 20, "stale": 7, "running": 1, "failed": 1, "corrupt": 1, "missing": 1}
    assert index.states() == {"done": 47, "stale": 7, "running": 1, "failed": 1, "corrupt": 1, "missing": 5}
    text = re.sub(r"\s+", " ", page.text)
    assert "2 runs failed: see the errors." in text and "7 done runs are stale" in text
    assert (
        f"method version {METHOD_VERSION - 1}, now {METHOD_VERSION}" in text
        and "--force repeats all runs but reuses trained steps" in text
    )
    assert f"ValueError: {EVIL} (cell 3)" in text
    classes = [span.get("class") for span in page.all("span")]
    in_table = {state: classes.count(f"state {state}") for state in ("done", "stale", "missing", "running")}
    assert in_table == {"done": 13, "stale": 7, "missing": 0, "running": 1}
    assert "1 planned run is not done 1-bit: toy-pairs, seed 2 Run the remaining ones with:" in text
    other = "executed with another version of the method or of the recipe than the current code."
    assert f"7 done runs are stale: {other}" in text
    note = f"Stale: {other} A stale run still counts"
    assert note in text and note in re.sub(r"\s+", " ", index.text), "the word is explained where it stands"
    links = {str(link["href"]) for link in page.all("a") if str(link["href"]).startswith("runs/")}
    assert len(links) == 21  # those done, and the one that failed and kept its notebook


def test_a_study_without_a_done_run_shows_the_command_to_run_it(tmp_path: Path, runs: Path) -> None:
    index, page = written(tmp_path / "smoke", section(plan_runs(), runs))
    assert "Not run" in page.text and "no results to show" in page.text
    assert "xtc-study run bits --profile mini" in page.text and page.states() == {
        "missing": 24,
        "done": 0,
        "failed": 0,
    }
    assert "0 of 24 runs done" in index.text
    assert not page.all("svg") and not index.all("svg") and not page.all("table")


def test_a_folder_may_have_another_name_than_the_profile(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path / "for-the-web", [], profile="mini"))
    assert "mini profile" in page.text and "for-the-web" not in page.text


def test_a_report_without_studies(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path / "smoke", []))
    assert "No study is planned yet" in page.text and not page.all("script")


def test_the_page_shows_factors_and_published_scores(site: Path, tmp_path: Path, runs: Path) -> None:
    page = Page(site / "study-grid.html")
    assert "One factor at a time" in page.text and (site / "study-grid" / "factors.svg").is_file()
    assert "what that panel's factor sets (layers: layers; bits: weight_bits)." in page.text
    published = PageTable(pd.DataFrame({"Arm": ["1-bit"], "Published": ["83.4"], "Status": ["read"]}), "Of the paper.")
    _, page = written(tmp_path / "mini", plain(section(plan_runs(), runs), published=published))
    assert "Published and measured scores" in page.text and "Of the paper." in page.text and "read" in page.text


def test_data_is_escaped_everywhere(tmp_path: Path, runs: Path) -> None:
    def run(arm: str, bits: int, seed: int) -> PlannedRun:
        recipe = Recipe(task=EVIL, seed=seed, weight_bits=bits, model=EVIL)
        return PlannedRun(EVIL, recipe.run_id, arm, recipe)

    evil = [run(f"{EVIL}{bits}", bits, seed) for bits in (1, 32) for seed in (0, 1)]
    for one in evil:
        make_done_run(runs, one)
    failed = run("failed", 2, 0)
    write_json(runs / failed.run_id / "error.json", {"type": EVIL, "message": EVIL})
    texts = {"name": EVIL, "title": EVIL, "question": EVIL, "run_command": EVIL, "limits": [EVIL]}
    evil_claim = claim("equivalent", f"{EVIL}1", f"{EVIL}32", 0.01, EVIL)
    changed = {"reference": f"{EVIL}32", "claims": [evil_claim], "commands": [(EVIL, EVIL)]}
    study = section([*evil, failed], runs, **changed, **texts)
    for page in written(tmp_path / "<b>", study):
        assert len(page.all("script")) == 1 and not page.all("b")
        assert EVIL not in page.source and page.text.count(EVIL) > 8
    assert {path.parent for path in (tmp_path / "<b>").iterdir()} == {tmp_path / "<b>"}


def test_pages_are_deterministic_and_a_failed_write_keeps_the_old_one(
    tmp_path: Path, runs: Path, planned: list[PlannedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mini"
    write_report(folder, [section(planned, runs)])
    files = [path for path in folder.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    write_report(folder, [section(planned, runs)])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        write_report(folder, [])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_two_studies_cannot_share_a_page(tmp_path: Path, runs: Path) -> None:
    one = section(plan_runs(), runs)
    with pytest.raises(ValueError, match="share a name"):
        write_report(tmp_path / "mini", [one, one])


def test_the_executed_notebook_of_a_study_gets_a_page(tmp_path: Path, runs: Path) -> None:
    for name in ("bits", "90_summary"):
        executed(tmp_path / "notebooks" / f"{name}.ipynb")
    study = section(plan_runs(), runs)
    write_report(tmp_path / "mini", [study], runs_folder=runs, notebooks_folder=tmp_path / "notebooks")
    page = Page(tmp_path / "mini" / study.href)
    assert "notebooks/bits.html" in [link["href"] for link in page.all("a")]
    assert (tmp_path / "mini" / "notebooks" / "bits.html").is_file()
    index = Page(tmp_path / "mini" / "index.html")
    assert [link["href"] for link in index.all("a") if "notebooks/" in str(link["href"])] == [
        "notebooks/90_summary.html"
    ]


def test_pages_of_an_earlier_report_stay_linked(tmp_path: Path, runs: Path, planned: list[PlannedRun]) -> None:
    first = section(planned, runs)
    index, _ = written(tmp_path / "mini", first)
    assert "Pages of an earlier report" not in index.text
    index, _ = written(tmp_path / "mini", plain(first, name="other"))
    assert "Pages of an earlier report" in index.text
    assert first.href in [link["href"] for link in index.all("a")]
    index, _ = written(tmp_path / "mini", first, plain(first, name="other"))
    assert "Pages of an earlier report" not in index.text
