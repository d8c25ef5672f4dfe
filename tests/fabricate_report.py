"""A whole report made up for the tests: three studies, runs in every state, executed notebooks, hostile text."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
from fabricate import TASKS, claim, make_done_run, plan_runs, write_json
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from xtc_study.analysis.pareto import ParetoPoint
from xtc_study.arms import grid
from xtc_study.compress.method_version import METHOD_VERSION
from xtc_study.recipe import Recipe
from xtc_study.report.figures.style import STYLE, figure_svg
from xtc_study.report.lazy_page import LazyStudyPage, PageSource
from xtc_study.report.pages.html import write_report
from xtc_study.report.study import StudyPage
from xtc_study.studies import PlannedRun, StudySpec

EVIL = "<script>alert('x')</script>"
ONE = ParetoPoint(
    study="Bits <1>", arm="1-bit", href="study-bits.html", score=0.9, low=0.88, high=0.92, teacher=0.95,
    size_bytes=70_000, latency_ms=math.nan, latency_of="", weight_bits=1, layers="all", comparable=("tiny", "a dev"),
    runs=frozenset({"x"}),
)  # fmt: skip
BIG = replace(ONE, arm="8-bit", score=0.94, size_bytes=250_000, weight_bits=8, runs=frozenset({"y"}))
BAD = replace(ONE, arm="bad", score=0.5, size_bytes=90_000, weight_bits=2, low=math.nan, runs=frozenset({"z"}))


def section(planned: list[PlannedRun], runs: Path, **changed: Any) -> LazyStudyPage:
    """The page of a made-up study.

    Args:
        planned: its runs.
        runs: the folder of run folders.
        changed: of its specification; or ``commands`` or ``run_command``.
    """
    values: dict[str, Any] = {
        "name": "bits",
        "title": "How few bits?",
        "question": "What does each bit-width cost?",
        "notebook": "bits.ipynb",
        "reference": "32-bit",
        "claims": [claim("lower", "1-bit", "32-bit", 0.02, "One bit costs more than 2 points.")],
        "limits": ["Few seeds."],
    }
    commands = [("1-bit", "xtc-study run bits --arm 1-bit"), ("32-bit", "xtc-study run bits --arm 32-bit")]
    commands = changed.pop("commands", commands)
    run_command = changed.pop("run_command", "xtc-study run bits --profile mini")
    spec = StudySpec(**{**values, **changed})
    return LazyStudyPage(PageSource(spec, planned, runs, run_command, commands))


def plain(page: StudyPage, **changed: Any) -> StudyPage:
    """The page with every part computed, and some of them changed."""
    parts = {part.name: getattr(page, part.name) for part in fields(StudyPage)}
    return StudyPage(**{**parts, **changed})


GRID_ARMS = grid(
    {
        "layers": {f"{layers} layers": {"layers": layers} for layers in (6, 4, 2)},
        "bits": {f"{bits}-bit": {"weight_bits": bits} for bits in (8, 2, 1)},
    }
)


def grid_plan() -> list[PlannedRun]:
    """Layers by bits, so that each can be isolated."""
    recipes = [(arm.name, Recipe(task=TASKS[0], seed=seed, **arm.set)) for arm in GRID_ARMS for seed in (0, 1, 2)]
    return [PlannedRun("grid", recipe.run_id, arm, recipe) for arm, recipe in recipes]


def never_run() -> list[PlannedRun]:
    recipes = [
        (arm, Recipe(task=TASKS[1], seed=seed, weight_bits=bits, stages=3))
        for arm, bits in (("32-bit", 8), ("4-bit", 4))
        for seed in (0, 1)
    ]
    return [PlannedRun("empty", recipe.run_id, arm, recipe) for arm, recipe in recipes]


def executed(path: Path, error: bool = False) -> Path:
    """An executed notebook as papermill leaves it, with every kind of output, some of it hostile."""
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(4, 2.5))
        figure.subplots().plot([1, 2, 3], [3, 1, 2])
        drawn = figure_svg(figure, "A line that falls and rises")
    table = (
        "<style>tr {display: none}</style><table><thead><tr><th></th><th>text</th><th>value</th></tr></thead><tbody>"
        f"<tr><th>0</th><td>a &lt; b</td><td>1.5</td></tr><tr><th>1</th><td>{EVIL}</td><td>-22</td></tr>"
        "</tbody></table>"
    )
    described = {"image/svg+xml": {"alt": "A line that falls and rises", "caption": "It falls to 1, then rises."}}
    evil_svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    outputs = [
        new_output("stream", name="stdout", text=f"\x1b[31mred\x1b[0m {EVIL}\n" + "wide " * 80),
        new_output("display_data", data={"image/svg+xml": drawn, "text/plain": "a line"}, metadata=described),
        new_output("display_data", data={"image/svg+xml": evil_svg, "text/plain": "hostile"}),
        new_output("display_data", data={"text/html": table + '<img src="http://example.org/x.png" onerror="x()">'}),
        new_output("display_data", data={"application/javascript": "alert(1)", "text/plain": "nothing"}),
    ]
    if error:
        trace = ["\x1b[31mValueError\x1b[0m: " + EVIL]
        outputs.append(new_output("error", ename="ValueError", evalue=EVIL, traceback=trace))
    cells = [
        new_markdown_cell(
            f"# One model\n\nText, `a < b`, {EVIL} and [a link](javascript:alert(1)).\n\n## Part\n\n> 1 > 0"
        ),
        new_code_cell("claim = 'secret-token'", metadata={"tags": ["injected-parameters"]}),
        new_code_cell("x = 1  # a comment\nprint('text', x)", outputs=outputs, execution_count=1),
    ]
    parameters = {"task": "toy-pairs", "claim": "secret-token", "results_dir": "/home/someone", "data_dir": "/a/glue"}
    papermill = {"parameters": parameters, "version": "2.7.0", "start_time": "2026-05-04T10:00:00", "duration": 12.4}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata={"papermill": papermill}), path)
    return path


def build(folder: Path) -> Path:
    """The index of a report with a study of every state, a factorial one and one that was never run."""
    runs = folder / "results" / "runs"
    planned = plan_runs()
    by_arm = {"32-bit": 0.96, "8-bit": 0.95, "2-bit": 0.93, "1-bit": 0.72}
    for run in planned[:-4]:
        path = make_done_run(runs, run, by_arm[run.arm])
        old = run.recipe.seed == 0
        environment = {"device": "cuda", "precision": "bf16", "commit": "0ld0ld0ld0" if old else "abcdef1234"}
        environment |= {"method": METHOD_VERSION - old}
        write_json(path / "environment.json", {**environment, "packages": {"torch": "2.9.0", "xtc-study": "0.1.0"}})
        write_json(
            path / "status.json",
            {"state": "done", "started": f"2026-05-0{4 if old else 5}T10:00:00+00:00", "duration_s": 421.5},
        )
        executed(path / "notebook.ipynb")
    failed, corrupt, claimed = planned[-4:-1]
    write_json(runs / failed.run_id / "error.json", {"type": "ValueError", "message": EVIL, "cell": 3})
    executed(runs / failed.run_id / "notebook.ipynb", error=True)
    write_json(runs / corrupt.run_id / "status.json", {"state": "done"})
    write_json(runs / claimed.run_id / "claim.json", {"token": "t", "host": "another-machine"})
    cells = grid_plan()
    for run in cells:
        layers, bits = int(str(run.recipe.layers)), run.recipe.weight_bits
        accuracy = 0.95 - {8: 0, 2: 0.01, 1: 0.06}[bits] - {6: 0, 4: 0.02, 2: 0.08}[layers]
        make_done_run(
            runs, run, accuracy, size_bytes=20_000 * layers * (2 + bits), latency_ms=0.5 * layers + bits / 20
        )
    pages = [
        section(planned, runs),
        section(
            cells,
            runs,
            name="grid",
            title="Layers or bits?",
            question="Is it better to drop layers or bits?",
            reference="6 layers, 8-bit",
            arms=GRID_ARMS,
            claims=[
                claim(
                    *("equivalent", "4 layers, 1-bit", "6 layers, 8-bit"),
                    margin=0.01,
                    sentence="Four layers at 1 bit lose at most a point.",
                )
            ],
            commands=[],
        ),
        section(
            never_run(),
            runs,
            name="empty",
            title="Not run yet",
            question="What happens with no run?",
            claims=[claim("equivalent", "4-bit", "32-bit", 0.01, "Nothing is lost.")],
        ),
    ]
    return write_report(folder / "mini", pages, runs_folder=runs, run_commands={planned[0].run_id: "papermill x"})
