"""The sections of gpu_paths.py around training: the machine, files, workers, inference, and the project's commands."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gpu_check
import torch
import transformers
from gpu_findings import Findings
from transformers import BertConfig, BertForSequenceClassification

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.deploy.sample_inputs import sample_inputs
from xtc_study.hardware import cpu_name
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.engines.int8 import has_exact_int8
from xtc_study.packed.loading import load
from xtc_study.recipe import Recipe
from xtc_study.training.predict import in_batches

HERE = Path(__file__).resolve().parent
MODEL_SHAPE = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
"""all-MiniLM-L6-v2's, for inference."""
TOLERANCE = 0.1
"""Largest difference of a logit to that of a CPU, over the largest logit. On one device files are exact."""


def machine(found: Findings) -> None:
    found.note(torch=torch.__version__, cuda=torch.version.cuda, transformers=transformers.__version__)
    if found.device == "cuda":
        assert torch.cuda.is_available(), "torch finds no GPU: its CUDA and the driver may not fit"
        properties = torch.cuda.get_device_properties(0)
        found.note(card=properties.name, bytes=properties.total_memory, cards=torch.cuda.device_count())
        found.note(bf16=torch.cuda.is_bf16_supported(including_emulation=False))
    exact = has_exact_int8(found.device)
    found.note(exact_int8=exact, said=f"{found.details.get('card', cpu_name())}, torch {torch.__version__}")
    assert exact, "_int_mm gives no exact sums here, so the torch engine takes its slow way"


def reload(found: Findings) -> None:
    bits = [1, 2] if found.device == "cuda" else [1]
    chosen = argparse.Namespace(device=found.device, precision="auto", bits=bits, quick=True)
    wrong = gpu_check.check(chosen, found.workdir / "reload")
    files = len(bits) * len(gpu_check.REST_FORMATS)
    found.note(files=files, wrong=wrong, said=f"{files - wrong} of {files} files give their student's logits")
    assert not wrong


def workers(found: Findings) -> None:
    found.note(**three_runs(found, found.workdir / "results"))


def mps(found: Findings) -> None:
    if shutil.which("nvidia-cuda-mps-control") is None:
        return found.skip("nvidia-cuda-mps-control is not installed")
    for name in ("pipe", "log"):
        (found.workdir / name).mkdir()
        os.environ[f"CUDA_MPS_{name.upper()}_DIRECTORY"] = str(found.workdir / name)
    subprocess.run(["nvidia-cuda-mps-control", "-d"], check=True)
    try:
        found.note(**three_runs(found, found.workdir / "results"))
    finally:
        subprocess.run(["nvidia-cuda-mps-control"], input="quit\n", text=True, check=False, timeout=20)
    logs = sorted((found.workdir / "log").glob("server.log"))
    served = logs[0].read_text().count("New Client") if logs else 0
    found.note(clients_in_the_server_s_log=served)


def three_runs(found: Findings, results: Path) -> dict[str, Any]:
    """Carry out three runs by three workers, and return how long that took."""
    started = time.monotonic()
    words = ["12_bits", "--profile", "smoke", "--seed", "0", "--device", found.device, "--results", str(results)]
    words += ["--axis", "activations=A8", "--limit", "3", "--workers", "3"]
    words += ["--set", "teacher_epochs=0.2", "--set", "epochs=0.2"]
    done = subprocess.run([sys.executable, "-m", "xtc_study.cli", "run", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-800:] + done.stderr[-800:]
    folders = sorted((results / "runs").iterdir())
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    devices = {json.loads((folder / "environment.json").read_text())["device"] for folder in folders}
    assert len(folders) == 3 and devices == {found.device}, (len(folders), devices)
    assert {one["reload_difference"] for one in metrics} == {0.0}
    seconds = round(time.monotonic() - started, 1)
    return {"runs": 3, "run_seconds": seconds, "said": f"3 runs in {seconds} s, reload difference 0"}


def inference(found: Findings) -> None:
    # A file of the shape that studies use; on a CPU, where only the program is tried, of one layer.
    torch.manual_seed(0)
    small = {"num_hidden_layers": 1, "hidden_size": 48} if found.device == "cpu" else {}
    model = BertForSequenceClassification(BertConfig(**{**MODEL_SHAPE, **small}, num_labels=2)).eval()
    make_low_bit(model, Recipe.of(task="mnli", weight_bits=1))
    folder = found.workdir / "packed"
    save_packed(model, folder)

    # The same logits on the card as on the CPU, but for sums of floats, whose last bits may move an input by one step.
    loaded, inputs = load(folder, "torch"), sample_inputs(model.config, 40, 64, padded=True)
    lengths = inputs["attention_mask"].sum(1).tolist()

    def batch_of(chosen: list[int]) -> dict[str, torch.Tensor]:
        return {name: tensor[chosen] for name, tensor in inputs.items()}

    here = in_batches(loaded, lengths, batch_of)
    there = in_batches(loaded.to(found.device), lengths, batch_of)
    again = in_batches(loaded, lengths, batch_of)
    off, spread = float(abs(there - here).max()), float(abs(here).max())
    found.note(logits_off_the_cpu_s=off, largest_logit=spread)
    assert (there == again).all(), "two passes on one device differ"
    assert off <= TOLERANCE * spread, f"logits differ from the CPU's by {off:.2g} of {spread:.2g}"

    # The command, with the rows that it writes.
    rows = found.workdir / "bench.json"
    words = ["--device", found.device, "--passes", "1", "--no-card", "--json", str(rows)]
    quick = ["--seconds", "0", "--threads", "1", "--shapes", "1x16"]
    words += ["--seconds", "0.5"] if found.device == "cuda" else quick
    command = [sys.executable, "-m", "xtc_study.cli", "bench", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    measured = json.loads(rows.read_text())
    found.note(bench=measured, said=f"logits off the CPU's by {off:.2g} of {spread:.2g}; {len(measured)} times")


def plan(found: Findings) -> None:
    results = found.workdir / "plan"
    words = ["all", "--profile", "paper" if found.device == "cuda" else "smoke", "--measure"]
    words += ["--device", found.device, "--results", str(results)]
    done = subprocess.run([sys.executable, "-m", "xtc_study.cli", "plan", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    total = done.stdout[done.stdout.rindex("in total:") :].splitlines()
    times = [json.loads(path.read_text()) for path in sorted(results.glob("step_times-*.json"))]
    found.note(total=[line for line in total if not line.startswith("results:")], step_times=times, said=total[1])
    assert times


def train_step(found: Findings) -> None:
    tiny = ["--rows", "32", "--turns", "1"] if found.device == "cpu" else ["--rows", "128", "--turns", "3"]
    words = ["--device", found.device, "--tasks", "toy-acceptability", "--rounds", "1", "--slow-turns", "1"]
    words += ["--without", "peer", *tiny, "--output", str(found.output)]
    done = subprocess.run([sys.executable, str(HERE / "train_step.py"), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-800:]
    fastest: dict[str, float] = {}
    for label, ms in re.findall(r"turn \d+, (.+): ([\d.]+) ms per step", done.stdout):
        fastest[label] = min(float(ms), fastest.get(label, float(ms)))
    found.note(fastest_ms=fastest, said="; ".join(f"{label}: {ms:.1f} ms" for label, ms in fastest.items()))
    assert len(fastest) == 3, done.stdout[-500:]
