from __future__ import annotations

from pathlib import Path

import pandas as pd
from fabricate import make_done_run, plan_runs, write_json

from xtc_study.analysis.collect import collect
from xtc_study.analysis.stale import stale_runs
from xtc_study.compress.method_version import METHOD_VERSION
from xtc_study.recipe import VERSION
from xtc_study.report.provenance import provenance_of


def made(runs: Path, *of: dict[str, object]) -> tuple[list[str], pd.DataFrame]:
    """Runs with these fields in environment.json (``version``: in params.json); their ids and rows."""
    planned = plan_runs({"1-bit": 1}, ("toy-pairs",), seeds=len(of))
    for run, fields in zip(planned, of, strict=True):
        folder = make_done_run(runs, run)
        write_json(folder / "environment.json", {"device": "cpu", **fields})
        if "version" in fields:
            write_json(folder / "params.json", {"version": fields["version"], "recipe": {}})
    return [run.run_id for run in planned], collect(runs, planned)


def test_another_commit_or_release_is_not_stale_but_in_the_provenance(tmp_path: Path) -> None:
    """22 of 100 committed runs were marked although nothing that makes a run's numbers had changed."""
    old = {"commit": "aaa", "packages": {"xtc-study": "0.9"}}
    new = {"commit": "bbb", "packages": {"xtc-study": "1.0"}, "method": METHOD_VERSION, "version": VERSION}
    _, frame = made(tmp_path, old, new, {"commit": None}, {"commit": "bbb+"})
    assert stale_runs(frame) == {}
    provenance = provenance_of(frame)
    assert (provenance["Code"], provenance["Method"]) == ("aaa, bbb, bbb+", "version 1")
    assert "xtc-study 0.9 and 1.0" in provenance["Packages"]


def test_another_version_of_method_or_recipe_is_stale(tmp_path: Path) -> None:
    """A run that recorded no version is of the first."""
    ids, frame = made(tmp_path, {}, {"method": 1}, {"method": 2}, {"method": 3}, {"method": 2, "version": 5})
    assert stale_runs(frame, method=2, recipe=1) == {
        ids[0]: "method version 1, now 2",
        ids[1]: "method version 1, now 2",
        ids[3]: "method version 3, now 2",
        ids[4]: "recipe version 5, now 1",
    }
    assert provenance_of(frame)["Method"] == "version 1, 2, 3"


def test_an_empty_frame_has_no_stale_runs(tmp_path: Path) -> None:
    assert stale_runs(collect(tmp_path / "none", plan_runs())) == {}
