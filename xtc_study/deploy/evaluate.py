"""Measure the results of a run on the reloaded packed file: scores, real bytes and predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from xtc_study.compress.quantization.freeze import freeze
from xtc_study.compress.sizes import paper_size_bytes
from xtc_study.deploy.model_card import write_card
from xtc_study.model_folder import WEIGHTS
from xtc_study.packed.as_stored import rounded_student
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.loading import load
from xtc_study.tasks.metric_names import higher_is_better, in_words
from xtc_study.tasks.metrics import answers_one_class, score
from xtc_study.tasks.task import Task
from xtc_study.tasks.trial_rows import held_out_record
from xtc_study.training.pipeline import Pipeline, Trained
from xtc_study.training.predict import decide, predict
from xtc_study.training.pretrained import untrained_encoder


class ReloadError(RuntimeError):
    """The packed file's logits differ from the trained student's, so the file is wrong."""


@dataclass(frozen=True)
class Evaluation:
    """The content of metrics.json, predictions.parquet and curve.csv, and the loaded model."""

    model: Any
    metrics: dict[str, Any]
    predictions: pd.DataFrame
    """One row per dev example: split, idx, label, prediction, teacher_prediction."""
    curve: list[dict[str, Any]]

    def scores(self) -> pd.DataFrame:
        """Return one row per split and metric: the teacher's score and that of the loaded file."""
        frame = pd.DataFrame(self.metrics["rows"])
        frame = frame.assign(metric=frame["metric"].map(in_words)).set_index(["split", "metric"])
        return frame[["teacher_value", "value"]].rename(
            columns={"teacher_value": "teacher", "value": "packed student"}
        )


def measure(pipeline: Pipeline, teacher: Trained | None, student: Trained, folder: Path) -> Evaluation:
    """Pack the student into ``folder``, reload it, and score the loaded model.

    The student is frozen first, on the device that trained it, so that the file, the vocabulary cut and the student's
    forward pass use the same integers and scales. These are computed from the latent weights of its last step; on
    another device the same steps may give other last bits, but a run never differs from its own file. What the
    recipe's ``vocabulary`` cuts and its ``rest`` rounds is cut and rounded in the student too, so that its logits are
    those of the file.

    Args:
        pipeline: the recipe's pipeline.
        teacher: the trained teacher; None: a static table has none, and its predictions and scores stay empty.
        student: the trained student.
        folder: where the packed file is written.

    Raises:
        ReloadError: the loaded model does not give the student's logits bit for bit.
        ValueError: no file can store the weights; the message names the module.
    """
    freeze(student.model)

    # Names of the outputs for transformers' pipeline, and of the task for ``predict``.
    names, config = dict(enumerate(pipeline.task.labels)), student.model.config
    config.xtc_task, config.xtc_texts = pipeline.task.name, len(pipeline.task.text_fields)
    if names:
        config.id2label, config.label2id = names, {name: i for i, name in names.items()}
    else:
        config.problem_type = "regression"  # otherwise transformers' pipeline applies a sigmoid to the value

    # Write the file, and reload it with the engine that runs on every device; the others give the same integers
    # (tests/packed/engines/test_engines.py).
    filed = pipeline.filed(student.model)
    size = save_packed(filed.model, folder, filed.tokenizer, pipeline.recipe.rest, pipeline.longest)
    loaded = load(folder, "torch").to(pipeline.precision.device)
    as_stored = rounded_student(filed.model, pipeline.recipe.rest)

    # The loaded model must give exactly the student's logits on every dev row.
    rows: list[dict[str, Any]] = []
    parts = []
    for split, encoded in filed.dev.items():
        logits = predict(loaded, encoded, filed.padding)
        difference = float(np.abs(logits - predict(as_stored, encoded, filed.padding)).max())
        if difference != 0.0:
            raise ReloadError(
                f"split {split}: the loaded model's logits differ from the student's by {difference:g}; please report "
                "this as a bug"
            )

        part = pd.DataFrame(
            {
                "split": split,
                "idx": pipeline.text[split]["idx"][:],
                "label": np.asarray(encoded["labels"][:], dtype=np.float64),
                "prediction": decide(logits, pipeline.task),
                "teacher_prediction": _teachers(pipeline, teacher, split),
            }
        )
        parts.append(part)
        rows += [_row(pipeline, part, split, metric, student) for metric in pipeline.task.metrics]

    metrics = {
        "rows": rows,
        "size_bytes": size,
        "size_bytes_paper": paper_size_bytes(
            filed.model, pipeline.recipe.weight_bits, pipeline.recipe.embedding_bits_used
        ),
        "teacher_size_bytes": _teacher_bytes(pipeline, teacher),
        "seconds": {"teacher": teacher.seconds if teacher else 0.0, "student": student.seconds},
        "steps": [step.address for step in pipeline.steps],
        "steps_reused": (teacher.reused if teacher else 0) + student.reused,
        "reload_difference": 0.0,
        "augmentation": pipeline.pool.record() if pipeline.pool is not None else None,
        "vocabulary": filed.vocabulary,
        "heads": pipeline.head_notes(),
        "lengths": {split: lengths.record() for split, lengths in pipeline.lengths.items()},
        "holdout": held_out_record(pipeline.recipe.holdout, pipeline.text),
        "one_answer": _one_answer(parts, pipeline.task, "prediction"),
        "teacher_one_answer": _one_answer(parts, pipeline.task, "teacher_prediction") if teacher else {},
    }

    write_card(folder, pipeline.recipe, metrics, pipeline.task.primary_metric)
    curve = (teacher.curve if teacher else []) + student.curve
    return Evaluation(loaded, metrics, pd.concat(parts, ignore_index=True), curve)


