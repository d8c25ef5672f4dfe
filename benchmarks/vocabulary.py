"""Measure the bytes on disk of 1-bit BERT-base students whose vocabulary is cut to a task's training text.

    python benchmarks/vocabulary.py --data-dir GLUE --vocab VOCAB.txt [--output results/bench/vocabulary.md]

Writes real files, with random weights: their size does not depend on training. Position and type tables have 1 bit,
the rest 8. 1 MB = 10^6 bytes. ``VOCAB.txt`` is that of bert-base-uncased, one token per line.
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
    parser.add_argument("--vocab", type=Path, required=True, help="a file with one token per line")
    parser.add_argument("--output", type=Path, default=None, help="also write the table to this file")
    chosen = parser.parse_args()
    tokens = chosen.vocab.read_text(encoding="utf-8").splitlines()
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(tokens)}, do_lower_case=True)
    full = fp32_bytes(12)
    students = {depth: low_bit(depth) for depth in DEPTHS}
    lines = [
        "BERT-base shape, random weights, everything at 1 bit except the rest, which has 8. 1 MB = 10^6 bytes. Times "
        "smaller: than 12 layers in fp32. Tokenised differently: dev rows with a removed token.",
        "",
        "| vocabulary | tokens | dev rows tokenised differently | "
        + " | ".join(f"{depth} layers, MB" for depth in DEPTHS)
        + " | "
        + " | ".join(f"{depth} layers, times smaller" for depth in DEPTHS)
        + " |",
        "|---" * (3 + 2 * len(DEPTHS)) + "|",
        row("whole", f"{len(tokenizer):,}", "0 %", [size(model) for model in students.values()], full),
    ]
    for name in TASKS:
        vocabulary, changed = task_vocabulary(name, chosen.data_dir, tokenizer, students[5])
        sizes = [size(cut_vocabulary(model, vocabulary.kept)) for model in students.values()]
        lines.append(row(f"{name}'s", f"{len(vocabulary.kept):,}", f"{100 * changed:.1f} %", sizes, full))
        print(lines[-1], flush=True)
    write(lines, chosen.output)


def low_bit(depth: int) -> Any:
    model = bert(depth)
    make_low_bit(model, Recipe.of(task="mnli", quantise_tables=True))
    return model


def task_vocabulary(name: str, data_dir: Path, tokenizer: Any, model: Any) -> tuple[TaskVocabulary, float]:
    """Return the task's vocabulary, and the share of its dev rows that are tokenised differently with it."""
    task, text = find_task(name), load_task(name, data_dir)
    splits = ("train", *task.eval_splits)
    rows = {split: tokenize(text[split], task, tokenizer, 128) for split in splits}
    vocabulary = TaskVocabulary("bert-base-uncased", model, tokenizer, rows.pop("train"))
    cut = {split: tokenize(text[split], task, vocabulary.tokenizer, 128) for split in rows}
    changed = vocabulary.record(rows, cut)["rows_spelled_anew"]
    return vocabulary, sum(changed.values()) / sum(len(part) for part in rows.values())


def size(model: Any) -> int:
    with tempfile.TemporaryDirectory() as workdir:
        return save_packed(model, Path(workdir), rest="8bit")


def row(name: str, tokens: str, changed: str, sizes: list[int], full: int) -> str:
    cells = [name, tokens, changed, *(f"{one / 1e6:.2f}" for one in sizes), *(f"{full / one:.1f}x" for one in sizes)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
