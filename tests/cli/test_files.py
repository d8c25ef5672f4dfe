"""export, predict, bench and time, on a small trained run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import DatasetDict
from typer.testing import CliRunner

import xtc_study
from xtc_study.cli import app, bench, main
from xtc_study.compress.method_version import METHOD_VERSION
from xtc_study.deploy.bench import benchmark as bench_module
from xtc_study.deploy.bench.benchmark import Contender
from xtc_study.deploy.bench.busy import BusyError
from xtc_study.deploy.evaluate import measure
from xtc_study.deploy.model_card import add_speed
from xtc_study.deploy.sample_inputs import sample_inputs
from xtc_study.hardware import cpu_name
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.runs.store import RunFolder
from xtc_study.tasks.catalogue import load_task
from xtc_study.training import pipeline as pipeline_module
from xtc_study.training.pipeline import Pipeline


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one done run of one step."""
    folder = tmp_path_factory.mktemp("results")
    text = load_task("toy-inference")
    little = DatasetDict({split: rows.select(range(32)) for split, rows in text.items()})
    recipe = Recipe.of(task="toy-inference", batch_size=16, max_length=48, teacher_epochs=1, epochs=1)
    run = RunFolder(folder / "runs", recipe)
    run.acquire()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_module, "load_task", lambda name, data_dir, files: little)
        pipeline = Pipeline(recipe, Places(folder))
    evaluation = measure(pipeline, pipeline.teacher(), pipeline.student(), run.path / "model")
    run.write_results(evaluation.metrics, evaluation.predictions, evaluation.curve, {})
    run.finish("done", "2026-01-01", 1.0)
    return folder


@pytest.fixture
def run_id(results: Path) -> str:
    (path,) = (results / "runs").iterdir()
    return path.name


def call(*words: str, **more: Any) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False, **more)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_trained_step_records_the_method_s_version(results: Path) -> None:
    records = [json.loads(path.read_text()) for path in (results / "steps").glob("*/step.json")]
    assert [record["method"] for record in records] == [METHOD_VERSION] * 2


def test_export_copies_a_folder_that_loads(results: Path, run_id: str, tmp_path: Path) -> None:
    output = call("export", run_id, "--results", str(results), "--output", str(tmp_path / "out"))
    assert f"exported {run_id}" in output and "by the paper's counting" in output
    size = (tmp_path / "out" / "model.safetensors").stat().st_size
    assert f"{size:,} bytes on disk" in output and f"{size:,}" in (tmp_path / "out" / "README.md").read_text()
    xtc_study.load(tmp_path / "out")


