"""Measure the bytes on disk of BERT-base students in every format, compared with the paper's convention.

    python benchmarks/size.py [--output results/bench/size.md]

Writes real files, with random weights. 1 MB = 10^6 bytes. The paper's size counts every matrix at b bits and nothing
else.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.sizes import paper_size_bytes
from xtc_study.packed.checkpoint import save_packed
from xtc_study.recipe import Recipe
from xtc_study.recipe_xtc import REST_FORMATS

ARMS = [(layers, bits, tables) for bits in (1, 2) for layers in (5, 6, 12) for tables in (False, True)]
BOUNDS = {
    (5, 1, "fp16"): 8.75,
    (12, 1, "fp16"): 15.3,
    (12, 1, "8bit"): 13.9,
    (12, 2, "fp16"): 24.0,
}
"""Maximum size in MB that the project sets itself, however the position and type tables are stored."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=None, help="also write the table to this file")
    chosen = parser.parse_args()
    lines = [
        "BERT-base shape, random weights, one scale per matrix and one per row of a table. 1 MB = 10^6 bytes.",
        "",
        "| layers | bits | position and type tables | rest | MB on disk | smaller than 12 layers fp32 | "
        "paper's size, MB | paper's ratio | limit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as workdir:
        full = fp32_bytes(12)
        for layers, bits, tables in ARMS:
            for rest in REST_FORMATS:
                lines.append(row(Path(workdir), layers, bits, tables, rest, full))
                print(lines[-1], flush=True)
    write(lines, chosen.output)


def write(lines: list[str], output: Path | None) -> None:
    """Print a table, and write it to a file if one is given."""
    text = "\n".join(lines) + "\n"
    print(text)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)


def row(workdir: Path, layers: int, bits: int, tables: bool, rest: str, full: int) -> str:
    recipe = Recipe.of(task="mnli", layers=layers, weight_bits=bits, quantise_tables=tables, rest=rest)
    model = bert(layers)
    make_low_bit(model, recipe)
    size = save_packed(model, workdir, rest=rest)
    paper = paper_size_bytes(model, bits)
    limit = BOUNDS.get((layers, bits, rest))
    kind = f"{bits} bit" if tables else "like the rest"
    return (
        f"| {layers} | {bits} | {kind} | {rest} | {size / 1e6:.2f} | {full / size:.1f}x | {paper / 1e6:.2f} | "
        f"{4 * matrices(12) / paper:.1f}x | {f'<= {limit}: {size / 1e6 <= limit}' if limit else ''} |"
    )


def bert(layers: int) -> Any:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(num_hidden_layers=layers, num_labels=2)).eval()


def fp32_bytes(layers: int) -> int:
    """Return the bytes of the full-precision parameters; the file's header adds about 20 kB."""
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig(num_hidden_layers=layers, num_labels=2))
    return 4 * sum(parameter.numel() for parameter in model.parameters())


def matrices(layers: int) -> int:
    """Return the number of elements in BERT-base's matrices and tables, without the classifier."""
    return (30522 + 512 + 2) * 768 + layers * (4 * 768 * 768 + 2 * 768 * 3072) + 768 * 768


if __name__ == "__main__":
    main()
