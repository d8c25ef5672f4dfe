"""Write the model card, README.md of a packed folder, from measured values only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from xtc_study.recipe import Recipe
from xtc_study.tasks.lengths import Lengths
from xtc_study.tasks.metric_names import in_words

USE = """```python
import xtc_study  # registers the format with transformers; install XTC Study from its source
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder = "."  # this folder, or its name on the hub
model = AutoModelForSequenceClassification.from_pretrained(folder)  # or xtc_study.load(folder, engine="torch")
tokenizer = AutoTokenizer.from_pretrained(folder)
texts = tokenizer(["a sentence"], truncation=True, padding=True, return_tensors="pt")  # for pairs: two lists
logits = model(**texts).logits
```

`truncation=True` cuts texts to the length used in training and scoring; `xtc-study predict` and, after
`import xtc_study`, transformers' `pipeline("text-classification", folder)` do so automatically."""

SPEED, GPU_SPEED = "Speed", "Speed on a GPU"
"""Titles of the sections with measured times. Times of a CPU and of a GPU never share a table."""


def write_card(
    folder: Path,
    recipe: Recipe,
    metrics: Mapping[str, Any],
    primary_metric: str,
) -> None:
    """Write README.md; ``xtc-study bench`` adds milliseconds once they are measured.

    Args:
        folder: the packed folder.
        recipe: the student's recipe.
        metrics: a run's metrics.json: rows with split, metric, value, teacher_value and n_examples; the sizes; what
            was cut of the vocabulary.
        primary_metric: the metric listed first for the hub.
    """
    (folder / "README.md").write_text(
        "\n".join([_front_matter(recipe, metrics, primary_metric), *_body(recipe, metrics)]) + "\n",
        encoding="utf-8",
    )


def _front_matter(recipe: Recipe, metrics: Mapping[str, Any], primary_metric: str) -> str:
    """Return the fields that the hub reads. Users fill in the licence, which the project cannot know."""
    rows = metrics["rows"]
    results = [
        {
            "task": {"type": "text-classification"},
            "dataset": {"name": recipe.task, "type": recipe.task, "split": row["split"]},
            "metrics": [{"type": in_words(row["metric"]), "value": round(row["value"], 6)}],
        }
        for row in sorted(rows, key=lambda row: row["metric"] != primary_metric)
    ]

    fields: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["xtc-study", "quantized", f"{recipe.weight_bits}-bit"],
        "license": "other",
        "license_name": "same-as-base-model-and-data",
        "model-index": [{"name": recipe.run_id, "results": results}],
    }
    if not recipe.model.startswith(("builtin:", "/", ".")):
        fields["base_model"] = recipe.model
        fields["base_model_relation"] = "quantized"
    return f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)}---\n"


def _body(recipe: Recipe, metrics: Mapping[str, Any]) -> list[str]:
    bits = "1 bit" if recipe.weight_bits == 1 else f"{recipe.weight_bits} bits"
    lines = [
        f"# {plain(recipe.run_id)}",
        "",
        _what(recipe),
        "",
        "## Score",
        "",
        "Measured on this file after reloading it. "
        + (
            f"The teacher is {_teacher(recipe)} in full precision, fine-tuned on the task."
            if recipe.static is None
            else "A table has no teacher."
        ),
        "",
        "| split | metric | this file | teacher | examples |",
        "|---|---|---|---|---|",
        *(
            f"| {row['split']} | {plain(in_words(row['metric']))} | {row['value']:.4f} | "
            f"{_number(row.get('teacher_value'))} | {row['n_examples']} |"
            for row in metrics["rows"]
        ),
        "",
        *_warnings(metrics),
        "## Size",
        "",
        "| what | bytes |",
        "|---|---|",
        f"| this weight file, on disk | {metrics['size_bytes']:,} |",
        f"| by the paper's convention: every matrix at {bits}, nothing else | {metrics['size_bytes_paper']:,} |",
        f"| {_whole(recipe)} | {metrics['teacher_size_bytes']:,} |",
        "",
    ]

    if held := metrics.get("holdout"):
        lines += [
            f"This is a trial: teacher and student trained without {held['rows']:,} training rows "
            f"({plain(held['share'])} of them), and the score above is on those rows.",
            "",
        ]
    if cut := metrics.get("vocabulary"):
        lines += [
            f"This model has {cut['pieces']:,} of the encoder's {cut['of']:,} tokens: those of its training text and "
            "single characters. It splits other words into shorter tokens than it was trained on.",
            "",
        ]

    # Paths of this machine are shortened to names: the card may be published.
    fields = recipe.scientific()
    fields |= {field: public(fields[field]) for field in ("model", "start") if field in fields}
    recipe_json = json.dumps(fields, indent=1, sort_keys=True)
    return [
        *lines,
        "## Use",
        "",
        USE,
        "",
        "## Recipe",
        "",
        f"```json\n{recipe_json}\n```",
        "",
        "## Licence",
        "",
        "The terms of the original encoder and of the training data apply to these weights. Fill in `license` above "
        "before you publish them.",
    ]