def test_export_the_best_that_fits_with_another_rest(results: Path, run_id: str, tmp_path: Path) -> None:
    words = ["--results", str(results), "--output", str(tmp_path / "out"), "--rest", "8bit"]
    assert f"chosen from 1: {run_id}, accuracy " in call("export", "--best", "--max-mb", "8", *words)
    old, new = (folder / "model.safetensors" for folder in (results / "runs" / run_id / "model", tmp_path / "out"))
    assert new.stat().st_size < old.stat().st_size
    assert '"rest": "8bit"' in (tmp_path / "out" / "README.md").read_text()
    model = xtc_study.load(tmp_path / "out")
    inputs = sample_inputs(model.config, 4, 20)
    with torch.no_grad():
        off = (model(**inputs).logits - xtc_study.load(old.parent)(**inputs).logits).abs().max()
    assert 0 < off < 0.5


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_export_to_another_runtime(kind: str, results: Path, run_id: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime" if kind == "onnx" else "openvino", reason="pip install -e '.[export]'")
    words = ["--results", str(results), "--output", str(tmp_path / "out"), "--to", kind]
    output = call("export", run_id, *words)
    assert "class in " in output and " of 512 dev rows; logits differ by up to " in output
    assert (tmp_path / "out" / "tokenizer.json").is_file()
    packed = xtc_study.load(results / "runs" / run_id / "model")
    inputs = sample_inputs(packed.config, 3, 24, padded=True)
    if kind == "onnx":
        from xtc_study.deploy.export.onnx import run_onnx, session

        logits = run_onnx(session(tmp_path / "out" / "model.onnx"), inputs)
    else:
        from xtc_study.deploy.export.openvino import compiled, run_openvino

        logits = run_openvino(compiled(tmp_path / "out" / "model.xml", group=packed.config.hidden_size), inputs)
    with torch.no_grad():
        exact = packed(**inputs).logits.numpy()
    assert np.abs(logits - exact).max() < 0.25 * np.abs(exact).max(), "near, at lengths it was not exported with"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export"], "give the id of a run or --best"),
        (["export", "x", "--best"], "or --best, not both"),
        (["export", "x", "--max-mb", "8"], "use them with --best"),
        (["export", "../x"], "expected a run id"),
        (["export", "--best", "--max-mb", "0.001"], "no file of at most 1,000 bytes"),
        (["export", "--best", "--max-mb", "inf"], "--max-mb inf: expected a number of MB"),
        (["bench", "nowhere", "--teacher", "/no/where"], "--teacher='/no/where': no such folder"),
        (["export", "--best", "--to", "gguf"], "--to gguf: expected packed, onnx or openvino"),
        (["export", "--best", "--to", "onxx"], "expected packed, onnx or openvino; did you mean 'onnx'?"),
        (["export", "--best", "--rest", "fp-16"], "with --to packed; did you mean 'fp16'?"),
        (["predict", "nowhere", "a", "--engine", "nmba"], "torch, numba, native; did you mean 'numba'?"),
        (["export", "--best", "--rest", "4bit"], "--rest 4bit: expected one of fp32, fp16, 8bit"),
        (["predict", "nowhere", "a"], "config.json: not found"),
        (["bench", "nowhere", "--device", "gpu"], "--device='gpu': expected one of cpu, cuda"),
        (["bench", "nowhere", "--device", "cuda"], "--device cuda: torch finds no CUDA GPU here; measure on this CPU"),
        (["bench", "nowhere", "--shapes", "1x"], "--shapes 1x: expected pairs"),
        (["time", "12_bits", "--batch", "128"], "--batch 128: expected pairs"),
        (["time", "12_bits", "--batch", "1x16,1x32"], "--batch 1x16,1x32: expected one shape"),
        (["time", "12_bits", "--results", "nowhere"], "no done run with its model in"),
        (["bench", "nowhere", "--threads", "0"], "--threads 0: expected numbers"),
        (["bench", "nowhere", "--threads", "1,99999999999999"], "--threads 1,99999999999999: expected at most"),
        (["time", "12_bits", "--threads", "99999999999999"], "--threads 99999999999999: expected at most"),
        (["predict", "nowhere", "a", ""], "an empty text: give a sentence in each argument"),
        (["predict", "nowhere", "a", "\udcff"], "text 2: not UTF-8"),
        (["export", "--best", "--profile", "nope"], "profile='nope': expected one of mini, paper, smoke"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_message(
    words: list[str],
    message: str,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = ["--results", str(results)] if words[0] == "export" else []
    monkeypatch.setattr(sys, "argv", ["xtc-study", *words, *more])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("content", ['{"steps": []}', '{"steps": null}', "[]", "{", '{"steps": ["gone"]}'])
def test_a_folder_beside_another_kind_of_metrics_has_no_teacher_of_its_own(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(content)
    assert bench._teacher_of(tmp_path / "model") is None


def test_export_does_not_write_over_anything_nor_hand_out_damage(results: Path, run_id: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="already exists"):
        call("export", run_id, "--results", str(results), "--output", str(tmp_path))
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    weights = copy / "runs" / run_id / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\7")
    with pytest.raises(ValueError, match="checksum"):
        call("export", run_id, "--results", str(copy), "--output", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_build_engine_says_what_it_built(native_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(native_cache))
    output = call("build-engine")
    assert "built with " in output and output.strip().endswith(".so")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert call("build-engine") == output, "what is built is not built again"


def test_bench_knows_the_native_engine(results: Path, run_id: str, native_cache: Path, tmp_path: Path) -> None:
    folder = results / "runs" / run_id / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(native_cache))
        patch.setattr(bench_module, "find_spec", lambda name: None)
        found, _ = bench_module.contenders(folder, None, tmp_path)
        assert [one.name for one in found][-1] == "packed, native engine"
        (row,) = bench_module.bench(found[-1:], [(1, 16)], [1], 0, 1).to_dict("records")
    assert row["ms"] > 0


def test_predict_answers_each_line(results: Path, run_id: str, engine: str) -> None:
    folder = str(results / "runs" / run_id / "model")
    lines = ["the cat sleeps\tthe cat sleeps", "the dog eats\tthe cat sleeps"]
    by_argument = call("predict", folder, *lines, "--engine", engine).splitlines()
    assert call("predict", folder, "--engine", engine, input="\n".join(lines)).splitlines() == by_argument
    answers = [json.loads(line) for line in by_argument]
    assert [answer["text"] for answer in answers] == lines
    assert all(0 < answer["probability"] <= 1 and not answer["label"].startswith("LABEL") for answer in answers)
    with pytest.raises(ValueError, match="task toy-inference expects two texts, separated by a TAB"):
        call("predict", folder, "the cat sleeps", "--engine", engine)


def test_predict_names_the_line_that_is_no_text_and_the_folder_that_was_meant(results: Path, run_id: str) -> None:
    folder = results / "runs" / run_id
    with pytest.raises(ValueError, match="line 3: not UTF-8"):
        call("predict", str(folder / "model"), input=b"a\n\nb\xff\n")
    with pytest.raises(ValueError, match=r"the folder of a run; give its packed model, .*model"):
        call("predict", str(folder), "a")


def test_predict_writes_a_line_for_each_line(results: Path, run_id: str) -> None:
    folder = str(results / "runs" / run_id / "model")
    pair = "the cat sleeps\tthe cat sleeps"
    answers = [json.loads(line) for line in call("predict", folder, input=f"{pair}\n\n{pair}\n \n").splitlines()]
    assert [answer["text"] for answer in answers] == [pair, "", pair, " "]
    assert answers[1]["error"] == "a blank line holds no text, and training accepts none"
    assert answers[0] == answers[2] and "label" in answers[0]


def test_bench_measures_and_fills_the_card(
    results: Path, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two runtimes; 20_size_and_speed.ipynb runs them all (tests/test_notebooks.py)."""
    copy = Path(shutil.copytree(results, tmp_path / "results"))
    folder = copy / "runs" / run_id / "model"
    teachers = []

    def two(packed: Path, teacher: Path, *others: Any) -> Any:
        teachers.append(teacher)
        full = Contender("fp32, PyTorch", "pytorch", teacher, teacher)
        return [full, Contender("packed, numba engine", "xtc-numba", packed, packed)], {}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # the native engine is not built there
    monkeypatch.setattr(bench_module, "contenders", two)
    words = ["--shapes", "1x16,2x128", "--threads", "1", "--seconds", "0", "--passes", "1"]
    words += ["--json", str(tmp_path / "new" / "bench.json")]
    before = (folder / "README.md").read_text()
    monkeypatch.setattr("xtc_study.deploy.bench.busy.cores_in_use", lambda: 99.0)
    with monkeypatch.context() as patch:
        patch.setattr(bench_module, "contenders", lambda *places: (two(*places)[0][1:], {}))
        busy = CliRunner().invoke(app, ["bench", str(folder), *words])
    assert isinstance(busy.exception, BusyError) and "other processes used 99.0 of" in str(busy.exception)
    assert "1 of 1: packed, numba engine, 1 thread, pass 1" in busy.output and "MB on disk" in busy.output
    assert (folder / "README.md").read_text() == before, "shown, not written"

    output = call("bench", str(folder), *words, "--force")
    assert "warning: this machine is busy: other processes used" in " ".join(output.split())
    assert "skipped 2x128: the model reads at most 48 tokens" in " ".join(output.split())
    card, names = (folder / "README.md").read_text(), ("fp32, PyTorch", "packed, numba engine")
    for name in names:
        assert f"| {name} | 1 | 1x16 |" in card, card
    rows = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert {(row["name"], row["device"], row["batch"]) for row in rows} == {
        (name, cpu_name(), "1x16") for name in names
    }
    assert {teacher.parent for teacher in teachers} == {copy / "steps"}, "the run's own teacher"
    assert card.count("## Speed") == 1 and "## Use" in card


def test_bench_on_a_gpu_measures_three_runtimes_and_leaves_the_cpu_s_times(
    results: Path, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card is made up; its times are those of a real folder in the same three runtimes."""

    def measured(runtimes: Any, shapes: Any, threads: Any, seconds: float, passes: int, *more: Any) -> pd.DataFrame:
        assert (shapes, threads, more[1]) == ([(1, 48), (32, 48), (256, 48)], [1], "cuda")
        rows = [(one.name, "a card", 1, "1x16", one.bytes, 1.0, 2.0, 0.5, 0.5, 0.5) for one in runtimes]
        columns = "name device threads batch bytes loaded_mb peak_mb ms worst_ms least_ms"
        return pd.DataFrame(rows, columns=columns.split())

    monkeypatch.setattr(bench_module, "check_card", lambda: None)
    monkeypatch.setattr(bench_module, "bench", measured)
    monkeypatch.setattr(bench, "CARD_SHAPES", "1x48,32x48,256x48")  # the model reads 48 tokens
    monkeypatch.setattr("xtc_study.deploy.bench.busy.cores_in_use", lambda: 0.0)
    folder = Path(shutil.copytree(results, tmp_path / "results")) / "runs" / run_id / "model"
    add_speed(folder, [{"runtime": "fp32, PyTorch", "ms": "9.00"}], "a CPU")
    output = call("bench", str(folder), "--device", "cuda", "--threads", "2")
    assert "a card" in output and "packed is slower" not in output
    cpu, gpu = (folder / "README.md").read_text().split("## Speed on a GPU\n")
    assert "9.00" in cpu and "measured on a card" in gpu and "| bf16, PyTorch | 1 | 1x16 | 0.50 |" in gpu
    assert not (folder.parent / "latency.json").exists(), "tables of studies show times of CPUs"


def test_time_measures_done_runs_and_collect_has_it(results: Path, run_id: str, tmp_path: Path) -> None:
    copy = shutil.copytree(results, tmp_path / "results")
    fields = ["batch_size=16", "teacher_epochs=1", "teacher_learning_rate=2e-5", "learning_rate=2e-5", "epochs=1"]
    fields += ["reduce_epochs=3", "reduce_learning_rate=5e-5"]
    chosen = [
        "12_bits",
        "--task",
        "toy-inference",
        "--seed",
        "0",
        "--axis",
        "weights=1-bit",
        "--axis",
        "activations=A8",
    ]
    chosen += ["--results", str(copy), *(word for field in fields for word in ("--set", field))]
    measure = ["--batch", "2x128", "--seconds", "0", "--passes", "1", "--force"]
    output = call("time", *chosen, *measure)
    assert run_id in output and "runs with a measured time: 1;" in output
    assert run_id not in call("time", *chosen, *measure).replace(str(copy), ""), "once is enough"
    call("collect", *chosen)
    row = pd.read_csv(copy / "results.csv").iloc[0]
    assert row["latency_ms"] > 0 and row["latency_of"].startswith("2x64, 1 thread, ")
    weights = copy / "runs" / run_id / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\7")
    result = CliRunner().invoke(app, ["time", *chosen, *measure])
    assert result.exit_code == 1 and f"skipped {run_id}: " in result.output and "a measured time: 0" in result.output
