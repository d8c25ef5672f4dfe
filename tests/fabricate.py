"""Run folders made up for the tests of analysis and report, as ``xtc_study.runs`` writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from xtc_study.recipe import Recipe
from xtc_study.studies import ClaimSpec, PlannedRun

TASKS = ("toy-sentiment", "toy-pairs")
BITS = {"32-bit": 32, "8-bit": 8, "2-bit": 2, "1-bit": 1}


def plan_runs(arms: dict[str, int] = BITS, tasks: tuple[str, ...] = TASKS, seeds: int = 3) -> list[PlannedRun]:
    recipes = [
        (arm, Recipe(task=task, seed=seed, weight_bits=bits, activation_bits=32 if bits == 32 else 8))
        for arm, bits in arms.items()
        for task in tasks
        for seed in range(seeds)
    ]
    return [PlannedRun("bits", recipe.run_id, arm, recipe) for arm, recipe in recipes]


def claim(
    kind: str, arm: str, reference: str, margin: float = 0.0, sentence: str = "It is so.", source: str = ""
) -> ClaimSpec:
    values = {"sentence": sentence, "kind": kind, "arm": arm, "reference": reference, "margin": margin}
    return ClaimSpec.model_validate({**values, "source": source})


def make_done_run(
    runs: Path,
    planned: PlannedRun,
    accuracy: float = 0.9,
    examples: int = 200,
    latency_ms: float | None = None,
    **changed: object,
) -> Path:
    """A done run, right with about this accuracy; ``changed`` overrides fields of metrics.json."""
    recipe = planned.recipe
    rng = np.random.default_rng([recipe.seed, recipe.weight_bits, len(recipe.task)])
    labels = np.arange(examples) % 2
    guess = np.where(rng.random(examples) < accuracy, labels, 1 - labels)
    teacher = np.where(rng.random(examples) < 0.95, labels, 1 - labels)
    folder = runs / planned.run_id
    folder.mkdir(parents=True)
    write_json(folder / "params.json", {"recipe": recipe.scientific()})
    pd.DataFrame(
        {"split": "dev", "idx": range(examples), "label": labels, "prediction": guess, "teacher_prediction": teacher}
    ).to_parquet(folder / "predictions.parquet")
    right = float((guess == labels).mean())
    row = {"split": "dev", "n_examples": examples, "teacher_value": float((teacher == labels).mean())}
    metrics = {
        "rows": [
            {**row, "metric": "accuracy", "value": right, "best_value": right},
            {**row, "metric": "f1", "value": right / 2, "best_value": None},
        ],
        "size_bytes": 440_000 * recipe.weight_bits // 32 + 20_000,
        "size_bytes_paper": 440_000 * recipe.weight_bits // 32,
        "teacher_size_bytes": 460_000,
        "seconds": {"teacher": 3.0, "student": 9.0},
    }
    write_json(folder / "metrics.json", {**metrics, **changed})
    write_json(
        folder / "environment.json",
        {"device": "cpu", "precision": "fp32", "python": "3.11", "packages": {"torch": "2.9.0", "numpy": "2.3"}},
    )
    if latency_ms is not None:
        write_json(
            folder / "latency.json",
            {"ms": latency_ms, "batch": "1x128", "threads": 1, "engine": "numba", "processor": "a CPU"},
        )
    steps = range(10, 110, 10)
    curve = [("quantise", 1, step, term, 1 / step) for step in steps for term in ("attention", "hidden", "logits")]
    curve += [("quantise", 1, step, "learning rate", 1e-3 / step) for step in steps]
    curve += [("quantise", 1, step, "dev score", right * step / 100) for step in (50, 100)]
    columns = ["phase", "stage", "step", "term", "value"]
    pd.DataFrame(curve, columns=columns).to_csv(folder / "curve.csv", index=False)
    write_json(folder / "status.json", {"state": "done", "started": "2026-05-04T10:00:00+00:00", "duration_s": 12.5})
    return folder


def split_in_two(folder: Path) -> Path:
    """A done run's second half of examples becomes the split ``other``; both keep the run's scores."""
    path = folder / "predictions.parquet"
    frame = pd.read_parquet(path)
    half = len(frame) // 2
    frame.assign(split=["dev"] * half + ["other"] * (len(frame) - half)).to_parquet(path)
    metrics = json.loads((folder / "metrics.json").read_text())
    rows = metrics["rows"] + [{**row, "split": "other"} for row in metrics["rows"]]
    write_json(folder / "metrics.json", {**metrics, "rows": rows})
    return folder


def write_json(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
