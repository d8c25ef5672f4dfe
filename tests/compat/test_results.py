"""A results folder of 0e5d90d is counted, collected and reported as before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from compat.page_tables import tables
from compat.today import FIXTURES, command, fixture

STUDY = "15_layers"
CHOSEN = (
    *("--profile", "smoke", "--seed", "0", "--seed", "1", "--axis", "weights=1-bit"),
    *("--axis", "depth=depth 1,depth 1/2", "--set", "batch_size=8", "--set", "teacher_epochs=12", "--set", "epochs=1"),
    *("--set", "reduce_epochs=2", "--set", "reduce_stages=2", "--set", "max_length=24"),
    *("--task", "sst2", "--task", str(FIXTURES / "data" / "opinions" / "opinions.yml")),
)
"""The options with which the runs were carried out (``make_results.py``)."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A writable copy of the results, collected."""
    folder = tmp_path_factory.mktemp("compat") / "results"
    shutil.copytree(FIXTURES / "results", folder)
    command("collect", STUDY, *CHOSEN, "--results", folder)
    return folder


def test_every_run_is_done(results: Path) -> None:
    shown = command("status", STUDY, *CHOSEN, "--results", results)
    assert shown.splitlines()[1:] == [f"{STUDY}: 8 done"]


def test_collected_table_is_unchanged(results: Path) -> None:
    now = pd.read_csv(results / "results.csv", dtype=str, keep_default_na=False)
    then = pd.read_csv(FIXTURES / "results.csv", dtype=str, keep_default_na=False)
    assert len(then) == 12
    pd.testing.assert_frame_equal(now[[column for column in now if column in then]], then)


def test_table_keeps_its_columns_and_types(results: Path) -> None:
    schema = pq.read_schema(results / "results.parquet")
    # pandas before version 3 writes text as "string", or as "null" if there is none.
    now = {name: str(kind).replace("large_", "") for name, kind in zip(schema.names, schema.types, strict=True)}
    then = {name: kind.replace("large_", "") for name, kind in fixture("names.json")["columns"].items()}
    assert [name for name in now if name in then] == list(then)
    wrong = {
        name: now[name] for name in then if now[name] != then[name] and (now[name], then[name]) != ("null", "string")
    }
    assert not wrong


def test_report_shows_the_same_scores(results: Path) -> None:
    page = results / "report" / f"study-{STUDY}.html"
    command("report", STUDY, *CHOSEN, "--results", results, "--output", results / "report")
    now = [table for table in tables(page) if "Score" in table[0]]
    then = fixture("report.json")
    assert [len(table) for table in then] == [2, 4, 8]  # arms, tasks, runs
    assert len(now) == len(then)
    for shown, rows in zip(now, then, strict=True):
        # Rows of baselines below the arms are new.
        found = [
            dict(zip(shown[0], cells, strict=True)) for cells in shown[1:] if not cells[0].startswith("Baseline:")
        ]
        assert [{name: row.get(name) for name in was} for row, was in zip(found, rows, strict=True)] == rows
    assert (
        len(list((results / "report" / "runs").glob("own-opinions-*.html"))) == 1
    )  # of the one notebook that was kept
