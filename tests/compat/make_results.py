"""Write a results folder with commit 0e5d90d: carry out a study by its command line, then trim the folder.

The data are made up here, in words that the built-in encoder knows: a folder in the GLUE download layout, and a data
set of one's own. Generated tasks are unsuitable: their run ids now include a version, so no plan would find them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

from page_tables import tables

STUDY = "15_layers"
CHOSEN = (
    *("--profile", "smoke", "--seed", "0", "--seed", "1", "--axis", "weights=1-bit"),
    *("--axis", "depth=depth 1,depth 1/2", "--set", "batch_size=8", "--set", "teacher_epochs=12", "--set", "epochs=1"),
    *("--set", "reduce_epochs=2", "--set", "reduce_stages=2", "--set", "max_length=24"),
)
"""Two arms and two seeds, with a claim about them. The options for tasks depend on the path of the data."""
KEPT = ("params.json", "metrics.json", "status.json", "environment.json", "predictions.parquet", "curve.csv")
CHANGED = ("95 % interval", "Its 95 % interval", "P (Holm)")
"""Columns of the report's tables that the later rule for verdicts computes or names differently."""
ADDED = ("95 % interval", "P of no difference, Holm over arms", "Lowest to highest seed")
THINGS = ("food", "room", "service", "film", "story", "music", "view", "garden", "soup", "plot")
GOOD = ("good", "nice", "lovely", "charming", "enjoyable", "impressive")
BAD = ("bad", "poor", "boring", "ugly", "dull", "annoying")
DESCRIPTION = """\
name: opinions
question: Is this opinion bad or good?
files: {train: train.csv, dev: dev.csv}
text: opinion
label: verdict
labels: [bad, good]
metrics: [accuracy, matthews]
"""


def make_data(folder: Path) -> None:
    """Write ``SST-2/`` and ``opinions/``: a few dozen sentences each, one in eight with the wrong label."""
    for name, seed in (("SST-2", 1), ("opinions", 2)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        rng = Random(seed)
        distinct: dict[str, int] = {}
        while len(distinct) < 220:
            text, label = sentence(rng)
            distinct.setdefault(text, label)
        of_split = {"train": list(distinct.items())[:160], "dev": list(distinct.items())[160:]}
        for split, rows in of_split.items():
            if name == "SST-2":
                lines = ["sentence\tlabel", *(f"{text}\t{label}" for text, label in rows)]
            else:
                lines = ["opinion,verdict", *(f"{text},{('bad', 'good')[label]}" for text, label in rows)]
            ending = "tsv" if name == "SST-2" else "csv"
            (folder / name / f"{split}.{ending}").write_text("\n".join(lines) + "\n")
    (folder / "opinions" / "opinions.yml").write_text(DESCRIPTION)


def sentence(rng: Random) -> tuple[str, int]:
    """Make a sentence of two opinions; the second decides the label."""

    def pick(words: tuple[str, ...]) -> str:
        return words[int(rng.random() * len(words))]

    first, second = rng.random() < 0.5, rng.random() < 0.5
    of_first, of_second = (pick(GOOD if good else BAD) for good in (first, second))
    negated = rng.random() < 0.3
    text = f"The {pick(THINGS)} was {of_first} but the {pick(THINGS)} was {'not ' if negated else ''}{of_second}."
    return text, int((second != negated) != (rng.random() < 0.125))


def make_results(out: Path) -> None:
    """Write ``data/``, ``results/`` (trimmed run folders), ``results.csv`` and ``report.json`` to ``out``.

    Leaves ``work/``, the results folder as it is before it is trimmed.
    """
    data, work = out / "data", out / "work"
    make_data(data)
    tasks = ["--task", "sst2", "--task", str(data / "opinions" / "opinions.yml"), "--results", str(work)]
    xtc_study("run", STUDY, *CHOSEN, *tasks, "--data-dir", str(data), "--device", "cpu", "--precision", "fp32")
    xtc_study("collect", STUDY, *CHOSEN, *tasks)

    runs = sorted((work / "runs").iterdir())
    for run in runs:
        (out / "results" / "runs" / run.name).mkdir(parents=True)
        for name in KEPT:
            shutil.copy(run / name, out / "results" / "runs" / run.name / name)
        environment = out / "results" / "runs" / run.name / "environment.json"
        plain = json.loads(environment.read_text()) | {"platform": "Linux", "cpu_count": 2}
        environment.write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n")
    # One executed notebook is enough for a run page. Its parameters name folders of the machine.
    notebook = (runs[0] / "notebook.ipynb").read_text().replace(str(out.absolute()), "/made-by-0e5d90d")
    (out / "results" / "runs" / runs[0].name / "notebook.ipynb").write_text(without_machine(notebook))
    shutil.copy(work / "results.csv", out / "results.csv")
    xtc_study("report", STUDY, *CHOSEN, *tasks, "--output", str(work / "report"))
    shown = [table for table in tables(work / "report" / f"study-{STUDY}.html") if "Score" in table[0]]
    pinned = [[dict(zip(table[0], row, strict=True)) for row in table[1:]] for table in shown]
    kept = [[{name: cell for name, cell in row.items() if name not in CHANGED} for row in table] for table in pinned]
    (out / "report.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def add_intervals(out: Path) -> None:
    """Add the interval and p-value of the commit in PYTHONPATH to the arms in ``report.json``.

    Leaves its results.parquet in ``work/``.
    """
    shutil.copytree(out / "results", out / "work")
    tasks = ["--task", "sst2", "--task", str(out / "data" / "opinions" / "opinions.yml")]
    tasks += ["--results", str(out / "work")]
    xtc_study("collect", STUDY, *CHOSEN, *tasks)
    xtc_study("report", STUDY, *CHOSEN, *tasks, "--output", str(out / "work" / "report"))
    now = [table for table in tables(out / "work" / "report" / f"study-{STUDY}.html") if "Score" in table[0]]
    pinned = json.loads((out / "report.json").read_text())
    for table, then in zip(now, pinned, strict=True):
        for row, before in zip(table[1:], then, strict=True):
            cells = dict(zip(table[0], row, strict=True))
            if any(cells[name] != cell for name, cell in before.items()):
                raise ValueError(f"the report shows {cells}, and showed {before}")
            before |= {name: cell for name, cell in cells.items() if name in ADDED}
    (out / "report.json").write_text(json.dumps(pinned, indent=1, ensure_ascii=False) + "\n")


def without_machine(notebook: str) -> str:
    """Remove the paths that papermill records from an executed notebook, and the second copy of its figure."""
    content = json.loads(notebook)
    for cell in content["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
    for field in ("input_path", "output_path"):
        content["metadata"].get("papermill", {}).pop(field, None)
    return re.sub(r"/(home|root|Users|work)/[^\s\"\\]*", "/a-folder", json.dumps(content, indent=1)) + "\n"


def xtc_study(*words: str) -> None:
    """Run the command line of the checkout in PYTHONPATH."""
    subprocess.run([sys.executable, "-c", "from xtc_study.cli import main; main()", *words], check=True)
