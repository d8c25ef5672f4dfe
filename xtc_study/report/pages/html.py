"""Write the report as a folder of pages that need no network: an index, studies, runs, and downloads."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from xtc_study._version import __version__
from xtc_study.analysis.claims import RULE
from xtc_study.atomic import publish_file
from xtc_study.report.equal_bytes import TITLE, EqualBytes
from xtc_study.report.markup import TEMPLATES, html_environment
from xtc_study.report.pages.equal_bytes import write_equal_bytes
from xtc_study.report.pages.notebooks import NotebookPage, write_notebook_pages
from xtc_study.report.pages.script import CSP, policy, script
from xtc_study.report.pages.siblings import link_back, links_beside
from xtc_study.report.scope import scope_together
from xtc_study.report.study import SHOWN_FAILURES, STATES, StudyPage, with_done_runs, without_missing
from xtc_study.report.summary import cards, claims_figure, description, pareto_figure, runs_by_state, sharing


def write_report(
    folder: Path,
    studies: Sequence[StudyPage],
    *,
    profile: str = "",
    runs_folder: Path | None = None,
    notebooks_folder: Path | None = None,
    run_commands: Mapping[str, str] | None = None,
    published: bool = False,
) -> Path:
    """Write ``folder/index.html``, a page for each study with its downloads, a page for each executed notebook, and
    the page of equal bytes.

    The folder is created if missing. The same studies give the same bytes, and each file is replaced at once, so a
    reader never sees half a page. Pages of other studies in the folder stay, and the index links them; reports in
    sibling folders link each other. Pages of unchanged runs are not rewritten.

    Args:
        folder: where the report is written.
        studies: the studies, in the order of the index.
        profile: the profile's name in headings; empty: the folder's name.
        runs_folder: write a page for each run in it that is done or failed and has its notebook; None: no such pages.
        notebooks_folder: executed copies of the studies' notebooks, named after the study, and of others.
        run_commands: by run id, the command that repeats it.
        published: for readers who run nothing: leave out studies without a done run, missing runs, and the commands
            that would run them.

    Raises:
        ValueError: two studies share a page.
        OSError: the folder cannot be written.
    """
    if published:
        studies = with_done_runs(studies)
    anchors = [study.anchor for study in studies]
    if len(set(anchors)) < len(anchors):
        raise ValueError(f"two studies share a name: {', '.join(sorted(anchors))}")

    # Pages of notebooks come first, because the studies' pages link them.
    folder.mkdir(parents=True, exist_ok=True)
    pages = _run_pages(folder, studies, runs_folder, run_commands or {}) if runs_folder else {}
    executed = _study_notebooks(folder, studies, notebooks_folder) if notebooks_folder else {}
    environment = _environment()
    common: dict[str, Any] = {
        "profile": profile or folder.name,
        "states": shown_states(published),
        "version": __version__,
        "citation": citation(),
        "rule": RULE,
        "published": published,
    }

    # One page per study.
    for study in studies:
        shown = without_missing(study.runs)
        if shown:
            shown = replace(shown, links={run_id: pages[run_id] for run_id in shown.ids if run_id in pages})
        downloads = write_downloads(folder, study)
        html = environment.get_template("study.html.j2").render(
            study=study,
            runs=shown,
            downloads=downloads,
            pages=pages,
            notebook=executed.get(study.name, ""),
            shown_failures=SHOWN_FAILURES,
            **common,
        )
        publish_file(folder / study.href, html)

    # The best of all studies at equal bytes, and the index with the figures of all studies.
    equal = write_equal_bytes(folder, EqualBytes(studies, runs_folder), environment, common, "html")
    pareto, claims = pareto_figure(studies), claims_figure(studies)
    for figure in [*([pareto[0]] if pareto else []), *([] if claims.missing else [claims])]:
        publish_file(folder / f"{figure.name}.svg", figure.file)
    html = environment.get_template("index.html.j2").render(
        studies=studies,
        cards=cards(studies) if studies else [],
        runs_by_state=runs_by_state(studies),
        sharing=sharing(studies),
        scope=scope_together([study.scope for study in studies]),
        stale=sum(len(study.stale) for study in studies),
        pareto=pareto,
        equal=(equal, TITLE) if equal else None,
        claims=None if claims.missing else claims,
        description=description(studies),
        beside=Markup(links_beside(folder)),
        earlier=earlier_pages(folder, studies, ".html"),
        notebooks={name: address for name, address in executed.items() if name not in {one.name for one in studies}},
        **common,
    )
    index = publish_file(folder / "index.html", html)
    link_back(folder)
    return index


def shown_states(published: bool) -> tuple[str, ...]:
    """Return the run states that a report counts; a published report does not count runs that are still to be done."""
    return tuple(state for state in STATES if not published or state not in ("missing", "running"))


def earlier_pages(folder: Path, studies: Sequence[StudyPage], ending: str) -> list[str]:
    """Return the names of study pages that an earlier report left in the folder and that are not in this one."""
    written = {study.href.replace(".html", ending) for study in studies}
    return sorted(path.name for path in folder.glob(f"study-*{ending}") if path.name not in written)


def write_downloads(folder: Path, study: StudyPage) -> dict[str, str]:
    """Write the study's rows as CSV and Parquet, effects as CSV and figures as SVG, in a folder beside its page.

    Returns:
        By file name, its address from the page.
    """
    place = folder / f"study-{study.anchor}"
    files: dict[str, str] = {}
    if study.frame is not None and not study.frame.empty:
        parquet = io.BytesIO()
        study.frame.to_parquet(parquet, index=False)
        publish_file(place / "results.csv", study.frame.to_csv(index=False))
        publish_file(place / "results.parquet", parquet.getvalue())
        files |= {"results.csv": f"{place.name}/results.csv", "results.parquet": f"{place.name}/results.parquet"}
    if study.effect_rows is not None:
        publish_file(place / "effects.csv", study.effect_rows.to_csv(index=False))
        files["effects.csv"] = f"{place.name}/effects.csv"
    for figure in study.figures.values():
        publish_file(place / f"{figure.name}.svg", figure.file)
        files[f"{figure.name}.svg"] = f"{place.name}/{figure.name}.svg"
    return files


def citation() -> str:
    """Return BibTeX entries of this suite and of the paper whose questions it studies."""
    return (TEMPLATES / "citation.bib").read_text("utf-8").replace("VERSION", __version__).strip()


def _run_pages(
    folder: Path, studies: Sequence[StudyPage], runs_folder: Path, commands: Mapping[str, str]
) -> dict[str, str]:
    """Write a page for each done or failed run that has its notebook; return addresses from the index by run id."""
    belongs: dict[str, list[tuple[str, str]]] = {}
    state: dict[str, str] = {}
    errors: dict[str, str] = {}
    for study in studies:
        if not study.runs:
            continue
        errors |= {failure.run_id: failure.error for failure in study.failures}
        for run_id, now in zip(study.runs.ids, study.runs.text["State"], strict=True):
            belongs.setdefault(run_id, []).append((study.title, f"../{study.href}"))
            state[run_id] = "stale" if "stale" in (now, state.get(run_id)) else now
    notebooks = {
        runs_folder / run_id / "notebook.ipynb": NotebookPage(
            run_id, tuple(belongs[run_id]), state[run_id], errors.get(run_id, ""), commands.get(run_id, "")
        )
        for run_id in belongs
        if state[run_id] in ("done", "stale", "failed")
    }
    written = write_notebook_pages(folder / "runs", notebooks)
    return {run_id: f"runs/{path.name}" for run_id, path in written.items()}


def _study_notebooks(folder: Path, studies: Sequence[StudyPage], notebooks: Path) -> dict[str, str]:
    """Write a page for each executed notebook of the folder; return addresses from the index by file name."""
    belongs = {study.name: ((study.title, f"../{study.href}"),) for study in studies}
    pages = {path: NotebookPage(path.stem, belongs.get(path.stem, ())) for path in sorted(notebooks.glob("*.ipynb"))}
    written = write_notebook_pages(folder / "notebooks", pages)
    return {name: f"notebooks/{path.name}" for name, path in written.items()}


def _environment() -> Environment:
    environment = html_environment()
    environment.globals |= {
        "css": Markup((TEMPLATES / "page.css").read_text("utf-8")),  # our own file, not data
        "script": lambda: Markup(script()),
        "policy": policy,
        "plain_policy": CSP,
        "svg": Markup,
    }
    return environment
