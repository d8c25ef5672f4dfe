"""What a notebook shows of runs."""

from __future__ import annotations

from pathlib import Path

from fabricate import make_done_run, plan_runs
from fabricate_report import EVIL

from xtc_study.analysis.collect import states
from xtc_study.report.run_states import RunOutcomes, failed_runs, states_table
from xtc_study.studies import PlannedRun


def test_runs_are_counted_by_task_arm_and_state(runs: Path, planned: list[PlannedRun]) -> None:
    table = states_table(states(runs, planned))
    assert list(table.text.columns) == ["Task", "Arm", "Done", "Failed", "Missing"]
    counts = table.text.set_index(["Task", "Arm"]).astype(int)
    assert counts.loc[("toy-pairs", "2-bit")].tolist() == [0, 1, 1]
    assert counts.to_numpy().sum() == len(planned) and "18 in all" in table.caption


def test_a_failed_run_is_listed_with_its_error_escaped(runs: Path, planned: list[PlannedRun]) -> None:
    failures = failed_runs(states(runs, planned))
    (row,) = failures.text.to_dict("records")
    assert row["Run"] == planned[-2].run_id and row["State"] == "failed" and EVIL in row["Error"]
    outcome = {"run_id": row["Run"], "state": "failed", "seconds": 1.0, "error": EVIL}
    shown = RunOutcomes([{**outcome, "run_id": "x", "state": "done"}, outcome], failures)
    assert shown.failed == 1 and str(shown) == "2 runs carried out, 1 failed."
    assert EVIL not in shown._repr_html_() and "&lt;script&gt;" in shown._repr_html_() and EVIL in repr(shown)


def test_nothing_failed(runs: Path) -> None:
    (run,) = plan_runs({"1-bit": 1}, ("toy-pairs",), seeds=1)
    make_done_run(runs, run)
    shown = RunOutcomes([], failed_runs(states(runs, [run])))
    assert repr(shown) == "0 runs carried out, 0 failed.\n\nNo run of this study has failed."
    assert shown._repr_html_() == "<p>0 runs carried out, 0 failed.</p><p>No run of this study has failed.</p>"
