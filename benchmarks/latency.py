"""Milliseconds, memory and bytes of 1-bit BERT-base students beside fp32 and other int8 runtimes, in one run.

    python benchmarks/latency.py [--layers 5 12] [--threads 1 2] [--passes 3] [--seconds 1] [--output FOLDER]

Random weights: speed does not depend on them. Each runtime runs in a process of its own, in turn; of the passes the
least time counts, which asks least of a quiet machine. PyTorch models get 32x128 in four pieces of 1,024 tokens.
The native engine takes part where it is built: xtc-study build-engine.
Ratios are to fp32 of the same depth, and for 5 layers also to fp32 of 12: most of the latter is depth.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import BertConfig, BertForSequenceClassification

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.deploy.bench.benchmark import SHAPES, bench, contenders
from xtc_study.hardware import cpu_name
from xtc_study.packed.checkpoint import save_packed
from xtc_study.recipe import Recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="+", default=[5, 12])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shapes", nargs="+", default=[f"{batch}x{length}" for batch, length in SHAPES])
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--output", type=Path, default=None, help="a folder for latency.md and latency.json")
    chosen = parser.parse_args()
    shapes = [(int(batch), int(length)) for batch, length in (shape.split("x") for shape in chosen.shapes)]
    with tempfile.TemporaryDirectory() as workdir:
        found, differences = [], {}
        for layers in chosen.layers:
            these, off = prepared(Path(workdir), layers)
            found += these
            differences |= off
        frame = bench(
            found, shapes, chosen.threads, chosen.seconds, chosen.passes, lambda text: print(text, flush=True)
        )
    text = table(frame, differences)
    print(text)
    if chosen.output:
        chosen.output.mkdir(parents=True, exist_ok=True)
        (chosen.output / "latency.md").write_text(text)
        (chosen.output / "latency.json").write_text(json.dumps(frame.to_dict("records"), indent=1) + "\n")


def prepared(workdir: Path, layers: int) -> tuple[list[Any], dict[str, float]]:
    """The contenders of one depth, their names with the depth in front."""
    folder = workdir / str(layers)
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(num_hidden_layers=layers, num_labels=2)).eval()
    model.save_pretrained(folder / "teacher")
    make_low_bit(model, Recipe.of(task="mnli", weight_bits=1, granularity="row"))
    save_packed(model, folder / "packed", rest="fp16")
    found, differences = contenders(folder / "packed", folder / "teacher", folder)
    for one in found:
        object.__setattr__(one, "name", f"{layers} layers: {one.name}")
    return found, {f"{layers} layers: {name}": value for name, value in differences.items()}


def table(frame: pd.DataFrame, differences: dict[str, float]) -> str:
    frame = frame.assign(
        layers=frame["name"].str.split(" ").str[0].astype(int), fp32=frame["name"].str.contains("fp32")
    )
    keys = ["threads", "batch"]
    best = frame[frame["fp32"]].groupby([*keys, "layers"])["least_ms"].min()
    deepest = frame["layers"].max()
    lines = [
        f"CPU: {cpu_name()}. Load average at the end: {os.getloadavg()[0]:.1f} (neighbours make times longer).",
        "",
        "ms: the least of all repetitions and passes; median: the least of the passes' medians. MB are over imports.",
        "*x same depth*: the fastest fp32 runtime of the same depth over this one. "
        f"*x {deepest} layers*: the same over fp32 of {deepest} layers; most of that is depth.",
        "",
        f"| runtime | threads | batch | ms | median | x same depth | x {deepest} layers: PyTorch | "
        f"x {deepest} layers: OpenVINO | MB on disk | MB loaded | MB peak |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in frame.sort_values([*keys, "layers", "least_ms"]).itertuples():
        ratios = [best[(row.threads, row.batch, row.layers)] / row.least_ms]
        for runtime in ("PyTorch", "OpenVINO"):
            deep = frame[
                (frame["name"] == f"{deepest} layers: fp32, {runtime}")
                & (frame["threads"] == row.threads)
                & (frame["batch"] == row.batch)
            ]["least_ms"]
            ratios.append(deep.iloc[0] / row.least_ms if len(deep) else float("nan"))
        lines.append(
            f"| {row.name} | {row.threads} | {row.batch} | {row.least_ms:.2f} | {row.ms:.2f} | "
            + " | ".join(f"{ratio:.2f}" for ratio in ratios)
            + f" | {row.bytes / 1e6:.2f} | {row.loaded_mb:.0f} | {row.peak_mb:.0f} |"
        )
    lines += [
        "",
        "Largest difference of a logit to the packed engines (which equal the trained student bit for bit):",
        "",
    ]
    lines += [f"- {name}: {value:.2g}" for name, value in differences.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
