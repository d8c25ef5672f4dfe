"""What others published, beside what was measured here: only where encoder, depth, bits, task and metric agree.

The figures are package data (``published/scores.csv``), each with its source and how sure it is: ``read`` in a
source, ``derived`` by arithmetic from what was read, or ``recalled`` from memory and unverified. A recalled figure is
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
"""Every published figure is of this encoder, or of one made from it."""
DEPTH = 12
AVERAGE = "GLUE average"
TEACHER = "BERT-base teacher"
COLUMNS = ("arm", "task", "split", "metric", "measured", "published", "origin", "model", "status", "source", "note")


@cache
def published_scores() -> pd.DataFrame:
    """Every published score: origin, model, layers, weight_bits, activation_bits, augmented (yes, no, or empty where
    not known), task, split, metric, value (points), size_mb (as published; NaN where not), status, source, note.
    """
    return _read("scores.csv")


def beside_measured(frame: pd.DataFrame) -> pd.DataFrame:
    """One row an arm and published figure that can be set beside it, with the columns ``COLUMNS``; scores in points.

    Comparable is a run of BERT-base, started from a whole teacher and not narrowed, with the whole vocabulary and the
    figure's depth, bits, task, split and metric; its word table has the bits of its other weights, as in every
    published model. The nine-column average is compared where all nine columns are there. Augmentation, learning rate
    and epochs may differ, and so may the pooler, the small tables and the products of attention, on which the
    published models differ among themselves; ``note`` has what is known of the published run.
    """
    table = frame["embedding_bits"].fillna(frame["weight_bits"]) == frame["weight_bits"]
    whole = (frame["teacher_layers"] == "all") & frame["ffn"].isna() & (frame["vocabulary"] == "full")
    ours = frame[_is_bert_base(frame["model"]) & (frame["start"] == "teacher") & whole & table]
    theirs = published_scores()
    rows = []
    for arm, of_arm in ours.groupby("arm", sort=False):
        first = of_arm.iloc[0]
        recipe = theirs[
            (theirs["layers"] == _depth(first["layers"]))
            & (theirs["weight_bits"] == first["weight_bits"])
            & (theirs["activation_bits"] == first["activation_bits"])
            & (theirs["model"] != TEACHER)
        ]
        measured = of_arm.groupby(["task", "split", "metric"])["value"].mean()
        average = average_of(frame, str(arm))
        for figure in recipe.itertuples():
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
    """Why no published figure stands beside these runs; empty where some does."""
    if frame.empty:
        return "No run is done yet, so there is nothing to set beside the published figures."
    if not beside_measured(frame).empty:
        return ""
    encoders = frame.loc[~_is_bert_base(frame["model"]), "model"].unique()
    if len(encoders):
        return (
            f"The published figures are of {ENCODER} on GLUE; these runs are of {', '.join(map(str, encoders))}, so "
            "no figure can be set beside them."
        )
    tasks = sorted(set(published_scores()["task"]) - {AVERAGE})
    if not set(frame["task"]) & set(tasks):
        return f"Of these tasks no figure is published; there are figures of {', '.join(tasks)}."
    if glue_averages(frame).empty:
        return (
            "No figure that could be read has these depths and bits on these tasks, and the nine-column average needs "
            "all eight tasks."
        )
    return "No figure that could be read has these depths and bits."


def _is_bert_base(models: pd.Series) -> pd.Series:
    return models.str.rstrip("/").str.split("/").str[-1] == ENCODER


def _depth(layers: str) -> int:
    """Layers of a student of BERT-base, from ``collect.compact_layers``."""
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
