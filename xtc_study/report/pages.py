"""One self-contained HTML page for a profile's studies: the answer first, then what it rests on."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xtc_study.analysis.collect import RunFileError, collect, states
from xtc_study.analysis.compare import differences
from xtc_study.analysis.stats import FEW_SEEDS, Claim, Difference, explain, in_short, judge
from xtc_study.report.plots import figure_svg, seeds_by_arm
from xtc_study.report.tables import WORDS, arm_table, arm_text, size_text, task_table, task_text
from xtc_study.studies import PlannedRun

TEMPLATES = Path(__file__).with_name("templates")
STATES = ("done", "running", "failed", "corrupt", "missing")


@dataclass(frozen=True)
class Failure:
    run_id: str
    state: str
    error: str


@dataclass(frozen=True)
class Answer:
    """One claim put to the test."""

    claim: str
    """The finding, in one sentence."""
    verdict: Literal["supported", "contradicted", "undecided", "not run"]
    reasons: str
    """The verdict's reasons with numbers: difference, interval, margin, seeds (``analysis.stats.explain``)."""


@dataclass(frozen=True, eq=False)
class StudyPage:
    """One study's section of the page, in plain values. All text is escaped when written; nothing here is HTML
    except ``figure``, which only ``report.plots.figure_svg`` may make.
    """

    name: str
    """The study's short name; the anchor of its section."""
    title: str
    question: str
    answers: Sequence[Answer]
    """One for each claim, in the study's order."""
    states: Mapping[str, int]
    """How many planned runs are in each of ``STATES``."""
    run_command: str
    """What to type to do the missing runs."""
    arms: pd.DataFrame | None = None
    """``tables.arm_text``. A table of text: its first column heads its rows."""
    arms_caption: str = ""
    figure: str = ""
    figure_caption: str = ""
    tasks: pd.DataFrame | None = None
    """``tables.task_text``."""
    tasks_caption: str = ""
    commands: Sequence[tuple[str, str]] = ()
    """Each arm and the exact command that repeats it."""
    failures: Sequence[Failure] = ()
    limits: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.figure and not self.figure.startswith("<svg "):
            raise ValueError(f"{self.name}: the figure must be an SVG element made by figure_svg")

    @property
    def anchor(self) -> str:
        return re.sub(r"[^A-Za-z0-9_-]+", "-", self.name) or "study"


def write_index(folder: Path, studies: Sequence[StudyPage]) -> Path:
    """Write ``folder/index.html``, one file that needs no network and no script, and return its path.

    The folder is named after the profile and made if missing. The same studies give the same bytes; a reader of
    the old page never sees half of a new one.

    Raises:
        ValueError: two studies share an anchor.
        OSError: the folder cannot be written.
    """
    anchors = [study.anchor for study in studies]
    if len(set(anchors)) < len(anchors):
        raise ValueError(f"two studies share a name: {', '.join(sorted(anchors))}")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(
        profile=folder.name,
        studies=studies,
        states=STATES,
        version=metadata.version("xtc-study"),
        css=Markup((TEMPLATES / "page.css").read_text("utf-8")),  # ours, not data
        svg=Markup,
        table=_table,
    )
    folder.mkdir(parents=True, exist_ok=True)
    return _replace(folder / "index.html", page)


def study_page(
    *,
    name: str,
    title: str,
    question: str,
    reference: str,
    claims: Sequence[tuple[str, Claim]],
    planned: list[PlannedRun],
    runs_folder: Path,
    run_command: str,
    commands: Sequence[tuple[str, str]] = (),
    limits: Sequence[str] = (),
    chance: Mapping[str, float] | None = None,
) -> StudyPage:
    """One study's section from its run folders. Predictions that cannot be compared leave its claims undecided.

    Args:
        reference: the arm that heads the tables and that the others are compared with.
        claims: each finding as a sentence and the same in numbers.
        chance: by task, the score of guessing, in the metric's scale.

    Raises:
        ValueError: an arm has two runs of one task and seed.
    """
    frame, standing = collect(runs_folder, planned), states(runs_folder, planned)
    page = StudyPage(
        name=name,
        title=title,
        question=question,
        answers=[
            Answer(sentence, "not run", "No answer yet: no run of this study is done.") for sentence, _ in claims
        ],
        states=counts_of(standing),
        run_command=run_command,
        commands=commands,
        failures=failures_of(standing),
        limits=limits,
        provenance=provenance_of(frame),
    )
    if frame.empty:
        return page
    comparisons: dict[str, dict[str, Difference]] = {}
    broken = ""
    for other in dict.fromkeys((reference, *(claim.reference for _, claim in claims))):
        try:
            comparisons[other] = differences(runs_folder, frame, other)
        except RunFileError as error:
            comparisons[other], broken = {}, f"The predictions cannot be compared: {error}."
    answers = [_answer(sentence, claim, comparisons[claim.reference], broken) for sentence, claim in claims]
    found = comparisons[reference]
    seen = _seen(claims, comparisons)
    any_difference = next(iter(found.values()), None)
    return replace(
        page,
        limits=[*limits, *_limits_of(any_difference)],
        answers=answers,
        arms=arm_text(arm_table(frame, reference, found), reference),
        arms_caption=_arms_caption(frame, reference, any_difference),
        figure=figure_svg(seeds_by_arm(frame, reference, title=question, chance=chance), f"{question} {seen}"),
        figure_caption=f"{seen} Each mark is one seed; beside it the mean of its arm and the 95 % t interval.",
        tasks=task_text(task_table(frame, reference)),
        tasks_caption="The primary metric of each task, in points, with its 95 % t interval over seeds.",
    )


