"""Where a project keeps its results, the same from a shell, from papermill and from JupyterLab."""

from __future__ import annotations

import os
from pathlib import Path

RESULTS_VARIABLE = "XTC_RESULTS"
"""Environment variable: a folder to use instead of the project's results/."""


def project_folder() -> Path:
    """The nearest folder upwards that holds notebooks/ and pyproject.toml, else the checkout this package runs from.

    A notebook sees its own folder as the current one in JupyterLab and the caller's under papermill; this is the
    same in both.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).parents[1]):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return here


def results_folder(profile: str, chosen: str | Path | None = None) -> Path:
    """``chosen`` if given, else $XTC_RESULTS/profile, else the project's results/profile. Absolute."""
    if chosen:
        return Path(chosen).expanduser().absolute()
    root = os.environ.get(RESULTS_VARIABLE)
    return (Path(root).expanduser() if root else project_folder() / "results").absolute() / profile


def check_results(folder: Path) -> None:
    """That a results folder, which need not be there yet, does not lie at or below a file.

    Raises:
        ValueError: it does.
    """
    for path in (folder, *folder.parents):
        if path.is_dir():
            return
        if path.exists():
            raise ValueError(f"results {folder}: {path} is a file; choose a folder with --results")


def optional_folder(path: str | Path | None, what: str) -> Path | None:
    """An absolute path, or None for an empty one.

    Raises:
        ValueError: the folder does not exist.
    """
    if not path:
        return None
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise ValueError(f"{what}={str(path)!r}: no such folder")
    return folder


def optional_file(path: str | Path | None, what: str) -> Path | None:
    """An absolute path, or None for an empty one.

    Raises:
        ValueError: the file does not exist.
    """
    if not path:
        return None
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise ValueError(f"{what}={str(path)!r}: no such file")
    return file