def _teachers(pipeline: Pipeline, teacher: Trained | None, split: str) -> Any:
    """Return the teacher's predictions on a split, (rows,) float64; NaN without a teacher."""
    if teacher is None:
        return np.full(len(pipeline.dev[split]), np.nan)
    return decide(predict(teacher.model, pipeline.dev[split], pipeline.padding), pipeline.task)


def _teacher_bytes(pipeline: Pipeline, teacher: Trained | None) -> int:
    """Return the bytes of the teacher's file or, without a teacher, of the encoder's numbers in fp32."""
    if teacher is not None:
        return (pipeline.store.folder(teacher.step.address) / WEIGHTS).stat().st_size
    with torch.device("meta"):
        encoder = untrained_encoder(pipeline.recipe.model, pipeline.places.models_dir, pipeline.task.num_labels)
    return 4 * sum(int(parameter.numel()) for parameter in encoder.parameters())


def _row(pipeline: Pipeline, part: pd.DataFrame, split: str, metric: str, student: Trained) -> dict[str, Any]:
    labels, taught = part["label"].to_numpy(), part["teacher_prediction"]
    best = None
    if metric == pipeline.task.primary_metric and split == pipeline.task.eval_splits[0]:
        last = student.step.phase  # scores of an earlier phase are not of this student
        on_the_way = [p["value"] for p in student.curve if p["term"] == "dev score" and p["phase"] == last]
        best = max(on_the_way, default=None)  # a static table has no way
    return {
        "split": split,
        "metric": metric,
        "value": score(metric, labels, part["prediction"].to_numpy()),
        "best_value": best,
        "teacher_value": None if taught.isna().all() else score(metric, labels, taught.to_numpy()),
        "n_examples": len(part),
        "higher_is_better": higher_is_better(metric),
    }


def _one_answer(parts: list[pd.DataFrame], task: Task, column: str) -> dict[str, str]:
    """Return, by split, the class or number that a model predicts for every row; no entry if predictions differ."""
    answers = {}
    for part in parts:
        if answers_one_class(part[column].to_numpy()):
            answer = part[column].iloc[0]
            answers[str(part["split"].iloc[0])] = task.labels[int(answer)] if task.labels else f"{answer:g}"
    return answers


def wrong_examples(pipeline: Pipeline, evaluation: Evaluation, count: int = 8) -> pd.DataFrame:
    """Return dev examples that the student gets wrong, those that its teacher gets right first.

    For a regression, return the examples with the largest errors.

    Args:
        pipeline: the recipe's pipeline.
        evaluation: what ``measure`` returned.
        count: maximum number of examples.
    """
    # Texts beside predictions.
    split = pipeline.task.eval_splits[0]
    frame = evaluation.predictions[evaluation.predictions["split"] == split].reset_index(drop=True)
    texts = pipeline.text[split].to_pandas()[list(pipeline.task.text_fields)].reset_index(drop=True)
    frame = pd.concat([texts, frame.drop(columns=["split"])], axis=1)
    frame["off"] = (frame["prediction"] - frame["label"]).abs()
    if pipeline.task.is_regression:
        farthest: pd.DataFrame = frame.sort_values("off", ascending=False).head(count)
        return farthest.drop(columns=["idx", "off"]).round(2)

    # Wrong classes, as names.
    if frame["teacher_prediction"].isna().all():
        frame = frame.drop(columns="teacher_prediction")
    frame["teacher_off"] = (frame.get("teacher_prediction", frame["prediction"]) - frame["label"]).abs()
    wrong = frame[frame["off"] > 0].sort_values(["teacher_off", "idx"]).head(count)
    names = dict(enumerate(pipeline.task.labels))
    for column in [name for name in ("label", "prediction", "teacher_prediction") if name in wrong]:
        wrong[column] = wrong[column].astype(int).map(names)
    shown: pd.DataFrame = wrong.drop(columns=["idx", "off", "teacher_off"])
    return shown.reset_index(drop=True)
