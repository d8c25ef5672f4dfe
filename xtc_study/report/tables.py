"""The tables of a study as text: the numbers of ``analysis.score_tables`` as words, and how they sort."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from xtc_study.analysis.claims import p_text
from xtc_study.analysis.stats import points
from xtc_study.report.markup import table_html
from xtc_study.tasks.metric_names import in_words

WORDS = (
    "Study",
    "Question",
    "Arm",
    "Task",
    "Metric",
    "Run",
    "State",
    "Started",
    "Status",
    "Source",
    "Origin",
    "Layers",
    "Tuned",
    "Held-out score of each value",
    "On the Pareto front",
    "Error",
    "Best arm",
    "Encoder",
    "Instead of",
    "With an encoder",
    "Without a transformer",
)
"""Columns of text that are words; the others are numbers, which line up at the right."""
SEED_RANGE = "Lowest to highest seed"
"""The head of an arm's range of scores. It is no interval: with few seeds one of a single arm would mean nothing."""
MISSING = "\N{EN DASH}"
P_COLUMN = "P of no difference, Holm over arms"
"""Another test than that of a claim, and another family: it must not be read as the claim's p-value."""


@dataclass(frozen=True, eq=False, repr=False)
class PageTable:
    """A table of a page: what a reader sees, what each cell sorts by, where its rows lead. Plain values, no HTML."""

    text: pd.DataFrame
    """Text in every cell; the first column heads its rows."""
    caption: str
    """What it shows; of a table without rows, why there is none."""
    order: pd.DataFrame | None = None
    """Numbers of the same rows, for those columns whose text does not sort by itself."""
    ids: tuple[str, ...] = ()
    """What each row is, where its first cell is only short for it."""
    links: Mapping[str, str] = field(default_factory=dict)
    """By id: a relative address."""
    filters: tuple[str, ...] = ()
    """Columns with few values, offered as menus."""
    words: tuple[str, ...] = ()
    """Columns of words besides ``WORDS``."""

    def __len__(self) -> int:
        """Rows; a table without any is false."""
        return len(self.text)

    @property
    def cells(self) -> dict[str, Any]:
        """Header, rows of (text, what it sorts by or None), and which columns are words (left) or numbers (right)."""
        columns = []
        for name in self.text.columns:
            shown = [str(cell) for cell in self.text[name]]
            keys: list[str | None] = [None] * len(shown)
            if self.order is not None and name in self.order:
                keys = ["" if pd.isna(value) else f"{value:.9g}" for value in self.order[name]]
            columns.append([(cell, None if key == cell else key) for cell, key in zip(shown, keys, strict=True)])
        return {
            "header": list(self.text.columns),
            "rows": list(zip(*columns, strict=True)),
            "ids": self.ids or tuple(cell for cell, _ in columns[0]) if columns else (),
            "words": [column in (*WORDS, *self.words) for column in self.text.columns],
        }

    def _repr_html_(self) -> str:
        """For a notebook: the table of the page, or the caption alone where there is no row."""
        return table_html(self)

    def __repr__(self) -> str:
        """The same as plain text."""
        return f"{self.caption}\n\n{self.text.to_string(index=False)}" if len(self) else self.caption


NO_TABLE = PageTable(pd.DataFrame(), "No run of this study is done, so there is nothing to show yet.")
_BYTE_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("bytes", 1.0))


