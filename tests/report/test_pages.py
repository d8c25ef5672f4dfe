from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fabricate import TASKS, do, plan, write

from xtc_study.analysis.collect import collect
from xtc_study.analysis.stats import Claim
from xtc_study.recipe import Recipe
from xtc_study.report.pages import StudyPage, provenance_of, study_page, write_index
from xtc_study.studies import PlannedRun

EVIL = "<script>alert('x')</script>"
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

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def section(planned: list[PlannedRun], runs: Path, **changed: Any) -> StudyPage:
    fields: dict[str, Any] = {
        "name": "bits",
        "title": "How few bits?",
        "question": "What does each bit-width cost?",
        "reference": "32-bit",
        "claims": [("One bit costs more than 2 points.", Claim("lower", "1-bit", "32-bit", 0.02))],
        "planned": planned,
        "runs_folder": runs,
        "run_command": "xtc-study run bits --profile mini",
        "commands": [("1-bit", "xtc-study run bits --arm 1-bit"), ("32-bit", "xtc-study run bits --arm 32-bit")],
        "limits": ["Few seeds."],
        "chance": {TASKS[0]: 0.5},
    }
    return study_page(**{**fields, **changed})


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def planned(runs: Path) -> list[PlannedRun]:
    """Two arms done with four seeds; of two more runs one failed with an evil message and one is missing."""
    done = plan({"32-bit": 32, "1-bit": 1}, seeds=4)
    for run in done:
        do(runs, run, 0.95 if run.arm == "32-bit" else 0.75)
    others = plan({"2-bit": 2}, ("toy-pairs",), seeds=2)
    write(runs / others[0].run_id / "error.json", {"type": "ValueError", "message": EVIL, "cell": 3})
    return done + others


def test_a_page_with_an_answer(tmp_path: Path, runs: Path, planned: list[PlannedRun]) -> None:
    path = write_index(tmp_path / "reports" / "mini", [section(planned, runs)])
    assert path == tmp_path / "reports" / "mini" / "index.html"
    page = Page(path)
    for text in (
        "mini profile", "What does each bit-width cost?", "Supported", "One bit costs more than 2 points.",
        "4 seeds, 400 examples, 2,000 resamples", "16 of 18", "32-bit (reference)", "Few seeds.", "torch 2.9.0",
        "xtc-study run bits --arm 1-bit", "To do the runs that remain", "ValueError", "2026-05-04", "cpu",
    ):  # fmt: skip
        assert text in page.text, text
    states = re.sub(r"\s+", " ", page.text)
    assert "16 done" in states and "1 failed" in states and "1 missing" in states
    assert page.source.index("Supported") < page.source.index("What each arm scores")  # the answer comes first
    assert page.source.index("32-bit (reference)") < page.source.index(">1-bit<")
    assert [path.name for path in path.parent.iterdir()] == ["index.html"]


