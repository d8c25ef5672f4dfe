"""Compare published scores with those measured here, if encoder, depth, bits, task and metric agree.

The published scores are package data (``published/scores.csv``), each with its source and status: ``read`` in the
source, ``derived`` by arithmetic from what was read, or ``recalled`` from memory and unverified. A recalled score is
never shown without that word.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from io import StringIO

import pandas as pd

from xtc_study.analysis.glue_average import average_of, glue_averages
from xtc_study.share import Share

ENCODER = "bert-base-uncased"
"""The encoder of every published score, or the one it was made from."""
DEPTH = 12
AVERAGE = "GLUE average"
TEACHER = "BERT-base teacher"
COLUMNS = ("arm", "task", "split", "metric", "measured", "published", "origin", "model", "status", "source", "note")


@cache
def published_scores() -> pd.DataFrame:
    """Return every published score.

    Columns: origin, model, layers, weight_bits, activation_bits, augmented (yes, no, or empty if not known), task,
    split, metric, value (points), size_mb (as published; NaN if not), status, source, note.
    """
    return _read("scores.csv")


def beside_measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per arm and published score that it can be compared with. Columns ``COLUMNS``; scores in points.

    A run is comparable if it is of BERT-base, started from a whole teacher, is not narrowed, has the whole vocabulary
    and the published depth, bits, task, split and metric, and its word table has the bits of its other weights, as in
    every published model. The nine-column average is compared if all nine columns are measured. Augmentation,
    learning rate and epochs may differ, and so may the pooler, the small tables and the products of attention, in
    which the published models differ among themselves; ``note`` gives what is known of the published run.
    """
    # Runs of the shape that was published.
    same_table = frame["embedding_bits"].fillna(frame["weight_bits"]) == frame["weight_bits"]
    whole = (frame["teacher_layers"] == "all") & frame["ffn"].isna() & (frame["vocabulary"] == "full")
    comparable = frame[_is_bert_base(frame["model"]) & (frame["start"] == "teacher") & whole & same_table]
    published = published_scores()

    rows = []
    for arm, arm_rows in comparable.groupby("arm", sort=False):
        # Published scores of this arm's depth and bits.
        first = arm_rows.iloc[0]
        candidates = published[
            (published["layers"] == _depth(first["layers"]))
            & (published["weight_bits"] == first["weight_bits"])
            & (published["activation_bits"] == first["activation_bits"])
            & (published["model"] != TEACHER)
        ]
        measured = arm_rows.groupby(["task", "split", "metric"])["value"].mean()
        average = average_of(frame, str(arm))

        # One row for each of them on a measured task, split and metric.
        for figure in candidates.itertuples():
            if figure.task == AVERAGE:
                value = average
            else:
                value = measured.get((figure.task, figure.split, figure.metric), float("nan"))
            if pd.notna(value):
                rows.append(
                    {
                        "arm": str(arm),
                        "task": figure.task,
                        "split": figure.split,
                        "metric": figure.metric,
                        "measured": 100 * value,
                        "published": figure.value,
                        "origin": figure.origin,
                        "model": figure.model,
                        "status": figure.status,
                        "source": figure.source,
                        "note": figure.note,
                    }
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def why_not_comparable(frame: pd.DataFrame) -> str:
    """Return why no published score can be compared with these runs; empty if one can."""
    if frame.empty:
        return "No run is done yet, so there is nothing to compare with published scores."
    if not beside_measured(frame).empty:
        return ""
    encoders = frame.loc[~_is_bert_base(frame["model"]), "model"].unique()
    if len(encoders):
        return (
            f"The published scores are of {ENCODER} on GLUE; these runs are of {', '.join(map(str, encoders))}, so "
            "the two cannot be compared."
        )
    tasks = sorted(set(published_scores()["task"]) - {AVERAGE})
    if not set(frame["task"]) & set(tasks):
        return f"No published score is of these tasks; the scores collected here are of {', '.join(tasks)}."
    if glue_averages(frame).empty:
        return (
            "None of the published scores collected here has these depths and bits on these tasks, and the "
            "nine-column average needs all eight tasks."
        )
    return "None of the published scores collected here has these depths and bits."


def _is_bert_base(models: pd.Series) -> pd.Series:
    return models.str.rstrip("/").str.split("/").str[-1] == ENCODER


def _depth(layers: str) -> int:
    """Return the number of layers of a student of BERT-base, from ``collect.compact_layers``."""
    if layers == "all":
        return DEPTH
    if "/" in layers:
        return Share.parse(layers).of(DEPTH)
    return len(layers.strip(".").split(".")) if "." in layers else int(layers)


def _read(name: str) -> pd.DataFrame:
    text = (files("xtc_study") / "published" / name).read_text(encoding="utf-8")
    frame = pd.read_csv(StringIO(text))
    words = frame.select_dtypes(exclude="number").columns
    return frame.assign(**{column: frame[column].fillna("") for column in words})