def arm_text(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return ``score_tables.arm_table`` as text: scores and differences in points, one unit per column of sizes."""
    on_disk, paper = size_text(table["size_bytes"]), both_units_text(table["size_bytes_paper"])
    complete = table["tasks"] == table["tasks_expected"]
    shown = {
        "Arm": [f"{arm} (reference)" if arm == reference else arm for arm in table["arm"]],
        "Score": [score_text(value) for value in table["score"]],
        SEED_RANGE: _ranges(table),
        "Difference": [_difference(value) for value in table["difference"]],
        "95 % interval": _intervals(table["difference_low"], table["difference_high"], _difference),
        P_COLUMN: [MISSING if pd.isna(p) else p_text(p) for p in table["p_adjusted"]],
        "Seeds": [str(seeds) if seeds else MISSING for seeds in table["seeds"]],
        "On disk": on_disk,
        "Paper's size": paper,
        "Compression": [f"{ratio:.1f}\N{MULTIPLICATION SIGN}" for ratio in table["ratio"]],
    }
    if not complete.all():
        shown["Tasks done"] = [f"{n} of {of}" for n, of in zip(table["tasks"], table["tasks_expected"], strict=True)]
    return pd.DataFrame(shown)


def arm_order(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers behind ``arm_text``, by its column names: what its columns sort by."""
    return pd.DataFrame(
        {
            "Score": table["score"],
            SEED_RANGE: table["score_low"],
            "Difference": table["difference"],
            "95 % interval": table["difference_low"],
            P_COLUMN: table["p_adjusted"],
            "Seeds": table["seeds"],
            "On disk": table["size_bytes"],
            "Paper's size": table["size_bytes_paper"],
            "Compression": table["ratio"],
        }
    )


def task_order(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers behind ``task_text``."""
    columns = {"Score": "score", SEED_RANGE: "score_low", "Teacher": "teacher", "Seeds": "seeds"}
    return pd.DataFrame({name: table[column] for name, column in columns.items()})


def run_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``score_tables.run_table`` as text; a run goes by its hash: its name repeats arm, task and seed."""
    started = [MISSING if pd.isna(text) or not text else str(text)[:16].replace("T", " ") for text in table["started"]]
    return pd.DataFrame(
        {
            "Run": table["run_id"].str.rsplit("-", n=1).str[-1],
            "Arm": table["arm"],
            "Task": table["task"],
            "Seed": table["seed"].astype(str),
            "State": table["state"],
            "Score": [score_text(value) for value in table["score"]],
            "Teacher": [score_text(value) for value in table["teacher"]],
            "On disk": size_text(table["size_bytes"]),
            "Seconds": [MISSING if pd.isna(seconds) else f"{seconds:,.0f}" for seconds in table["duration_s"]],
            "Started": started,
        }
    )


def run_order(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers behind ``run_text``."""
    columns = {"Score": "score", "Teacher": "teacher", "On disk": "size_bytes", "Seconds": "duration_s"}
    return pd.DataFrame({name: table[column] for name, column in columns.items()})


def task_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``score_tables.task_table`` as text; the split is named if a task has several."""
    several = table.groupby("task")["split"].transform("nunique") > 1
    tasks = table["task"].where(~several, table["task"] + " " + table["split"])
    return pd.DataFrame(
        {
            "Task": tasks,
            "Arm": table["arm"],
            "Score": [score_text(value) for value in table["score"]],
            SEED_RANGE: _ranges(table),
            "Teacher": [score_text(value) for value in table["teacher"]],
            "Seeds": table["seeds"].astype(str),
            "Metric": table["metric"].map(in_words),
        }
    )


def published_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``analysis.published.beside_measured`` as text; empty if that is."""
    tasks = [f"{task} {split}".strip() for task, split in zip(table["task"], table["split"], strict=True)]
    return pd.DataFrame(
        {
            "Arm": table["arm"],
            "Task": [task.removesuffix(" dev") for task in tasks],
            "Metric": table["metric"],
            "Measured": [score_text(value / 100) for value in table["measured"]],
            "Published": [score_text(value / 100) for value in table["published"]],
            "Origin": [f"{origin} ({model})" for origin, model in zip(table["origin"], table["model"], strict=True)],
            "Status": table["status"],
            "Source": [
                f"{source}; {note}" if note else source
                for source, note in zip(table["source"], table["note"], strict=True)
            ],
        }
    )


def published_order(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers behind ``published_text``."""
    return pd.DataFrame({"Measured": table["measured"], "Published": table["published"]})


def size_text(sizes: pd.Series) -> list[str]:
    """In decimal units (1 MB is 10^6 bytes), all in the unit of the smallest so that the column can be compared."""
    unit, factor = next((pair for pair in _BYTE_UNITS if sizes.min() >= pair[1]), _BYTE_UNITS[-1])
    return [MISSING if pd.isna(size) else f"{size / factor:,.1f} {unit}" for size in sizes]


def both_units_text(sizes: pd.Series) -> list[str]:
    """``size_text`` and, from a megabyte on, the same in MiB, as the paper has its sizes: ``13.7 MB (13.0 MiB)``."""
    binary = [f" ({size / 2**20:,.1f} MiB)" if sizes.min() >= 1e6 else "" for size in sizes]
    return [text if text == MISSING else text + more for text, more in zip(size_text(sizes), binary, strict=True)]


def size_word(size: float) -> str:
    """One size, in the largest unit it fills: 97,100 gives ``97.1 kB``."""
    unit, factor = next((pair for pair in _BYTE_UNITS if size >= pair[1]), _BYTE_UNITS[-1])
    value = size / factor
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:,.0f} {unit}"


def _intervals(lows: pd.Series, highs: pd.Series, show: Callable[[float], str]) -> list[str]:
    bounds = zip(lows, highs, strict=True)
    return [MISSING if pd.isna(low) else f"{show(low)} to {show(high)}" for low, high in bounds]


def score_text(value: float) -> str:
    """A score in points with one decimal and a true minus sign; a dash where there is none."""
    return MISSING if pd.isna(value) else f"{round(100 * value, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")


def after_title(title: str, rest: str) -> str:
    """A title and what follows on its line: after a comma, unless the title ends as a sentence does."""
    return f"{title} {rest}" if title.endswith(("?", "!", ".", ":")) else f"{title}, {rest}"


def _ranges(table: pd.DataFrame) -> list[str]:
    lows = table["score_low"].where(table["seeds"] > 1)
    return _intervals(lows, table["score_high"], score_text)


def _difference(value: float) -> str:
    return MISSING if pd.isna(value) else points(value)
