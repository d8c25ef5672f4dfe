"""What a page shows of tuning: the values tried and chosen, beside which score, at which cost, and their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from xtc_study.analysis.choices import Choice
from xtc_study.arms import varied_fields
from xtc_study.report.tables import MISSING, PageTable, score_text
from xtc_study.studies import StudySpec
from xtc_study.tasks.metric_names import in_words
from xtc_study.tuning import Tune, values_text

COLUMN = "Tuned"
NOT_TUNED = "not tuned"
UNTUNED = PageTable(pd.DataFrame(), "Nothing was tuned: every arm has the values that the study and the profile set.")


def tuning_table(choices: Sequence[Choice], tune: Tune, trials: pd.DataFrame) -> PageTable:
    """Return a row for each tuned arm and task: the values tried with their held-out scores, and the one chosen.

    Args:
        choices: of the study.
        tune: what was tried, and how.
        trials: rows of ``analysis.collect.collect`` of the trials.
    """
    if not choices:
        return UNTUNED
    text = pd.DataFrame(
        {
            "Task": [choice.task for choice in choices],
            "Arm": [choice.arm for choice in choices],
            COLUMN: [choice.text if choice.chosen is None else f"at {choice.text}" for choice in choices],
            "Held-out score of each value": [_scores(choice) for choice in choices],
            "Metric": [in_words(choice.metric) if choice.metric else MISSING for choice in choices],
        }
    )
    return PageTable(text, _caption(choices, tune, trials), filters=("Task", "Arm"))


def with_tuned_arms(table: PageTable, arms: Sequence[str], choices: Sequence[Choice]) -> PageTable:
    """Return a table of arms with a column of the values that each has, by task where tasks differ.

    Args:
        table: a row for each arm.
        arms: the arm of each row.
        choices: of the study; the table is returned unchanged if there is none.
    """
    return _with_column(table, choices, [_of_arm(choices, arm) for arm in arms])


def with_tuned_tasks(table: PageTable, choices: Sequence[Choice]) -> PageTable:
    """Return a table with the columns Task and Arm, and a column of the values that each row has."""
    if not table:
        return table
    known = {(choice.task, choice.arm): choice for choice in choices}
    # A task of several splits is shown with the split's name behind it.
    pairs = zip(table.text["Task"].str.split(" ").str[0], table.text["Arm"], strict=True)
    found = [known.get((task, arm)) for task, arm in pairs]
    cells = [
        NOT_TUNED if choice is None else choice.text if choice.chosen is None else f"at {choice.text}"
        for choice in found
    ]
    return _with_column(table, choices, cells)


def tuning_limits(choices: Sequence[Choice], tune: Tune, spec: StudySpec) -> list[str]:
    """Return what the tuning of a study, or its absence, leaves open, one sentence each.

    Args:
        choices: of the study.
        tune: what was tried, and how.
        spec: its arms.
    """
    if not choices:
        if "learning_rate" in varied_fields(spec.arms):
            return []
        return ["No value was tuned: every arm gets the same learning rate, which may suit some arms better (--tune)."]
    chosen = [choice for choice in choices if choice.chosen is not None]
    at_edge = sum(bool(choice.edges) for choice in chosen)
    limits = []
    if len(tune.seeds) == 1:
        limits.append(
            f"Each value was chosen by one seed of trials on {tune.holdout} of the training rows; another seed may "
            "choose another value, which the intervals do not count."
        )
    if at_edge:
        of = "choice is" if at_edge == 1 else "choices are"
        limits.append(
            f"{at_edge} of {len(chosen)} tuned {of} at the end of the values tried: a better value may lie beyond it."
        )
    return limits


def seconds_of(frame: pd.DataFrame) -> dict[str, tuple[str, float]]:
    """Return the device and the seconds of each run of a tidy frame, by id."""
    runs = frame.drop_duplicates("run_id")
    spent = zip(runs["device"].tolist(), runs["duration_s"].tolist(), strict=True)
    return dict(zip(runs["run_id"].tolist(), spent, strict=True))


def _caption(choices: Sequence[Choice], tune: Tune, trials: pd.DataFrame) -> str:
    rows = trials.drop_duplicates("task").set_index("task")["n_examples"]
    held = ", ".join(f"{task} {count:,}" for task, count in rows.items())
    seeds = f"seed{'s' if len(tune.seeds) > 1 else ''} {', '.join(map(str, tune.seeds))}"
    done = trials.drop_duplicates("run_id")
    length = "" if tune.length == "1/1" else f", {tune.length} of the arm's epochs"
    return (
        f"What trials chose for each arm and task. Tried: {tune.in_words()}; x1 is the arm's own value. A trial "
        f"trains teacher and student without {tune.holdout} of the training rows and is scored on these"
        f"{f' ({held})' if held else ''}, in points; dev rows are not read. Trials: {seeds}{length}. Of equal scores, "
        f"the value nearest to x1 is chosen. {len(done)} trials are done and took "
        f"{done['duration_s'].sum() / 3600:.2f} h."
    )


def _scores(choice: Choice) -> str:
    cells = []
    for point, score, lost in zip(choice.grid, choice.scores, choice.diverged, strict=True):
        shown = "diverged" if lost else MISSING if score is None else score_text(score)
        cells.append(f"{values_text(point)}: {shown}")
    return "; ".join(cells)


def _of_arm(choices: Sequence[Choice], arm: str) -> str:
    tasks: dict[str, list[str]] = {}
    for choice in choices:
        if choice.arm == arm and choice.chosen is not None:
            tasks.setdefault(f"at {choice.text}", []).append(choice.task)
    if len(tasks) < 2:
        return next(iter(tasks), NOT_TUNED)
    return "; ".join(f"{', '.join(names)} {text}" for text, names in tasks.items())


def _with_column(table: PageTable, choices: Sequence[Choice], cells: Sequence[str]) -> PageTable:
    if not choices or not table:
        return table
    text = table.text.copy()
    text.insert(list(text.columns).index("Arm") + 1, COLUMN, cells)
    return replace(table, text=text)


def hours_text(seconds: Mapping[str, tuple[str, float]]) -> str:
    """Return the hours of trials in words: ``0.52 h over 30 trials``; empty if there is none."""
    if not seconds:
        return ""
    return f"{sum(spent for _, spent in seconds.values()) / 3600:.2f} h over {len(seconds)} trials"
