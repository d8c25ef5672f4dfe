from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from fabricate import TASKS, make_done_run, plan_runs

from xtc_study.analysis.collect import collect, states
from xtc_study.analysis.score_tables import arm_table, run_table, task_table
from xtc_study.analysis.stats import Difference
from xtc_study.report.tables import (
    MISSING,
    SEED_RANGE,
    PageTable,
    after_title,
    arm_order,
    arm_text,
    both_units_text,
    run_order,
    run_text,
    score_text,
    size_text,
    size_word,
    task_order,
    task_text,
)
from xtc_study.studies import PlannedRun

FOUND = Difference(-0.0123, -0.02, 0.001, n_seeds=3, n_examples=400, resamples=2000, rng_seed=0)


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, list[PlannedRun]]:
    planned = plan_runs({"1-bit": 1, "32-bit": 32})
    for run in planned:
        make_done_run(tmp_path, run, 0.95 if run.arm == "32-bit" else 0.8)
    return tmp_path, planned


def test_the_range_is_over_seeds_of_the_mean_over_tasks() -> None:
    values = {("a", 0): 0.5, ("a", 1): 0.7, ("b", 0): 0.9, ("b", 1): 0.9}  # means over tasks: 0.7 and 0.8
    rows = [
        {"arm": "x", "task": task, "split": "dev", "seed": seed, "value": value, "run_id": f"{task}{seed}"}
        for (task, seed), value in values.items()
    ]
    sizes = {"is_primary": True, "size_bytes": 10, "size_bytes_paper": 5, "teacher_size_bytes": 40}
    table = arm_table(pd.DataFrame(rows).assign(**sizes), "x")
    assert table.loc[0, ["score_low", "score", "score_high"]].tolist() == pytest.approx([0.7, 0.75, 0.8])
    # A t interval of two seeds ended at 138.5 points of accuracy: 0.75 + 12.7062 times 0.05.
    text = arm_text(table, "x")
    assert text.loc[0, SEED_RANGE] == "70.0 to 80.0" and "95 % interval" in text
    alone = arm_table(pd.DataFrame(rows[::2]).assign(**sizes), "x")
    assert arm_text(alone, "x").loc[0, SEED_RANGE] == MISSING, "one seed has no range"


def test_an_arm_that_lacks_a_task_shows_no_score(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    for run in planned:
        if run.arm == "1-bit" and run.recipe.task == TASKS[0]:
            shutil.rmtree(runs / run.run_id)
    table = arm_table(collect(runs, planned), "32-bit")
    text = arm_text(table, "32-bit").set_index("Arm")
    assert text.loc["1-bit", "Score"] == "–" and text.loc["1-bit", "Seeds"] == "–"  # noqa: RUF001
    assert text.loc["1-bit", "Tasks done"] == "1 of 2" and text.loc["32-bit (reference)", "Tasks done"] == "2 of 2"


def test_text_is_in_points(study: tuple[Path, list[PlannedRun]]) -> None:
    text = arm_text(arm_table(collect(*study), "32-bit", {"1-bit": FOUND}), "32-bit")
    row = text.iloc[1]
    assert list(text["Arm"]) == ["32-bit (reference)", "1-bit"]
    assert (row["Difference"], row["95 % interval"]) == ("−1.23", "−2.00 to +0.10")  # noqa: RUF001
    assert (row["On disk"], row["Compression"]) == ("33.8 kB", "13.6×")  # noqa: RUF001
    assert "Tasks done" not in text and text.iloc[0]["Difference"] == "–"  # noqa: RUF001


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([438e6, 13.7e6], ["438.0 MB", "13.7 MB"]),
        ([2.3e6, 80e3], ["2,300.0 kB", "80.0 kB"]),
        ([12.0], ["12.0 bytes"]),
        ([0.0], ["0.0 bytes"]),
    ],
)
def test_sizes_share_a_unit(sizes: list[float], expected: list[str]) -> None:
    assert size_text(pd.Series(sizes)) == expected


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (13_678_656, "13.7 MB (13.0 MiB)"),  # BERT-base at one bit: the paper's 13.0
        (8_360_448, "8.4 MB (8.0 MiB)"),  # six of its layers
        (13_750, "13.8 kB"),
        (12, "12.0 bytes"),
    ],
)
def test_the_paper_s_size_is_in_its_unit_too(size: int, text: str) -> None:
    assert both_units_text(pd.Series([size])) == [text]


@pytest.mark.parametrize(
    ("score", "text"), [(0.9504, "95.0"), (-0.0494, "\N{MINUS SIGN}4.9"), (-0.0001, "0.0"), (math.nan, "\N{EN DASH}")]
)
def test_a_score_has_a_true_minus_and_no_negative_zero(score: float, text: str) -> None:
    assert score_text(score) == text


def test_what_follows_a_title_stands_after_a_comma_but_not_after_a_question_mark() -> None:
    assert after_title("Bits", "1-bit") == "Bits, 1-bit" and after_title("How many?", "1-bit") == "How many? 1-bit"


