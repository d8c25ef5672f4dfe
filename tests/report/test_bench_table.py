from __future__ import annotations

from pathlib import Path

import pytest

from xtc_study.report.bench_table import BenchTable


def test_a_table_of_a_benchmark_is_shown_without_the_rows_that_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xtc_study.report.bench_table.project_folder", lambda: tmp_path)
    assert repr(BenchTable("size")) == "Not measured here: benchmarks/size.py writes this table."
    (tmp_path / "results" / "bench").mkdir(parents=True)
    (tmp_path / "results" / "bench" / "size.md").write_text("| layers |\n|---|\n| 12 |\n| 5 |\n")
    assert BenchTable("size")._repr_markdown_() == "| layers |\n|---|\n| 12 |\n| 5 |"
    assert repr(BenchTable("size", without="| 5")) == "| layers |\n|---|\n| 12 |"
