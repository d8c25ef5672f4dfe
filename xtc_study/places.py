"""Where notebooks are and where results go, the same from a shell, from papermill and from JupyterLab."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

RESULTS_VARIABLE = "XTC_RESULTS"
"""Environment variable: a folder to use instead of results/."""
CHOOSE = f"choose a folder with --results or {RESULTS_VARIABLE}"


def project_folder() -> Path:
    """Where the notebooks are: the checkout that the current folder is in, else the one this package runs from.

    A notebook sees its own folder as the current one in JupyterLab and the caller's under papermill; this is the
    same in both.
    """
    return _checkout(Path.cwd()) or _checkout(Path(__file__).parents[1]) or Path.cwd()


def work_folder() -> Path:
    """Where results/, reports/ and exports/ go: the checkout the current folder is in, else the current folder."""
    return _checkout(Path.cwd()) or Path.cwd()


def results_folder(profile: str, chosen: str | Path | None = None) -> Path:
    """``chosen`` if given, else $XTC_RESULTS/profile, else results/profile of ``work_folder``. Absolute."""
    if chosen:
        return Path(chosen).expanduser().absolute()
    root = os.environ.get(RESULTS_VARIABLE)
    return (Path(root).expanduser() if root else work_folder() / "results").absolute() / profile


def check_results(folder: Path) -> None:
    """That a results folder, which need not be there yet, does not lie at or below a file.

    Raises:
        ValueError: it does.
    """
    for path in (folder, *folder.parents):
        if path.is_dir():
            return
        if path.exists():
            raise ValueError(f"results {folder}: {path} is a file; {CHOOSE}")


def check_writable(folder: Path) -> None:
    """That a results folder can be written, or made where it is not there yet: tried, for permissions do not tell.

    Raises:
        ValueError: it cannot.
    """
    check_results(folder)
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    try:
        with TemporaryDirectory(prefix=".xtc-", dir=there):
            return
    except OSError as error:
        raise ValueError(f"results {folder}: {there} cannot be written ({error.strerror}); {CHOOSE}") from None


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


def _checkout(folder: Path) -> Path | None:
    """The nearest folder upwards that is a checkout of this project."""
    for place in (folder, *folder.parents):
        if (place / "notebooks" / "run.ipynb").is_file() and (place / "pyproject.toml").is_file():
            return place
    return None
