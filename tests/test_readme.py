"""The README's numbers are those of the results that lie beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from xtc_study.analysis.collect import COLUMNS
from xtc_study.studies import load_study

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def rows_after(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its two first lines."""
    text = README[README.index(heading) :]
    lines = re.findall(r"^\|.*\|$", text[: text.index("\n\n", text.index("\n| ") + 1)], re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_scores_of_long_trainings_are_those_of_the_results() -> None:
    frame = pd.read_csv(PROJECT / "results" / "mini-c" / "results.csv")
    primary = frame[frame["is_primary"]]
    tasks = ["cola", "stsb", "mrpc", "rte"]
    means = 100 * primary.groupby(["arm", "task"])["value"].mean()
    teachers = 100 * primary.drop_duplicates(["task", "seed"]).groupby("task")["teacher_value"].mean()
    (_, *teacher), *rows = rows_after("**Trained long, three seeds**")
    assert teacher == [f"{teachers[task]:.1f}" for task in tasks]
    assert rows == [[arm, *(f"{means[arm, task]:.1f}" for task in tasks)] for arm in ("32-bit, A32", "1-bit, A8")]
    difference = (means["1-bit, A8"] - means["32-bit, A32"]).mean()
    assert f"one bit costs **{-difference:.2f} points**" in README


SHORT = "**Trained briefly, two seeds**"


def test_scores_of_short_trainings_are_those_of_the_results() -> None:
    frame = pd.read_csv(PROJECT / "results" / "mini" / "results.csv")
    primary = frame[frame["is_primary"]]
    rows = rows_after(SHORT)
    assert len(rows) >= 6
    for study, arm, cola, stsb, _, size, milliseconds in rows:
        of_arm = primary[(primary["study"] == study) & (primary["arm"] == arm)]
        means = (100 * of_arm.groupby("task")["value"].mean()).round(1).drop("mrpc", errors="ignore")
        shown = {task: float(cell) for task, cell in (("cola", cola), ("stsb", stsb)) if cell}
        assert shown == pytest.approx(means.to_dict()), arm
        assert f"{of_arm['size_bytes'].mean() / 1e6:.2f} MB" == size, arm
        assert f"{of_arm['latency_ms'].mean():.1f}" == milliseconds, arm


def test_differences_of_short_trainings_can_be_taken_from_the_rows_of_the_table() -> None:
    frame = pd.read_csv(PROJECT / "results" / "mini" / "results.csv")
    means = 100 * frame[frame["is_primary"]].groupby(["study", "arm", "task"])["value"].mean()
    means = means.drop("mrpc", level="task")
    rows = rows_after(SHORT)
    whole = {(cola, stsb) for _, _, cola, stsb, difference, *_ in rows if not difference}
    for study, arm, _, _, difference, *_ in rows:
        if difference:
            reference = means[study, load_study(study).reference]
            assert (f"{reference['cola']:.1f}", f"{reference['stsb']:.1f}") in whole, study
            shown = float(difference.split()[0].replace("\N{MINUS SIGN}", "-"))
            assert shown == pytest.approx((means[study, arm] - reference).mean(), abs=0.006), arm


def test_intervals_of_short_trainings_are_those_judged_again() -> None:
    verdicts = (PROJECT / "results" / "mini" / "verdicts.md").read_text(encoding="utf-8")
    for study, arm, _, _, difference, *_ in rows_after(SHORT):
        if difference:
            value, interval = difference[:-1].split(" (")
            assert re.search(
                rf"\| {study} \| {re.escape(arm)} \|[^|]*\| {value} \|[^|]*\| {re.escape(interval)} \\|", verdicts
            )


def test_every_column_of_results_is_explained() -> None:
    lines = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8").splitlines()
    names = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in lines if line.startswith("| `")]
    assert sorted(name for row in names for name in row) == sorted(COLUMNS)