def _what(recipe: Recipe) -> str:
    """Return what the file holds, how it was made and whose method that is."""
    model, task = plain(public(recipe.model)), plain(recipe.task)
    if recipe.static is not None:
        return (
            f"A table of static token vectors of `{model}` with a head for `{task}`: {recipe.static} dimensions, "
            f"{recipe.weight_bits}-bit values, no transformer. Made by XTC Study with the method of "
            "[model2vec](https://github.com/MinishLab/model2vec) (Tulkens and van Dongen, 2024)."
        )
    return (
        f"A student of `{model}` on `{task}`: {recipe.weight_bits}-bit "
        f"weights{_levels(recipe)}, {recipe.activation_bits}-bit inputs. Compressed with XTC Study, after Wu et al., "
        "[Extreme Compression for Pre-trained Transformers](https://arxiv.org/abs/2206.01859) (2022)."
    )


def _levels(recipe: Recipe) -> str:
    """Return what is particular about the weights' levels and scales, in brackets; empty where nothing is."""
    odd = recipe.weight_bits == 2 and recipe.two_bit_levels == "odd"
    what = [
        *(["levels -3, -1, 1, 3"] if odd else []),
        *(["learned scales"] if recipe.weight_scale == "learned" else []),
    ]
    return f" ({'; '.join(what)})" if what else ""


def _whole(recipe: Recipe) -> str:
    """Return what the file's size is compared with."""
    return "the teacher's weight file" if recipe.static is None else "the encoder in float32"


def _warnings(metrics: Mapping[str, Any]) -> list[str]:
    """Return what the scores do not show: one prediction for all rows, cut rows, and the head of a checkpoint."""
    lines = []
    for who, field in (("This file", "one_answer"), ("The teacher", "teacher_one_answer")):
        for split, answer in (metrics.get(field) or {}).items():
            lines += [
                f"**{who} predicts `{plain(answer)}` for every row of {plain(split)}.** Its Matthews correlation, or "
                "its correlation with the labels, is 0 there, however high its other scores are.",
                "",
            ]
    for split, lengths in (metrics.get("lengths") or {}).items():
        if lengths["cut"]:
            sentence = Lengths(**lengths).in_words(f"rows of {plain(split)}")
            lines += [f"{sentence[0].upper()}{sentence[1:]}.", ""]
    for field, text in (metrics.get("heads") or {}).items():
        if "brings no classification head" not in text:
            lines += [f"`{plain(field)}`: {plain(text)}.", ""]
    return lines


def add_speed(folder: Path, milliseconds: Sequence[Mapping[str, Any]], processor: str, title: str = SPEED) -> None:
    """Write measured times into a folder's card, replacing earlier ones. A folder without a card gets none.

    Args:
        folder: the packed folder.
        milliseconds: the rows of the table, all with the same keys.
        processor: the name of the CPU or GPU.
        title: of the section; times of a CPU and of a GPU have one each.
    """
    path = folder / "README.md"
    if not path.is_file() or not milliseconds:
        return
    columns = list(milliseconds[0])
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[column]) for column in columns) + " |" for row in milliseconds]
    measured = f"Milliseconds per batch, measured on {plain(processor)}."
    speed = "\n".join([f"## {title}", "", measured, "", *lines, "", ""])
    before, _, after = path.read_text(encoding="utf-8").partition("## Use\n")
    before = re.sub(rf"^## {title}\n.*?(?=^## |\Z)", "", before, flags=re.MULTILINE | re.DOTALL)
    path.write_text(f"{before}{speed}## Use\n{after}", encoding="utf-8")


def _teacher(recipe: Recipe) -> str:
    """Return the teacher in words: the encoder, and how many of its layers if it was cut."""
    kept = recipe.teacher_layers
    if kept is None:
        return "the same encoder"
    if isinstance(kept, tuple):
        return f"the same encoder, cut to its layers {', '.join(map(str, kept))} (counted from 0),"
    return f"the same encoder, cut to {kept} of its layers,"


def public(name: str) -> str:
    """Return a model's name; of a folder's path only the last part, because a card may be published."""
    return Path(name).name if Path(name).is_absolute() or name.startswith(".") else name


def plain(text: str) -> str:
    """Return a name without characters that Markdown or HTML would interpret."""
    return "".join(" " if char in "`<>|\n\r" else char for char in text)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
