"""The numbers of README.md and docs/findings.md are those of the results that lie beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from xtc_study.analysis.collect import COLUMNS
from xtc_study.studies import load_study

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
FINDINGS = (PROJECT / "docs" / "findings.md").read_text(encoding="utf-8")


def rows_after(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading of docs/findings.md, without its two first lines."""
    text = FINDINGS[FINDINGS.index(heading) :]
    lines = re.findall(r"^\|.*\|$", text[: text.index("\n\n", text.index("\n| ") + 1)], re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_scores_of_long_trainings_are_those_of_the_results() -> None:
    frame = pd.read_csv(PROJECT / "results" / "mini-c" / "results.csv")
    primary = frame[frame["is_primary"]]
    tasks = ["cola", "stsb", "mrpc", "rte"]
    means = 100 * primary.groupby(["arm", "task"])["value"].mean()
    teachers = 100 * primary.drop_duplicates(["task", "seed"]).groupby("task")["teacher_value"].mean()
    (_, *teacher), *rows = rows_after("## Trained long, three seeds")
    assert teacher == [f"{teachers[task]:.1f}" for task in tasks]
    assert rows == [[arm, *(f"{means[arm, task]:.1f}" for task in tasks)] for arm in ("32-bit, A32", "1-bit, A8")]
    difference = (means["1-bit, A8"] - means["32-bit, A32"]).mean()
    assert f"One bit costs **{-difference:.2f} points** (2.00 to 5.77)" in FINDINGS
    assert f"**One bit costs {-difference:.2f} points** (2.00 to 5.77)" in README
    report = (PROJECT / "reports" / "mini-c" / "index.html").read_text(encoding="utf-8")
    assert "(\N{MINUS SIGN}5.77 to \N{MINUS SIGN}2.00)" in report
    megabytes = frame.groupby("arm")["size_bytes"].mean() / 1e6
    assert f"The file has {megabytes['1-bit, A8']:.2f} MB" in README
    assert f"precision has {megabytes['32-bit, A32']:.2f} MB" in README


SHORT = "## Trained briefly, two seeds"


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


@pytest.mark.parametrize(
    ("study", "arm", "reference", "sentence"),
    [
        ("11_budget", "1-bit, budget C", "1-bit, budget A", "gain a binary student {} points ({} to {})"),
        ("13_learning_rate", "1-bit, rate x0.1", "1-bit, rate x1", "a tenth of the rate costs {} points ({} to {})"),
        ("13_learning_rate", "1-bit, rate x2.5", "1-bit, rate x1", "half times the rate gains {} ({} to {})"),
    ],
)
def test_findings_of_two_seeds_are_those_judged_again(study: str, arm: str, reference: str, sentence: str) -> None:
    verdicts = (PROJECT / "results" / "mini" / "verdicts.md").read_text(encoding="utf-8")
    row = re.search(
        rf"^\| {study} \| {arm} \| {reference} \| (.*?) \|.*?\| ([^|]*) to ([^|]*) \|[^|]*\|$", verdicts, re.M
    )
    assert row, arm
    difference, *bounds = (abs(float(text.replace("\N{MINUS SIGN}", "-"))) for text in row.groups())
    low, high = sorted(bounds)
    shown = sentence.format(f"{difference:.2f}", f"{low:.2f}", f"{high:.2f}")
    assert shown in " ".join(README.split())


def test_milliseconds_of_the_readme_are_those_of_the_benchmark() -> None:
    table = (PROJECT / "results" / "bench" / "latency.md").read_text(encoding="utf-8")
    text = " ".join(README.split())
    for runtime, milliseconds, megabytes in (
        ("12 layers: packed, native engine", "49.9", "14.92"),
        ("12 layers: fp32, OpenVINO", "117.9", None),
        ("12 layers: fp32, PyTorch", "159.3", "437.96"),
        ("5 layers: packed, native engine", "17.9", "8.47"),
    ):
        row = re.search(rf"^\| {runtime} \| 2 \| 1x128 \|.*$", table, re.MULTILINE)
        assert row, runtime
        cells = [cell.strip() for cell in row[0].strip("|").split("|")]
        assert f"{float(cells[3]):.1f}" == milliseconds and f"{milliseconds} ms" in text
        assert megabytes is None or (cells[8] == megabytes and f"{megabytes} MB" in text)


def test_every_column_of_results_is_explained() -> None:
    lines = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8").splitlines()
    names = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in lines if line.startswith("| `")]
    assert sorted(name for row in names for name in row) == sorted(COLUMNS)
