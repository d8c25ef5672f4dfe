"""The tables of a study's page: numbers as text, with a caption and what each column sorts by."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from xtc_study.analysis.glue_average import is_whole_glue
from xtc_study.analysis.published import beside_measured, why_not_comparable
from xtc_study.analysis.score_tables import run_table, task_table
from xtc_study.analysis.stats import Difference
from xtc_study.analysis.teachers import teachers_score, teachers_size
from xtc_study.report.tables import (
    NO_TABLE,
    P_COLUMN,
    PageTable,
    arm_order,
    arm_text,
    published_order,
    published_text,
    run_order,
    run_text,
    score_text,
    size_text,
    task_order,
    task_text,
)


def arms_part(
    frame: pd.DataFrame,
    table: pd.DataFrame,
    reference: str,
    differences: Mapping[str, Difference],
    left_out: Mapping[str, str],
) -> PageTable:
    """What each arm scores and weighs, the reference first.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study.
        table: ``analysis.score_tables.arm_table`` of it.
        reference: the arm that the others are compared with.
        differences: by arm, its difference to the reference.
        left_out: by arm, why it has none although its runs are done.
    """
    if frame.empty:
        return NO_TABLE
    caption = _arms_caption(frame, reference, differences)
    caption += "".join(f" {arm} has no difference. {why}" for arm, why in left_out.items())
    return PageTable(arm_text(table, reference), caption, arm_order(table))


def tasks_part(frame: pd.DataFrame, reference: str) -> PageTable:
    """Every arm on every task, the reference first in each.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study.
        reference: the arm that the others are compared with.
    """
    if frame.empty:
        return NO_TABLE
    table = task_table(frame, reference)
    several = table["task"].nunique() > 1
    of_tasks = f"{table['task'].nunique()} tasks" if several else "one task"
    caption = f"The primary metric of each task ({of_tasks}), in points, with the lowest and the highest seed."
    return PageTable(task_text(table), caption, task_order(table), filters=("Task", "Arm"))


def published_part(frame: pd.DataFrame) -> PageTable:
    """What was published beside what was measured here; without rows its caption is the reason.

    Args:
        frame: rows of ``analysis.collect.collect``, of one study.
    """
    if frame.empty:
        return NO_TABLE
    table = beside_measured(frame)
    if table.empty:
        return PageTable(pd.DataFrame(), why_not_comparable(frame) or "Nothing published fits these arms.")
    caption = (
        "Published scores and those measured here, in points: same encoder, depth, bits, task and metric. "
        "Augmentation, learning rate and epochs may differ. Status: read in its source, derived from what was read, "
        "or recalled and unverified."
    )
    return PageTable(published_text(table), caption, published_order(table), filters=("Arm", "Task", "Origin"))


def runs_part(run_states: pd.DataFrame, frame: pd.DataFrame, stale: Mapping[str, str]) -> PageTable:
    """Every planned run and its state.

    Args:
        run_states: ``analysis.collect.states``.
        frame: rows of ``analysis.collect.collect``, of the same runs.
        stale: run ids that ``analysis.stale`` names; their state says so.
    """
    if run_states.empty:
        return NO_TABLE
    table = run_table(run_states, frame, stale)
    caption = "Every run. The score is the primary metric in points, of the reloaded file."
    ids = tuple(table["run_id"])
    return PageTable(run_text(table), caption, run_order(table), ids, filters=("State", "Arm", "Task"))


def _arms_caption(frame: pd.DataFrame, reference: str, differences: Mapping[str, Difference]) -> str:
    primary = frame[frame["is_primary"]]

    # What the score is the mean of.
    tasks = len(primary[["task", "split"]].drop_duplicates())
    mean = "the GLUE average of nine columns" if is_whole_glue(frame) else f"mean of {tasks} tasks and splits"
    caption = "Score: the primary metric" + (f", {mean}" if tasks > 1 else "") + ", in points."

    # The two sizes must not be mixed, so both are explained.
    caption += " Compression: the teacher's fp32 file over the bytes on disk. Paper's size: every matrix at its bits"
    caption += " and nothing else; 1 MiB, the unit of the paper's figures, is 2^20 bytes."
    two_bits = primary["weight_bits"].eq(2)
    if "two_bit_levels" in primary:
        two_bits &= primary["two_bit_levels"].ne("odd")
    if two_bits.any():
        caption += " It counts 2 bits for a ternary weight, of which the file holds five in a byte (1.6 bits each)."

    if "static" in primary and primary["static"].notna().any():
        caption += " A static table has no teacher: its compression is against its encoder in fp32."

    # One mean of teachers of several depths would be no arm's.
    teacher = teachers_score(primary)
    if primary["teacher_layers"].nunique() > 1:
        caption += " Teachers differ in depth, and each arm's is its own."
    elif pd.notna(teacher):
        (size,) = size_text(pd.Series([teachers_size(primary)]))
        caption += f" The fp32 teachers score {score_text(teacher)} and take {size}."

    # All differences are drawn alike, so any of them has the numbers of the draw.
    drawn = next(iter(differences.values()), None)
    if drawn:
        caption += (
            f" Difference: to {reference}, in points, over {drawn.resamples:,} paired resamples "
            f"(generator seed {drawn.rng_seed}). {P_COLUMN}: two-sided p-value, adjusted for the number of arms; "
            "the intervals are not. A claim's p-value above is of another test, adjusted over the claims."
        )
    return caption
