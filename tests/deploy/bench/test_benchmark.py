"""Errors of bench, and its calls of other runtimes; tests/cli/test_files.py measures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from xtc_study.deploy.bench import benchmark as bench_module
from xtc_study.deploy.bench.benchmark import BenchError, Contender, bench, contenders
from xtc_study.packed.checkpoint import save_packed


@pytest.mark.parametrize("nothing", [{"runtimes": []}, {"shapes": []}, {"threads": []}, {"passes": 0}])
def test_nothing_to_measure_is_an_error(nothing: dict[str, Any], tmp_path: Path) -> None:
    chosen = {"runtimes": [Contender("one", "xtc-torch", tmp_path, tmp_path)], "shapes": [(1, 16)], "threads": [1]}
    with pytest.raises(ValueError, match=r"nothing to measure: .* expected at least one of each"):
        bench(**{**chosen, **nothing})


def test_a_teacher_that_is_no_float32_folder_is_an_error(student: Callable[..., Any], tmp_path: Path) -> None:
    save_packed(student(), tmp_path / "packed")
    with pytest.raises(BenchError, match=r"teacher .*none: it has no config\.json; expected a float32 folder"):
        contenders(tmp_path / "packed", tmp_path / "none", tmp_path)
    (tmp_path / "empty").mkdir()
    config = json.loads((tmp_path / "packed" / "config.json").read_text())
    del config["xtc_checksums"], config["quantization_config"]
    (tmp_path / "empty" / "config.json").write_text(json.dumps(config))
    with pytest.raises(BenchError, match=r"teacher .*empty: it does not load \(.*safetensors"):
        contenders(tmp_path / "packed", tmp_path / "empty", tmp_path)
    with pytest.raises(BenchError, match=r"teacher .*packed: it is a packed folder; expected a float32 folder, as"):
        contenders(tmp_path / "packed", tmp_path / "packed", tmp_path)


def test_a_failed_runtime_is_one_error_with_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 1, "", "a traceback\nOSError: no such file")
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: done)
    with pytest.raises(ValueError, match="one: a traceback\nOSError: no such file"):
        bench([Contender("one", "xtc-torch", tmp_path, tmp_path)], [(1, 16)], [1], 0, 1)


def test_the_group_size_of_openvino_is_the_hidden_size_in_every_family(
    student: Callable[..., Any], family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_packed(student(family), tmp_path / "packed")
    monkeypatch.setattr(bench_module, "find_spec", lambda name: name == "openvino")
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(save_model=lambda *values, **options: None))
    monkeypatch.setattr("xtc_study.deploy.export.openvino.converted", lambda model: model)
    monkeypatch.setattr(
        "xtc_study.deploy.export.openvino.to_openvino", lambda folder, path: SimpleNamespace(difference=0.0)
    )
    found, _ = contenders(tmp_path / "packed", None, tmp_path)
    assert [one.group for one in found if one.runtime == "openvino"] == [0, 32]


def test_transformers_shows_no_progress_bar(
    student: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.utils import logging

    logging.enable_progress_bar()
    monkeypatch.setattr(bench_module, "find_spec", lambda name: None)
    save_packed(student("bert", layers=1), tmp_path / "model")
    found, _ = contenders(tmp_path / "model", None, tmp_path)
    assert found and capsys.readouterr().err == ""
    assert logging.is_progress_bar_enabled(), "and they are back"