def test_the_page_is_accessible_and_needs_nothing_from_outside(
    tmp_path: Path, runs: Path, planned: list[PlannedRun]
) -> None:
    page = Page(write_index(tmp_path / "mini", [section(planned, runs), section(planned, runs, name="again")]))
    assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1
    assert len(page.all("caption")) == len(page.all("table")) > 2
    assert all(heading.get("scope") in ("row", "col") for heading in page.all("th"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg")) and len(page.all("svg")) == 2
    assert page.all("a")[0] == {"class": "skip", "href": "#answers"}
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    targets = [link["href"] for link in page.all("a")]
    assert {str(target)[1:] for target in targets} <= set(ids)
    assert [i for i in ids if not str(i).startswith("f")] == list(dict.fromkeys(i for i in ids if i[0] != "f"))
    assert not page.all("script") and not page.all("img") and not page.all("link")
    assert not re.search(r'(src|href)\s*=\s*["\']?(http|//)', page.source) and "@import" not in page.source
    assert "url(http" not in page.source and "default-src 'none'" in page.source
    assert len(page.source) < 500_000


def test_data_is_escaped_everywhere(tmp_path: Path, runs: Path) -> None:
    def run(arm: str, bits: int, seed: int) -> PlannedRun:
        recipe = Recipe(task=EVIL, seed=seed, weight_bits=bits, model=EVIL)
        return PlannedRun(EVIL, recipe.run_id, arm, recipe)

    evil = [run(f"{EVIL}{bits}", bits, seed) for bits in (1, 32) for seed in (0, 1)]
    for one in evil:
        do(runs, one)
    failed = run("failed", 2, 0)
    write(runs / failed.run_id / "error.json", {"type": EVIL, "message": EVIL})
    texts = {"name": EVIL, "title": EVIL, "question": EVIL, "run_command": EVIL, "limits": [EVIL]}
    claim = Claim("equivalent", f"{EVIL}1", f"{EVIL}32", 0.01)
    page = Page(
        write_index(
            tmp_path / "<b>",
            [
                section(
                    [*evil, failed],
                    runs,
                    reference=claim.reference,
                    claims=[(EVIL, claim)],
                    commands=[(EVIL, EVIL)],
                    chance={EVIL: 0.5},
                    **texts,
                )
            ],
        )
    )
    assert not page.all("script") and not page.all("b") and "<script" not in page.source
    assert page.text.count(EVIL) > 10


def test_a_study_without_a_done_run_says_what_to_run(tmp_path: Path, runs: Path) -> None:
    page = Page(write_index(tmp_path / "smoke", [section(plan(), runs)]))
    assert "Not run" in page.text and "nothing to show yet" in page.text
    assert "xtc-study run bits --profile mini" in page.text and "0 of 24" in page.text
    assert not page.all("svg") and len(page.all("table")) == 1


@pytest.mark.parametrize(("seeds", "warned"), [(2, True), (5, False)])
def test_few_seeds_are_a_stated_limit(runs: Path, seeds: int, warned: bool) -> None:
    planned = plan({"32-bit": 32, "1-bit": 1}, ("toy-pairs",), seeds)
    for run in planned:
        do(runs, run)
    study = section(planned, runs)
    assert any(limit.startswith(f"With {seeds} seeds") for limit in study.limits) == warned


def test_no_study_at_all(tmp_path: Path) -> None:
    assert "No study is planned yet" in Page(write_index(tmp_path / "smoke", [])).text


def test_the_claimed_arm_is_not_done_yet(tmp_path: Path, runs: Path, planned: list[PlannedRun]) -> None:
    study = section(planned, runs, claims=[("2-bit costs more.", Claim("lower", "2-bit", "32-bit"))])
    (answer,) = study.answers
    assert answer.verdict == "undecided" and "Not every task is done for both 2-bit and 32-bit" in answer.reasons
    Page(write_index(tmp_path / "mini", [study]))


def test_each_claim_is_answered_against_its_own_reference(
    tmp_path: Path, runs: Path, planned: list[PlannedRun]
) -> None:
    claims = [
        ("Lower.", Claim("lower", "1-bit", "32-bit", 0.02)),
        ("Higher.", Claim("higher", "32-bit", "1-bit", 0.02)),
    ]
    study = section(planned, runs, claims=claims)
    lower, higher = study.answers
    assert lower.verdict == higher.verdict == "supported"
    assert "1-bit minus 32-bit" in lower.reasons and "32-bit minus 1-bit" in higher.reasons
    page = Page(write_index(tmp_path / "mini", [study]))
    assert page.text.count("Lower.") == page.text.count("Higher.") == 2


def test_predictions_that_cannot_be_read_leave_the_claim_undecided(
    tmp_path: Path, runs: Path, planned: list[PlannedRun]
) -> None:
    (runs / planned[0].run_id / "predictions.parquet").write_bytes(b"")
    study = section(planned, runs)
    (answer,) = study.answers
    assert answer.verdict == "undecided" and planned[0].run_id in answer.reasons
    Page(write_index(tmp_path / "mini", [study]))


def test_the_same_data_give_the_same_bytes_and_the_old_page_survives_a_failure(
    tmp_path: Path, runs: Path, planned: list[PlannedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_index(tmp_path / "mini", [section(planned, runs)])
    before = path.read_bytes()
    assert write_index(tmp_path / "mini", [section(planned, runs)]).read_bytes() == before

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        write_index(tmp_path / "mini", [])
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["index.html"]


def test_pages_that_cannot_be_written(tmp_path: Path, runs: Path) -> None:
    one = section(plan(), runs)
    with pytest.raises(ValueError, match="share a name"):
        write_index(tmp_path / "mini", [one, one])
    with pytest.raises(ValueError, match="figure_svg"):
        StudyPage("n", "t", "q", [], {}, "run", figure=EVIL)


def test_provenance_lists_every_distinct_value(tmp_path: Path) -> None:
    planned = plan({"1-bit": 1}, ("toy-pairs",), seeds=2)
    for run in planned:
        do(tmp_path, run)
    later = {"state": "done", "started": "2026-05-06T01:00:00+00:00", "duration_s": 3587.5}
    write(tmp_path / planned[1].run_id / "status.json", later)
    write(tmp_path / planned[1].run_id / "environment.json", {"device": "cuda", "packages": {"torch": "2.10.0"}})
    found = provenance_of(collect(tmp_path, planned))
    assert found["Device"] == "cpu, cuda" and found["Precision"] == "fp32" and found["Seeds"] == "0, 1"
    assert found["Packages"] == "numpy 2.3, torch 2.10.0 and 2.9.0"
    assert found["Runs started"] == "2026-05-04 to 2026-05-06" and found["Compute"] == "1.00 h over 2 runs"
    assert provenance_of(pd.DataFrame()) == {}
