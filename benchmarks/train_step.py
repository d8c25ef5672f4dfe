"""Compare a training step with other implementations: milliseconds, tokens per second and peak memory, as ratios.

    python benchmarks/train_step.py [--model FOLDER] [--data FOLDER] [--tasks cola rte] [--output results/bench]

Contenders, on the same model and the same rows of each task:

- distil + 1 bit: ours, as every study trains it; also without the time of its teacher's forward pass
- (a) plain fine-tuning of the same student on labels, by the same code in the same precision
- (b) the step of the paper's released scripts (reference_step.py): fp32, padded to 128, nothing fused
- (c) DeepSpeed's own compression (peer_step.py), if its environment is installed: make bench-peer

Each runs in its own process, and they take turns. A turn uses every row once or more; the lowest and the median time
of the turns are reported. Tokens do not include padding.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer
from transformers import AutoModelForSequenceClassification, BertConfig, BertTokenizerFast, set_seed
from turns import Contender, ContenderError

from xtc_study.compress.reduction.layers import hidden_state_map, layer_map, reduced
from xtc_study.hardware import cpu_name
from xtc_study.runs.execute import MEMORY
from xtc_study.tasks.batches import Padding, tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.task import Task
from xtc_study.training.precision import choose_precision
from xtc_study.training.pretrained import load_encoder, load_tokenizer

HERE = Path(__file__).parent
MINI = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
"""The shape of all-MiniLM-L6-v2."""
VOCABULARY = 30_522
LENGTH, BATCH = 128, 32
OURS, WITHOUT_TEACHER, PLAIN = "distil + 1 bit", "distil + 1 bit, less the teacher's pass", "(a) plain fine-tuning"
REFERENCE, PEER = "(b) released scripts' step, fp32", "(c) deepspeed.compression, fp32"
ORDER = (OURS, WITHOUT_TEACHER, PLAIN, REFERENCE, PEER)
KEYS = ["device", "threads", "precision", "model"]
"""Columns that identify a measurement: a task that is measured again replaces its own rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder or hub name; default: all-MiniLM-L6-v2's shape, random weights")
    parser.add_argument("--data", type=Path, help="a folder in the GLUE download layout; default: built-in text")
    parser.add_argument("--tasks", nargs="+", help="default: the small GLUE tasks with --data, else toy tasks")
    parser.add_argument("--layers", help="the student's depth, a count or a share; default: the teacher's")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="precision of our steps and of plain fine-tuning")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rows", type=int, default=256, help="rows of each task, a multiple of 32")
    parser.add_argument("--rounds", type=int, default=2, help="passes over the rows in one turn of ours and of (a)")
    parser.add_argument("--turns", type=int, default=6, help="turns of ours and of (a)")
    parser.add_argument("--slow-turns", type=int, default=2, help="turns of (b) and (c), which are ten times slower")
    parser.add_argument("--without", nargs="*", default=[], choices=["plain", "reference", "peer"])
    parser.add_argument("--peer", type=Path, default=HERE.parent / ".venv-peer/bin/python", help="DeepSpeed's Python")
    parser.add_argument("--output", type=Path, help="folder for train_step.csv and train_step.md")
    chosen = parser.parse_args()
    if chosen.rows < BATCH or chosen.rows % BATCH:
        parser.error(f"--rows {chosen.rows}: expected a multiple of {BATCH}")
    small = ["cola", "rte", "mrpc", "stsb", "sst2"] if chosen.data else ["toy-acceptability", "toy-inference"]
    every, notes = [], []
    for task in chosen.tasks or small:
        rows, task_notes = measured(find_task(task), chosen)
        every += rows
        notes += task_notes
        print(pd.DataFrame(rows).to_string(columns=["task", "contender", "least_ms", "tokens_per_second", "peak_mb"]))
    frame = pd.DataFrame(every)
    if chosen.output:
        chosen.output.mkdir(parents=True, exist_ok=True)
        table = chosen.output / "train_step.csv"
        frame = together(pd.read_csv(table), frame) if table.is_file() else frame
        frame.to_csv(table, index=False, float_format="%.6g")
        (chosen.output / "train_step.md").write_text(page(frame))
    print(page(frame))
    for note in dict.fromkeys(notes):
        print(note)


def measured(task: Task, chosen: argparse.Namespace) -> tuple[list[dict[str, Any]], list[str]]:
    """Return one row per contender of a task, and notes on what could not be measured."""
    device = choose_precision(chosen.device).device
    with tempfile.TemporaryDirectory() as workdir:
        model = prepare(Path(workdir), task, chosen)
        reports, notes = take_turns(commands(Path(workdir), device, chosen), Path(workdir), task.name, chosen)
    if all(one["teacher_seconds"] for one in reports[OURS]):  # not measured where a step is one CUDA graph
        less = [{**one, "seconds": one["seconds"] - one["teacher_seconds"]} for one in reports[OURS]]
        reports[WITHOUT_TEACHER] = less
    common = {
        "task": task.name,
        "device": torch.cuda.get_device_name() if device == "cuda" else cpu_name(),
        "threads": chosen.threads,
        "precision": reports[OURS][0]["precision"],
        "model": model,
        "date": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
    }
    return [{**common, **row(label, reports)} for label in ORDER if label in reports], notes