def test_the_p_value_of_an_arm_is_named_apart_from_that_of_a_claim(study: tuple[Path, list[PlannedRun]]) -> None:
    text = arm_text(arm_table(collect(*study), "32-bit", {"1-bit": FOUND}), "32-bit")
    assert "P of no difference, Holm over arms" in text and "P (Holm)" not in text


def test_heads_of_a_notebook_s_table_stand_over_their_cells(study: tuple[Path, list[PlannedRun]]) -> None:
    page = PageTable(arm_text(arm_table(collect(*study), "32-bit"), "32-bit"), "t")._repr_html_()
    heads = re.findall(r'<th scope="col"( class="number")?>([^<]+)</th>', page)
    assert [name for number, name in heads if not number] == ["Arm"] and len(heads) == 10
    assert len(re.findall(r'<td class="number"', page)) == 9 * 2 and ".xtc-study .number { text-align: right " in page


def test_task_table(study: tuple[Path, list[PlannedRun]]) -> None:
    frame = collect(*study)
    table = task_table(frame, "32-bit")
    assert list(table["task"]) == [TASKS[0]] * 2 + [TASKS[1]] * 2 and list(table["arm"][:2]) == ["32-bit", "1-bit"]
    assert table["teacher"].between(0.85, 1).all()
    assert list(task_text(table).columns) == ["Task", "Arm", "Score", SEED_RANGE, "Teacher", "Seeds", "Metric"]
    second = frame.assign(split="mismatched")
    both = task_text(task_table(pd.concat([frame, second]), "32-bit"))
    assert set(both["Task"]) == {f"{task} {split}" for task in TASKS for split in ("dev", "mismatched")}


def test_empty_frames_give_empty_tables(tmp_path: Path) -> None:
    frame = collect(tmp_path, plan_runs())
    assert arm_table(frame, "32-bit").empty and task_table(frame, "32-bit").empty
    assert arm_text(arm_table(frame, "32-bit"), "32-bit").empty and task_text(task_table(frame, "32-bit")).empty


def test_the_notebook_table_is_escaped(study: tuple[Path, list[PlannedRun]]) -> None:
    text = arm_text(arm_table(collect(*study), "32-bit"), "32-bit")
    text["Arm"] = ["<script>x</script>", "a & b"]
    page = PageTable(text.rename(columns={"Seeds": "<b>Seeds"}), "1 < 2")._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page and "a &amp; b" in page
    assert "<b>" not in page and "<caption>1 &lt; 2</caption>" in page


def test_a_table_is_text_where_there_is_no_html(study: tuple[Path, list[PlannedRun]]) -> None:
    table = PageTable(arm_text(arm_table(collect(*study), "32-bit"), "32-bit"), "What each arm scores.")
    lines = repr(table).splitlines()
    assert lines[0] == "What each arm scores." and lines[2].split()[0] == "Arm" and len(lines) == 5


def test_a_table_without_rows_is_false_and_says_why_it_is_empty() -> None:
    table = PageTable(pd.DataFrame(), "Nothing <published> fits.")
    assert not table and repr(table) == "Nothing <published> fits."
    assert table._repr_html_() == "<p>Nothing &lt;published&gt; fits.</p>"


def test_every_planned_run_has_a_row_that_sorts_by_numbers(study: tuple[Path, list[PlannedRun]]) -> None:
    runs, planned = study
    shutil.rmtree(runs / planned[0].run_id)
    frame = collect(runs, planned)
    table = run_table(states(runs, planned), frame, {planned[1].run_id: "commit"})
    assert list(table["run_id"]) == [run.run_id for run in planned]
    assert list(table["state"][:3]) == ["missing", "stale", "done"] and math.isnan(table.loc[0, "score"])
    text = run_text(table)
    assert list(text.iloc[0][["State", "Score", "On disk", "Seconds", "Started"]]) == ["missing", *["–"] * 4]  # noqa: RUF001
    assert text.loc[1, "Run"] == planned[1].run_id[-10:] and text.loc[1, "Started"] == "2026-05-04 10:00"
    assert text.loc[1, "Score"] == f"{100 * table.loc[1, 'score']:.1f}" and text.loc[1, "Seconds"] == "12"
    order = run_order(table)
    assert order.loc[1, "Score"] == table.loc[1, "score"] and set(order.columns) <= set(text.columns)


def test_what_tables_sort_by_are_columns_of_what_they_show(study: tuple[Path, list[PlannedRun]]) -> None:
    frame = collect(*study)
    arms, tasks = arm_table(frame, "32-bit", {"1-bit": FOUND}), task_table(frame, "32-bit")
    assert set(arm_order(arms).columns) <= set(arm_text(arms, "32-bit").columns)
    assert set(task_order(tasks).columns) <= set(task_text(tasks).columns)
    assert arm_order(arms).loc[1, "Difference"] == FOUND.mean


@pytest.mark.parametrize(
    ("size", "word"),
    [(97_100, "97.1 kB"), (1_200_000, "1.2 MB"), (999_999, "1,000 kB"), (12, "12 bytes"), (5e12, "5,000 GB")],
)
def test_one_size_is_in_the_largest_unit_it_fills(size: float, word: str) -> None:
    assert size_word(size) == word
