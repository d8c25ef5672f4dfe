"""Compare two arms: from the tidy frame and the stored predictions to paired samples and differences."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from xtc_study.analysis.collect import predictions
from xtc_study.analysis.stats import Difference, PairedSample, macro_difference
from xtc_study.recipe import Recipe
from xtc_study.runs.records import RunFileError

AFTER_TRAINING = ("rest", "vocabulary")
"""Recipe fields that change a student after its training: arms that differ only in these are the same models."""
TEACHER = "teacher"
"""The reference that stands for each run's own teacher (column teacher_prediction), unless an arm has this name."""


def paired_samples(runs_folder: Path, frame: pd.DataFrame, arm: str, reference: str) -> list[PairedSample]:
    """Return one sample per task and split, with its primary metric and the seeds that both arms have done.

    Args:
        runs_folder: contains the run folders.
        frame: rows of ``collect`` of one study. Tasks without a common seed are left out.
        arm: the arm's name.
        reference: the name of the arm it is compared with, or ``TEACHER``.

    Raises:
        RunFileError: a predictions file cannot be used, or two runs of a task disagree on its examples or labels.
        ValueError: an arm has two runs of one task and seed.
    """
    samples = []
    primary = frame[frame["is_primary"]]
    for key, rows in primary.groupby(["task", "split", "metric"], sort=False):
        task, split, metric = map(str, key)
        arm_runs = runs_by_seed(rows, arm)
        reference_runs = arm_runs if _means_teacher(frame, reference) else runs_by_seed(rows, reference)
        column = "teacher_prediction" if _means_teacher(frame, reference) else "prediction"
        seeds = sorted(set(arm_runs) & set(reference_runs))
        if not seeds:
            continue

        # Predictions can be paired only if every run has the same examples in the same order.
        arm_files = [one_split(runs_folder, arm_runs[seed], split) for seed in seeds]
        reference_files = [one_split(runs_folder, reference_runs[seed], split) for seed in seeds]
        first = arm_files[0]
        for seed, file in [*zip(seeds, arm_files, strict=True), *zip(seeds, reference_files, strict=True)]:
            if not file[["idx", "label"]].equals(first[["idx", "label"]]):
                raise RunFileError(
                    f"{task}, {split}, seed {seed}: the runs of {arm!r} and {reference!r} were not evaluated on "
                    "the same examples, so they cannot be paired"
                )

        if _means_teacher(frame, reference) and reference_files[0][column].isna().any():
            raise RunFileError(
                f"{task}, {split}: the runs of {arm!r} have no teacher, so they cannot be compared with it"
            )
        samples.append(
            PairedSample(
                task=f"{task} {split}",
                metric=metric,
                labels=first["label"].to_numpy(np.float64),
                arm=np.stack([file["prediction"].to_numpy(np.float64) for file in arm_files]),
                reference=np.stack([file[column].to_numpy(np.float64) for file in reference_files]),
                models=f"{task}, seeds {seeds}",
                same_training=not _means_teacher(frame, reference) and _same_training(rows, arm, reference, seeds),
                seedless=not _means_teacher(frame, reference) and _seedless(rows, arm, reference),
            )
        )
    return samples


def differences(
    runs_folder: Path,
    frame: pd.DataFrame,
    reference: str,
    arms: Collection[str] | None = None,
    *,
    resamples: int = 2000,
    rng_seed: int = 0,
    own_streams: bool = False,
) -> dict[str, Difference]:
    """Return each arm minus the reference, as the mean over every task and split of the frame.

    An arm that lacks a task, or on some task shares no seed with the reference, has no entry: its mean would be over
    different tasks.

    Args:
        runs_folder: contains the run folders.
        frame: rows of ``collect`` of one study.
        reference: the name of an arm, or ``TEACHER``.
        arms: compare only these; None: all except the reference.
        resamples: number of bootstrap resamples.
        rng_seed: seed of the random generator.
        own_streams: draw the seeds' part of each difference independently, as a ratio of differences needs.

    Raises:
        RunFileError, ValueError: as ``paired_samples``.
    """
    tasks = frame.loc[frame["is_primary"], ["task", "split"]].drop_duplicates()
    by_arm = {}
    for number, arm in enumerate(frame["arm"].unique()):
        wanted = arm != reference and (arms is None or arm in arms)
        samples = [] if not wanted else paired_samples(runs_folder, frame, arm, reference)
        if samples and len(samples) == len(tasks):
            by_arm[str(arm)] = macro_difference(
                samples, resamples=resamples, rng_seed=rng_seed, stream=number if own_streams else 0
            )
    return by_arm


def _means_teacher(frame: pd.DataFrame, reference: str) -> bool:
    return reference == TEACHER and not (frame["arm"] == TEACHER).any()


def _same_training(rows: pd.DataFrame, arm: str, reference: str, seeds: Sequence[int]) -> bool:
    """Return whether the runs of both arms agree in every recipe field that shapes training."""
    fields = [field for field in Recipe.model_fields if field in rows.columns and field not in AFTER_TRAINING]
    of_seeds = rows[rows["seed"].isin(seeds)]
    arm_fields, reference_fields = (
        of_seeds.loc[of_seeds["arm"] == name, fields].sort_values("seed", ignore_index=True)
        for name in (arm, reference)
    )
    return arm_fields.equals(reference_fields)


def _seedless(rows: pd.DataFrame, arm: str, reference: str) -> bool:
    """Return whether both arms are static tables, which draw nothing at random."""
    return "static" in rows and bool(rows.loc[rows["arm"].isin([arm, reference]), "static"].notna().all())


def runs_by_seed(rows: pd.DataFrame, arm: str) -> dict[int, str]:
    chosen = rows[rows["arm"] == arm]
    if chosen["seed"].duplicated().any():
        raise ValueError(f"arm {arm!r} has two runs of one task and seed: {', '.join(chosen['run_id'])}")
    return dict(zip(chosen["seed"].astype(int), chosen["run_id"], strict=True))


def one_split(runs_folder: Path, run_id: str, split: str) -> pd.DataFrame:
    """Return the rows of ``predictions`` of this split.

    Raises:
        RunFileError: as ``predictions``, or the split has no row.
    """
    frame = predictions(runs_folder, run_id)
    rows = frame[frame["split"] == split].reset_index(drop=True)
    if rows.empty:
        raise RunFileError(f"{run_id}/predictions.parquet: no row of split {split!r}, though metrics.json has a score")
    return rows
