"""Bytes on disk of BERT-base students at one bit whose vocabulary is cut to a task's training text.

    python benchmarks/vocabulary.py --data-dir GLUE --vocab VOCAB.txt [--output results/bench/vocabulary.md]

Files are really written, with random weights: their length does not depend on training. Position and type tables have
one bit, the rest 8. 1 MB = 10^6 bytes. ``VOCAB.txt`` is that of bert-base-uncased, one word piece a line.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from size import bert, fp32_bytes, write
from transformers import BertTokenizer

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.reduction.word_table import cut_vocabulary
from xtc_study.packed.checkpoint import save_packed
from xtc_study.recipe import Recipe
from xtc_study.tasks.batches import tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.training.task_vocabulary import TaskVocabulary

TASKS = ("cola", "sst2", "mrpc", "stsb", "rte")
DEPTHS = (12, 6, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="a folder in the GLUE download layout")
    parser.add_argument("--vocab", type=Path, required=True, help="one word piece a line")
    parser.add_argument("--output", type=Path, default=None, help="also write the table there")
    chosen = parser.parse_args()
    pieces = chosen.vocab.read_text(encoding="utf-8").splitlines()
    tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, do_lower_case=True)
    full = fp32_bytes(12)
    students = {depth: low_bit(depth) for depth in DEPTHS}
    lines = [
        "BERT-base shape, random weights, everything at 1 bit but the rest, which has 8. 1 MB = 10^6 bytes. Times "
        "smaller: than the 12 layers in fp32. Spelled anew: dev rows with a word whose piece is gone.",
        "",
        "| vocabulary | word pieces | dev rows spelled anew | "
        + " | ".join(f"{depth} layers, MB" for depth in DEPTHS)
        + " | "
        + " | ".join(f"{depth} layers, times smaller" for depth in DEPTHS)
        + " |",
        "|---" * (3 + 2 * len(DEPTHS)) + "|",
        row("whole", f"{len(tokenizer):,}", "0 %", [size(model) for model in students.values()], full),
    ]
    for name in TASKS:
        vocabulary, anew = of_task(name, chosen.data_dir, tokenizer, students[5])
        sizes = [size(cut_vocabulary(model, vocabulary.kept)) for model in students.values()]
        lines.append(row(f"{name}'s", f"{len(vocabulary.kept):,}", f"{100 * anew:.1f} %", sizes, full))
        print(lines[-1], flush=True)
    write(lines, chosen.output)


def low_bit(depth: int) -> Any:
    model = bert(depth)
    make_low_bit(model, Recipe.of(task="mnli", quantise_tables=True))
    return model


def of_task(name: str, data_dir: Path, tokenizer: Any, model: Any) -> tuple[TaskVocabulary, float]:
    """The task's vocabulary, and the share of its dev rows that are spelled otherwise with it."""
    task, text = find_task(name), load_task(name, data_dir)
    splits = ("train", *task.eval_splits)
    rows = {split: tokenize(text[split], task, tokenizer, 128) for split in splits}
    vocabulary = TaskVocabulary("bert-base-uncased", model, tokenizer, rows.pop("train"))
    cut = {split: tokenize(text[split], task, vocabulary.tokenizer, 128) for split in rows}
    anew = vocabulary.record(rows, cut)["rows_spelled_anew"]
    return vocabulary, sum(anew.values()) / sum(len(part) for part in rows.values())


def size(model: Any) -> int:
    with tempfile.TemporaryDirectory() as workdir:
        return save_packed(model, Path(workdir), rest="8bit")


def row(name: str, pieces: str, anew: str, sizes: list[int], full: int) -> str:
    cells = [name, pieces, anew, *(f"{one / 1e6:.2f}" for one in sizes), *(f"{full / one:.1f}x" for one in sizes)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
