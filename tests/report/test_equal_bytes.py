from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd
import pytest
from fabricate import make_done_run, plan_runs
from fabricate_report import EVIL, section

from xtc_study.analysis.collect import collect
from xtc_study.report.equal_bytes import NAME, NOTHING, EqualBytes
from xtc_study.report.pages.html import write_report
from xtc_study.report.pages.markdown_pdf import write_markdown
from xtc_study.report.study import StudyPage
from xtc_study.report.tables import score_text

MINI = Path(__file__).parents[2] / "results" / "mini" / "results.csv"


def page(name: str, frame: pd.DataFrame) -> StudyPage:
    return StudyPage(name, name, "q", [], {"done": 1}, "run", frame=frame.reset_index(drop=True))


@pytest.fixture(scope="module")
def mini() -> list[StudyPage]:
    """The committed results of arms with an encoder: numbers without predictions."""
    frame = pd.read_csv(MINI)
    frame = frame[frame["static"].isna()] if "static" in frame else frame
    return [page(str(name), rows) for name, rows in frame.groupby("study", sort=False)]


@pytest.fixture
def tables(tmp_path: Path) -> EqualBytes:
    """Two encoders of five seeds and a table without a transformer, which is better than the smaller encoder."""
    arms, right, size = {"8-bit": 8, "1-bit": 1, EVIL: 4}, {8: 0.95, 1: 0.6, 4: 0.8}, {8: 5, 1: 3, 4: 0.49}
    planned = [run for run in plan_runs(arms, seeds=5) if run.recipe.weight_bits != 4 or run.recipe.seed == 0]
    for run in planned:
        bits = run.recipe.weight_bits
        make_done_run(tmp_path, run, right[bits], size_bytes=int(1e6 * size[bits]), teacher_size_bytes=110_000_000)
    frame = collect(tmp_path, planned)
    return EqualBytes(
        [page("bits", frame.assign(static=frame["weight_bits"].where(frame["weight_bits"] == 4)))], tmp_path
    )


def test_the_best_of_the_committed_results_is_what_a_loop_over_their_rows_finds(mini: list[StudyPage]) -> None:
    runs: dict[tuple[str, str, str], dict[str, tuple[float, int]]] = {}
    for row in csv.DictReader(MINI.open()):
        if row["is_primary"] == "True" and not row.get("static"):
            cell = runs.setdefault((row["task"], row["study"], row["arm"]), {})
            cell[row["run_id"]] = float(row["value"]), int(row["size_bytes"])
    shown = EqualBytes(mini).best.text
    assert {*shown["Budget"]} >= {"4 MB", "8 MB", "91 MB"}
    for row in shown.to_dict("records"):
        limit = 1e6 * float(row["Budget"].split()[0])
        scores = [
            sum(value for value, _ in cell.values()) / len(cell)
            for (task, _, _), cell in runs.items()
            if task == row["Task"] and max(size for _, size in cell.values()) <= limit and len(cell) > 1
        ]
        assert row["Score"] == score_text(max(scores))


def test_results_without_predictions_say_so_in_one_line(mini: list[StudyPage], tmp_path: Path) -> None:
    equal = EqualBytes(mini)
    assert sum("predictions of these runs are not at hand" in limit for limit in equal.limits) == 1
    assert "95 % interval" not in equal.best.text and "Not known here: " in equal.best.caption
    assert "what the encoder adds is not known" in equal.encoder.caption and not equal.encoder

    write_report(tmp_path / "mini", mini)
    write_markdown(tmp_path / "mini", mini)
    for ending in ("html", "md"):
        text = (tmp_path / "mini" / f"{NAME}.{ending}").read_text()
        assert "predictions of these runs are not at hand" in text
        assert not re.search(r"[> (]nan[%< )]", text), "what is not known is a dash or left out"
        assert f"{NAME}.{ending}" in (tmp_path / "mini" / f"index.{ending}").read_text(), "the index leads there"
    assert (tmp_path / "mini" / "equal_bytes.svg").is_file()


def test_a_run_that_several_studies_share_counts_once(mini: list[StudyPage]) -> None:
    once, twice = EqualBytes(mini), EqualBytes([*mini, *mini])
    assert once.best.text.equals(twice.best.text)


def test_the_page_answers_what_the_encoder_is_for(tables: EqualBytes) -> None:
    for _, encoder, space in tables.answers:
        assert encoder.startswith("Below 4 MB only arms without a transformer fit. From 8 MB on an encoder scores")
        assert "Within 4 MB it scores lower: \N{MINUS SIGN}" in encoder
        assert space.startswith("More space brings a gain beyond chance within 8 MB: +")
    text = tables.encoder.text
    assert [*text["Budget"]] == ["4 MB", "8 MB", "16 MB", "91 MB"] * 2
    assert [*text["With an encoder"]] == ["1-bit", "8-bit", "8-bit", "8-bit"] * 2
    assert {*text["Without a transformer"]} == {EVIL}
    best = tables.best.text
    assert [*best["Encoder"]] == [*["no transformer"] * 4, "yes", "yes", "yes"] * 2
    assert [*best["Chosen from"]] == ["1", "1", "1", "2", "3", "3", "3"] * 2
    assert len(tables.space.text) == 2, "budgets that bring no other arm are not listed"
    assert any("The fp32 teacher's file (110 MB) fits into no budget" in limit for limit in tables.limits)


def test_hostile_names_are_escaped(tables: EqualBytes, tmp_path: Path) -> None:
    write_report(tmp_path / "report", tables._pages, runs_folder=tables._runs_folder)
    html = (tmp_path / "report" / f"{NAME}.html").read_text()
    assert EVIL not in html and "&lt;script&gt;" in html
    assert EVIL not in (tmp_path / "report" / "equal_bytes.svg").read_text()


def test_nothing_done_is_one_line_and_no_page(tmp_path: Path) -> None:
    equal = EqualBytes([section(plan_runs(), tmp_path / "runs")])
    assert not equal and repr(equal) == NOTHING and equal.limits == [NOTHING] and not equal.answers
    assert equal.best.caption == NOTHING and not equal.space and not equal.encoder and equal.figure.missing
    write_report(tmp_path / "report", [section(plan_runs(), tmp_path / "runs")])
    assert not (tmp_path / "report" / f"{NAME}.html").exists()
    assert NAME not in (tmp_path / "report" / "index.html").read_text()


def test_no_arm_that_fits_is_said_in_words(mini: list[StudyPage]) -> None:
    equal = EqualBytes(mini, budgets_mb=[0.5, 1])
    assert equal.best.caption == "No arm is done that fits into one of the budgets." and not equal.best
    assert {space for _, _, space in equal.answers} == {"No arm fits into a budget."}
    assert "nothing to draw" in equal.figure.missing