def commands(workdir: Path, device: str, chosen: argparse.Namespace) -> dict[str, list[str]]:
    """Return the contenders' commands by label."""
    flags = ["--device", device, "--precision", chosen.precision, "--rounds", str(chosen.rounds)]
    ours = [sys.executable, str(HERE / "our_step.py"), str(workdir)]
    programs = {
        OURS: [*ours, "distil", *flags],
        PLAIN: [*ours, "plain", *flags],
        REFERENCE: [sys.executable, str(HERE / "reference_step.py"), str(workdir), "--device", device],
        PEER: [str(chosen.peer), str(HERE / "peer_step.py"), str(workdir), "--device", device],
    }
    left_out = {{"plain": PLAIN, "reference": REFERENCE, "peer": PEER}[name] for name in chosen.without}
    if not chosen.peer.is_file():
        left_out.add(PEER)
    return {label: command for label, command in programs.items() if label not in left_out}


def take_turns(
    programs: dict[str, list[str]], workdir: Path, task: str, chosen: argparse.Namespace
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Return each contender's reports, one per turn, and the errors of DeepSpeed if it does not run.

    Raises:
        ContenderError: another contender does not run.
    """
    environment = {
        **os.environ,
        **MEMORY,  # as in a study's runs; the same for all
        "OMP_NUM_THREADS": str(chosen.threads),
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0"),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    contenders: dict[str, Contender] = {}
    reports: dict[str, list[dict[str, Any]]] = {}
    notes = (
        []
        if PEER in programs or "peer" in chosen.without
        else [f"{PEER}: not measured; run make bench-peer to install DeepSpeed"]
    )
    try:
        for number, (label, command) in enumerate(programs.items()):
            try:
                contenders[label] = Contender(command, workdir / f"{number}.log", environment)
            except ContenderError as error:
                if label != PEER:
                    raise
                notes.append(f"{label} does not run: {error}")

        # Every other turn runs in reverse order.
        for turn in range(chosen.turns):
            for label in list(contenders)[:: -1 if turn % 2 else 1]:
                if label in (REFERENCE, PEER) and turn >= chosen.slow_turns:
                    continue
                report = contenders[label].turn()
                reports.setdefault(label, []).append(report)
                print(f"{task}, turn {turn + 1}, {label}: {milliseconds(report):.1f} ms per step", flush=True)
    finally:
        for contender in contenders.values():
            contender.close()
    return reports, notes


def row(label: str, reports: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return one contender's measures, and its ratios to the others in the same turns."""
    own = reports[label]
    step_ms = [milliseconds(report) for report in own]
    rates = [report["tokens"] / report["seconds"] for report in own]
    result: dict[str, Any] = {
        "contender": label,
        "least_ms": min(step_ms),
        "median_ms": statistics.median(step_ms),
        "tokens_per_second": max(rates),
        "real_share": own[0]["tokens"] / own[0]["positions"],
        "peak_mb": None if label == WITHOUT_TEACHER else max(report["peak_bytes"] for report in own) / 1e6,
        "turns": len(own),
        "steps_a_turn": own[0]["steps"],
    }
    for other, name in ((PLAIN, "time_over_plain"), (REFERENCE, "tokens_over_reference"), (PEER, "tokens_over_peer")):
        if other not in reports:
            continue
        other_reports = reports[other]
        if other == PLAIN:
            in_turn = zip(step_ms, map(milliseconds, other_reports), strict=False)
            result[name] = min(step_ms) / min(map(milliseconds, other_reports))
            result["in_turn_over_plain"] = statistics.median(one / two for one, two in in_turn)
        else:
            result[name] = max(rates) / max(report["tokens"] / report["seconds"] for report in other_reports)
    return result


def milliseconds(report: dict[str, Any]) -> float:
    """Return the milliseconds per step."""
    return 1000 * float(report["seconds"]) / int(report["steps"])


def prepare(workdir: Path, task: Task, chosen: argparse.Namespace) -> str:
    """Write models and rows for the contenders, and return the model in words.

    ``teacher`` and ``student``: model folders; ``rows``: tokenised rows without padding; ``padded.safetensors``: the
    same rows padded to LENGTH; ``plan.json``: task, batch size, and the teacher layer of each student layer.
    """
    text = load_task(task.name, chosen.data)["train"].shuffle(seed=0)
    if chosen.model is None:
        tokenizer = trained_tokenizer(text, task, workdir)
        teacher = random_classifier(len(tokenizer), task)
        words = "all-MiniLM-L6-v2's shape, random weights, tokens learned from the task's text"
    else:
        tokenizer, teacher = load_tokenizer(chosen.model), load_encoder(chosen.model, task, 0)
        words = Path(chosen.model).name if not Path(chosen.model).is_dir() else in_words(teacher)
    layers = layer_map(teacher.config.num_hidden_layers, depth(chosen.layers))
    if chosen.layers is not None:
        words += f", {len(layers)} layers kept"

    # The same rows, without padding and padded.
    rows = tokenize(text.select(range(chosen.rows)), task, tokenizer, LENGTH)
    rows.save_to_disk(workdir / "rows")
    padding = Padding(tokenizer, task)
    padded = [padding([row]) for row in rows]
    batches = {
        key: torch.cat([torch.nn.functional.pad(one[key], (0, LENGTH - one["input_ids"].shape[1])) for one in padded])
        for key in padded[0]
        if key != "labels"
    }
    save_file({**batches, "labels": torch.cat([one["labels"] for one in padded])}, workdir / "padded.safetensors")

    # The models and the plan.
    teacher.save_pretrained(workdir / "teacher")
    tokenizer.save_pretrained(workdir / "teacher")
    reduced(teacher, layers).save_pretrained(workdir / "student")
    plan = {"task": task.name, "batch_size": BATCH, "layers": layers, "states": hidden_state_map(layers)}
    (workdir / "plan.json").write_text(json.dumps(plan))
    return words


def trained_tokenizer(text: Any, task: Task, workdir: Path) -> Any:
    """Return a WordPiece tokenizer trained on the task's training text."""
    learned = BertWordPieceTokenizer()
    sentences = [sentence for field in task.text_fields for sentence in text[field][:]]
    learned.train_from_iterator(sentences, VOCABULARY, min_frequency=1, show_progress=False)
    learned.save_model(str(workdir))
    return BertTokenizerFast(vocab=dict(learned.get_vocab()), model_max_length=512)


def random_classifier(vocabulary: int, task: Task) -> Any:
    """Return a classifier of the mini shape with random weights."""
    set_seed(0)
    return AutoModelForSequenceClassification.from_config(
        BertConfig(**MINI, vocab_size=max(vocabulary, VOCABULARY), num_labels=task.num_labels)
    )


def depth(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdigit() else text


def in_words(model: Any) -> str:
    config = model.config
    size = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return f"{config.num_hidden_layers} layers, width {config.hidden_size}, {size:.1f} M parameters, pre-trained"


def together(before: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Add new rows to earlier ones, replacing those of the same task and measurement (``KEYS``)."""
    again = before[[*KEYS, "task"]].apply(tuple, axis=1).isin(set(new[[*KEYS, "task"]].apply(tuple, axis=1)))
    return pd.concat([before[~again], new], ignore_index=True)


MEASURES = (
    ("least_ms", "Milliseconds per step: lowest turn (median)", "{:.1f}"),
    ("tokens_per_second", "Tokens per second without padding (fastest turn)", "{:,.0f}"),
    ("real_share", "Share of positions that are text, not padding", "{:.0%}"),
    ("peak_mb", "Peak memory above that before the models were loaded, MB", "{:,.0f}"),
    (
        "time_over_plain",
        "Time per step over that of (a): ratio of the lowest times (median ratio within a turn). Goal: at most 1.25 "
        "without the teacher's pass",
        "{:.2f}",
    ),
    ("tokens_over_reference", "Tokens per second over those of (b). Goal: at least 4 for ours", "{:.2f}"),
    ("tokens_over_peer", "Tokens per second over those of (c). Goal: at least 3 for ours", "{:.2f}"),
)


BESIDE = {"least_ms": "median_ms", "time_over_plain": "in_turn_over_plain"}
"""The measure that a cell shows in brackets beside its own."""


def page(frame: pd.DataFrame) -> str:
    lines = [
        "# A training step, measured",
        "",
        "Measured by `benchmarks/train_step.py`, whose docstring describes the contenders.",
        "",
    ]
    for keys, part in frame.groupby(KEYS, sort=False):
        device, threads, precision, model = keys
        dates = ", ".join(sorted(set(part["date"])))
        lines += [f"## {device}, {threads} threads, {precision}", "", f"Model: {model}. Measured {dates}.", ""]
        tasks = list(dict.fromkeys(part["task"]))
        for field, title, form in MEASURES:
            if field not in part or part[field].isna().all():
                continue
            lines += [f"{title}:", "", f"| | {' | '.join(tasks)} |", "|---" * (len(tasks) + 1) + "|"]
            for label in ORDER:
                one = part[part["contender"] == label].set_index("task")
                if len(one) and not one[field].isna().all():
                    lines.append(f"| {label} | " + " | ".join(cell(one, task, field, form) for task in tasks) + " |")
            lines.append("")
    return "\n".join(lines)


def cell(one: pd.DataFrame, task: str, field: str, form: str) -> str:
    if task not in one.index or pd.isna(one[field][task]):
        return ""
    text, beside = form.format(one[field][task]), BESIDE.get(field)
    return f"{text} ({form.format(one[beside][task])})" if beside else text


if __name__ == "__main__":
    main()
