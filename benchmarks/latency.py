"""Measure milliseconds, memory and bytes of 1-bit BERT-base students against fp32 and other int8 runtimes, in one run.

    python benchmarks/latency.py [--layers 5 12] [--threads 1 2] [--passes 3] [--seconds 1] [--output FOLDER]

Weights are random, because speed does not depend on them. The runtimes run in turn, each in its own process. The
lowest time of all passes counts, which is least affected by other load. PyTorch models get 32x128 in four parts of
1,024 tokens. The native engine takes part if it is built (xtc-study build-engine).
Ratios are to fp32 of the same depth and to fp32 of the deepest model; most of the latter is due to depth.
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
    parser.add_argument("--output", type=Path, default=None, help="folder for latency.md and latency.json")
    chosen = parser.parse_args()
    shapes = [(int(batch), int(length)) for batch, length in (shape.split("x") for shape in chosen.shapes)]
    with tempfile.TemporaryDirectory() as workdir:
        runtimes, differences = [], {}
        for layers in chosen.layers:
            of_depth, off = prepared(Path(workdir), layers)
            runtimes += of_depth
            differences |= off
        frame = bench(
            runtimes, shapes, chosen.threads, chosen.seconds, chosen.passes, lambda text: print(text, flush=True)
        )
    text = table(frame, differences)
    print(text)
    if chosen.output:
        chosen.output.mkdir(parents=True, exist_ok=True)
        (chosen.output / "latency.md").write_text(text)
        (chosen.output / "latency.json").write_text(json.dumps(frame.to_dict("records"), indent=1) + "\n")


def prepared(workdir: Path, layers: int) -> tuple[list[Any], dict[str, float]]:
    """Return the contenders of one depth, with the depth in front of their names."""
    folder = workdir / str(layers)
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(num_hidden_layers=layers, num_labels=2)).eval()
    model.save_pretrained(folder / "teacher")
    make_low_bit(model, Recipe.of(task="mnli", weight_bits=1, granularity="row"))
    save_packed(model, folder / "packed", rest="fp16")
    runtimes, differences = contenders(folder / "packed", folder / "teacher", folder)
    for one in runtimes:
        object.__setattr__(one, "name", f"{layers} layers: {one.name}")
    return runtimes, {f"{layers} layers: {name}": value for name, value in differences.items()}


def table(frame: pd.DataFrame, differences: dict[str, float]) -> str:
    frame = frame.assign(
        layers=frame["name"].str.split(" ").str[0].astype(int), fp32=frame["name"].str.contains("fp32")
    )
    keys = ["threads", "batch"]
    best = frame[frame["fp32"]].groupby([*keys, "layers"])["least_ms"].min()
    deepest = frame["layers"].max()
    lines = [
        f"CPU: {cpu_name()}. Load average at the end: {os.getloadavg()[0]:.1f} (other load makes times longer).",
        "",
        "ms: lowest time of all repetitions and passes; median: lowest median of the passes. MB are above the memory "
        "of imports. *x same depth*: time of the fastest fp32 runtime of the same depth over this time. "
        f"*x {deepest} layers*: time of fp32 with {deepest} layers over this time; most of that is due to depth.",
        "",
        f"| runtime | threads | batch | ms | median | x same depth | x {deepest} layers: PyTorch | "
        f"x {deepest} layers: OpenVINO | MB on disk | MB loaded | MB peak |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]

    # One row per measurement, the fastest first.
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
        "Largest difference of a logit to the packed engines, which give exactly the trained student's logits:",
        "",
    ]
    lines += [f"- {name}: {value:.2g}" for name, value in differences.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
