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
import torch
from safetensors.torch import load_file

from xtc_study.deploy.bench import benchmark as bench_module
from xtc_study.deploy.bench.benchmark import BenchError, Contender, bench, check_card, contenders
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


def test_on_a_card_the_teacher_is_measured_in_fp32_and_bf16(student: Callable[..., Any], tmp_path: Path) -> None:
    save_packed(student(), tmp_path / "packed")
    found, differences = contenders(tmp_path / "packed", None, tmp_path, "cuda")
    assert [(one.name, one.runtime) for one in found] == [
        ("fp32, PyTorch", "pytorch"),
        ("bf16, PyTorch", "pytorch"),
        ("packed, torch engine", "xtc-torch"),
    ]
    assert differences == {}
    full, half = (load_file(one.path / "model.safetensors") for one in found[:2])
    assert {tensor.dtype for tensor in half.values()} == {torch.bfloat16}
    assert all(torch.equal(tensor.to(torch.bfloat16), half[name]) for name, tensor in full.items())
    assert found[1].bytes < 0.6 * found[0].bytes


def test_a_measurement_says_where_it_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a card the peak is each shape's own."""
    asked = []

    def run(command: list[str], **options: Any) -> Any:
        asked.append(json.loads(command[-1])["device"])
        times = {shape: {"ms": 2.0, "least_ms": 1.0, "peak_mb": peak} for shape, peak in (("1x8", 3.0), ("9x8", 5.0))}
        result = {"device": "a card", "loaded_mb": 2.0, "times": times}
        return subprocess.CompletedProcess(command, 0, json.dumps(result), "")

    monkeypatch.setattr(subprocess, "run", run)
    frame = bench([Contender("one", "xtc-torch", tmp_path, tmp_path)], [(1, 8), (9, 8)], [1], 0, 2, device="cuda")
    assert asked == ["cuda", "cuda"] and frame["device"].tolist() == ["a card"] * 2
    assert frame[["batch", "loaded_mb", "peak_mb", "ms"]].to_numpy().tolist() == [["1x8", 2, 3, 2], ["9x8", 2, 5, 2]]


def test_without_a_card_there_is_nothing_to_measure_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BenchError, match=r"^--device cuda: torch finds no CUDA GPU here; .* --device cpu$"):
        check_card()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_card()


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
