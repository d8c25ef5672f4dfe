from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from xtc_study.deploy.bench import latency
from xtc_study.deploy.bench.benchmark import Contender, Shape
from xtc_study.deploy.bench.busy import BusyError
from xtc_study.deploy.bench.latency import measure_runs, shape_of

ONE_BIT = {"hidden_size": 64, "quantization_config": {"modules": {"a": {"bits": 1}}}}
TWO_BIT = {"hidden_size": 64, "quantization_config": {"modules": {"a": {"bits": 2}}}}


def made(runs: Path, name: str, config: dict[str, Any]) -> Path:
    (runs / name / "model").mkdir(parents=True)
    checksums = {"xtc_checksums": {"config.json": name}, "id2label": {"0": name}}
    (runs / name / "model" / "config.json").write_text(json.dumps(config | checksums))
    return runs / name


class Bench:
    """Replaces real runtimes: the n-th measured file takes n milliseconds."""

    def __init__(self) -> None:
        self.measured: list[tuple[str, str, str]] = []

    def __call__(
        self,
        found: Sequence[Contender],
        shapes: Iterable[Shape],
        threads: Iterable[int],
        seconds: float,
        passes: int,
        progress: Callable[[str], None],
    ) -> pd.DataFrame:
        (shape,) = shapes
        assert {one.runtime for one in found} == {"xtc-auto"} and list(threads) == [1]
        rows = []
        for one in found:
            self.measured.append((one.name, "x".join(map(str, shape)), str(one.path.name)))
            ms = float(len(self.measured))
            rows.append({"name": one.name, "threads": 1, "batch": "1x128", "ms": ms, "worst_ms": ms})
        return pd.DataFrame(rows)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    fake = Bench()
    monkeypatch.setattr(latency, "bench", fake)
    monkeypatch.setattr(latency, "cores_in_use", lambda: 0.0)
    monkeypatch.setattr(latency, "cpu_name", lambda: "a CPU")
    return fake.measured


def read(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "latency.json").read_text())
    return content


def test_the_shape_determines_the_time() -> None:
    names = {"xtc_checksums": {"x": "y"}, "id2label": {"0": "no"}, "_name_or_path": "teacher"}
    assert shape_of(ONE_BIT | names) == shape_of(ONE_BIT) != shape_of(TWO_BIT)
    trained_for = {"xtc_max_length": 64, "xtc_label_mean": 2.5, "xtc_label_deviation": 1.0, "xtc_texts": 2}
    assert shape_of(ONE_BIT | trained_for) == shape_of(ONE_BIT | trained_for | {"xtc_max_length": 128})
    assert shape_of(ONE_BIT | trained_for) == shape_of(ONE_BIT)
    assert shape_of(ONE_BIT | {"num_hidden_layers": 3}) != shape_of(ONE_BIT | {"num_hidden_layers": 6})


def test_one_measurement_serves_all_runs_of_a_shape(tmp_path: Path, measured: list[tuple[str, str, str]]) -> None:
    a, b, c = made(tmp_path, "a", ONE_BIT), made(tmp_path, "b", TWO_BIT), made(tmp_path, "c", ONE_BIT)
    assert measure_runs([a, b, c]) == [(a, 1.0), (b, 2.0)]
    assert measured == [("a", "1x128", "model"), ("b", "1x128", "model")]
    assert [read(run)["ms"] for run in (a, b, c)] == [1.0, 2.0, 1.0]
    assert read(c) == {**read(a)} and (read(a)["batch"], read(a)["threads"], read(a)["processor"]) == (
        "1x128",
        1,
        "a CPU",
    )


def test_measured_shapes_are_not_measured_again(
    tmp_path: Path, measured: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, late = made(tmp_path, "a", ONE_BIT), made(tmp_path, "late", ONE_BIT)
    measure_runs([a])
    assert measure_runs([a, late]) == [] and read(late)["ms"] == 1.0
    assert measure_runs([a], again=True) == [(a, 2.0)] and read(late)["ms"] == 1.0
    (a / "latency.json").write_text('{"ms": ')
    assert measure_runs([a]) == [(a, 3.0)], "what cannot be read was not measured"
    assert len(measure_runs([a], batch=(2, 16))) == 1 and read(a)["batch"] == "2x16", "another batch"
    monkeypatch.setattr(latency, "cpu_name", lambda: "another CPU")
    assert len(measure_runs([a], batch=(2, 16))) == 1 and read(a)["processor"] == "another CPU"


def test_a_batch_is_cut_to_what_a_model_can_read(tmp_path: Path, measured: list[tuple[str, str, str]]) -> None:
    small, large = made(tmp_path, "s", {"max_position_embeddings": 64}), made(tmp_path, "l", ONE_BIT)
    measure_runs([small, large])
    assert {name: batch for name, batch, _ in measured} == {"s": "1x64", "l": "1x128"}
    assert (read(small)["batch"], read(large)["batch"]) == ("1x64", "1x128")


def test_the_task_is_not_part_of_the_shape() -> None:
    """config.json has fields of the task for ``predict``; times are shared between tasks."""
    assert shape_of(ONE_BIT) == shape_of(ONE_BIT | {"xtc_task": "toy-inference", "xtc_texts": 2})


def test_times_of_a_busy_machine_are_not_written_unless_asked_for(
    measured: list[tuple[str, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path, "a", ONE_BIT)
    monkeypatch.setattr(latency, "cores_in_use", lambda: 99.0)
    with pytest.raises(BusyError, match=r"other processes used 99\.0 of .* cores"):
        measure_runs([run])
    assert not (run / "latency.json").exists()
    assert measure_runs([run], force=True) and read(run)["ms"] == 2.0