def _answer(sentence: str, claim: Claim, found: Mapping[str, Difference], broken: str) -> Answer:
    difference = found.get(claim.arm)
    if difference is None:
        waiting = f"Not every task is done for both {claim.arm} and {claim.reference}, so they cannot be compared yet."
        return Answer(sentence, "undecided", broken or waiting)
    return Answer(sentence, judge(claim, difference), explain(claim, difference))


def _seen(claims: Sequence[tuple[str, Claim]], comparisons: Mapping[str, Mapping[str, Difference]]) -> str:
    """What the figure shows, in a sentence: the difference of each claim that has one."""
    parts = [
        in_short(claim, comparisons[claim.reference][claim.arm])
        for _, claim in claims
        if claim.arm in comparisons[claim.reference]
    ]
    return "; ".join(parts) + "." if parts else "The claimed arms cannot be compared yet."


def failures_of(standing: pd.DataFrame) -> tuple[Failure, ...]:
    """The failed and corrupt runs of ``analysis.collect.states``."""
    bad = standing[standing["state"].isin(["failed", "corrupt"])]
    return tuple(Failure(*row) for row in bad[["run_id", "state", "error"]].to_numpy().tolist())


def counts_of(standing: pd.DataFrame) -> dict[str, int]:
    """How many runs are in each of ``STATES``, zeros included."""
    return {state: int((standing["state"] == state).sum()) for state in STATES}


def provenance_of(frame: pd.DataFrame) -> dict[str, str]:
    """Where the numbers come from, every distinct value listed: devices, precision, dates, hours, package versions.

    Args:
        frame: rows of ``analysis.collect.collect``.
    """
    if frame.empty:
        return {}
    runs = frame.drop_duplicates("run_id")
    packages: dict[str, set[str]] = {}
    for text in runs["versions"].unique():
        for package, version in json.loads(text).items():
            packages.setdefault(package, set()).add(str(version))
    return {
        "Device": _distinct(runs["device"]),
        "Precision": _distinct(runs["precision"]),
        "Model": _distinct(runs["model"]),
        "Seeds": _distinct(runs["seed"].sort_values().astype(str)),
        "Runs started": " to ".join(dict.fromkeys((runs["started"].min()[:10], runs["started"].max()[:10]))),
        "Compute": f"{runs['duration_s'].sum() / 3600:.2f} h over {len(runs)} runs",
        "Packages": ", ".join(f"{name} {' and '.join(sorted(packages[name]))}" for name in sorted(packages)),
    }


def _limits_of(difference: Difference | None) -> list[str]:
    if difference is None or difference.n_seeds >= FEW_SEEDS:
        return []
    seeds = f"{difference.n_seeds} seeds" if difference.seeds_resampled else "one seed"
    return [
        f"With {seeds}, intervals of differences are narrower than they should be where seeds differ much "
        f"({FEW_SEEDS} or more are better)."
    ]


def _arms_caption(frame: pd.DataFrame, reference: str, difference: Difference | None) -> str:
    primary = frame[frame["is_primary"]]
    tasks = len(primary[["task", "split"]].drop_duplicates())
    caption = "Score: the primary metric" + (f", mean of {tasks} tasks" if tasks > 1 else "") + ", in points."
    teacher = primary["teacher_value"].mean()
    caption += " Compression: the teacher's fp32 file over the bytes on disk."
    if pd.notna(teacher):
        (size,) = size_text(pd.Series([primary["teacher_size_bytes"].mean()]))
        caption += f" The fp32 teachers score {100 * teacher:.1f} and take {size}."
    if difference:
        caption += (
            f" Difference: to {reference}, in points, over {difference.resamples:,} paired resamples "
            f"(generator seed {difference.rng_seed}), not adjusted for the number of arms."
        )
    return caption


def _distinct(values: pd.Series) -> str:
    return ", ".join(dict.fromkeys(text for text in values if text)) or "not recorded"


def _table(text: pd.DataFrame) -> dict[str, Any]:
    """Header, rows and, for each column, whether it is words (left) or numbers (right)."""
    return {
        "header": list(text.columns),
        "rows": [[str(cell) for cell in row] for row in text.itertuples(index=False, name=None)],
        "words": [column in WORDS for column in text.columns],
    }


def _replace(path: Path, text: str) -> Path:
    """Write beside the file, then rename over it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp makes it private; a report is to be read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
