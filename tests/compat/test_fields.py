"""The files of a run keep their names and fields. The cells of run.ipynb carry out the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from compat.today import FIXTURES, NOTEBOOKS, fixture

CHANGED = {
    **{"task": "sst2", "data_dir": str(FIXTURES / "data"), "device": "cpu", "precision": "fp32", "max_length": 24},
    **{"batch_size": 8, "teacher_epochs": 0.2, "epochs": 0.2},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compat") / "results"
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads((NOTEBOOKS / "run.ipynb").read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            names |= CHANGED | {"results_dir": str(folder)}
    return folder


def test_run_keeps_its_files_and_fields(results: Path) -> None:
    (run,), (step,) = (results / "runs").iterdir(), (results / "steps").glob("quantise-*[0-9a-f]")
    now = {path.name: fields(path) for path in (*run.glob("*.json"), step / "step.json")}
    now["recipe"] = set(read(run / "params.json")["recipe"])
    now["rows of metrics.json"] = set(read(run / "metrics.json")["rows"][0])
    now["predictions.parquet"] = set(pd.read_parquet(run / "predictions.parquet").columns)
    now["curve.csv"] = set(pd.read_csv(run / "curve.csv").columns)
    now["model"] = {path.name for path in (run / "model").iterdir()}
    now["model/config.json"] = set(read(run / "model" / "config.json")["quantization_config"])
    now["step"] = {path.name for path in step.iterdir()}
    then = fixture("names.json")["files"]
    gone = {name: set(names) - now.get(name, set()) for name, names in then.items()}
    assert not any(gone.values()), gone


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def fields(path: Path) -> set[str]:
    return set(read(path))
