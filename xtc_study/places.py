"""Paths, device and precision of runs: everything about a run that its recipe does not hold.

``Places`` and ``Compute`` are made once, from a command's options or a notebook's parameters cell, and passed whole.
The folders are the same whether a run starts from a shell, papermill or JupyterLab.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from xtc_study.values import one_of

DEVICES, PRECISIONS = ("auto", "cpu", "cuda", "mps"), ("auto", "fp32", "bf16")
"""The choices of ``Compute``. ``training/precision.py`` resolves ``auto``; it imports torch, this file does not."""

RESULTS_VARIABLE = "XTC_RESULTS"
"""Environment variable that names a folder to use instead of results/."""
CHOOSE = f"choose a folder with --results or {RESULTS_VARIABLE}"


@dataclass(frozen=True)
class Places:
    """Where runs find their data and write their results.

    Example:
        >>> places = Places.of("mini", data_dir="glue", models_dir="models")
        >>> study = Study("12_bits", "mini", places)
    """

    results: Path
    """The results folder of a profile: run folders in ``runs``, trained steps in ``steps``."""
    data_dir: Path | None = None
    """A folder in the GLUE download layout; None: load from the hub."""
    models_dir: Path | None = None
    """A folder that holds models by name; None: only paths and hub names."""
    synonyms: Path | None = None
    """A synonym table for augmentation; None: the built-in one of a generated task."""
    task_files: tuple[Path, ...] = ()
    """Descriptions (.yml) of the user's own data sets."""

    @classmethod
    def of(
        cls,
        profile: str = "smoke",
        results: str | Path | None = None,
        data_dir: str | Path | None = None,
        models_dir: str | Path | None = None,
        synonyms: str | Path | None = None,
        task_files: Sequence[str | Path] = (),
    ) -> Places:
        """Make the places a user names, as absolute paths; an empty name counts as None.

        Raises:
            ValueError: a file or folder that does not exist. Only the results folder may be missing.
        """
        return cls(
            results=results_folder(profile, results),
            data_dir=optional_folder(data_dir, "data_dir"),
            models_dir=optional_folder(models_dir, "models_dir"),
            synonyms=optional_file(synonyms, "synonyms"),
            task_files=tuple(map(Path, task_files)),
        )

    @classmethod
    def from_names(cls, names: Mapping[str, Any]) -> Places:
        """Make the places that a notebook's parameters cell names, given its ``globals()``."""
        return cls.of(
            profile=names.get("profile", "smoke"),
            results=names.get("results_dir"),
            data_dir=names.get("data_dir"),
            models_dir=names.get("models_dir"),
            synonyms=names.get("synonyms"),
            task_files=names.get("task_files", ()),
        )

    def with_task_files(self, files: Sequence[Path]) -> Places:
        """Return the same places with more descriptions of the user's own data sets."""
        return replace(self, task_files=(*self.task_files, *files))

    @property
    def runs(self) -> Path:
        """Holds one folder per run."""
        return self.results / "runs"

    @property
    def steps(self) -> Path:
        """Holds one folder per trained step, named by its address."""
        return self.results / "steps"

    def parameters(self) -> dict[str, Any]:
        """Return the places as parameters of ``run.ipynb``; the runner adds ``results_dir``."""
        return {
            "data_dir": str(self.data_dir or ""),
            "models_dir": str(self.models_dir or ""),
            "synonyms": str(self.synonyms or ""),
            "task_files": [str(file) for file in self.task_files],
        }


@dataclass(frozen=True)
class Compute:
    """The device and the precision of the training; ``auto`` is the best that this machine has.

    Raises:
        ValueError: an unknown device or precision.
    """

    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        one_of("device", self.device, DEVICES)
        one_of("precision", self.precision, PRECISIONS)

    @classmethod
    def from_names(cls, names: Mapping[str, Any]) -> Compute:
        """Make the device and precision that a notebook's parameters cell names, given its ``globals()``."""
        return cls(names.get("device", "auto"), names.get("precision", "auto"))

    def parameters(self) -> dict[str, Any]:
        """Return device and precision as parameters of ``run.ipynb``."""
        return {"device": self.device, "precision": self.precision}


def project_folder() -> Path:
    """Return the folder with ``notebooks``: the checkout around the current folder, else that of this package.

    The current folder of a notebook is its own in JupyterLab and the caller's under papermill; the result is the
    same in both.
    """
    return _checkout(Path.cwd()) or _checkout(Path(__file__).parents[1]) or Path.cwd()


def work_folder() -> Path:
    """Return the parent of results/, reports/ and exports/: the current checkout, else the current folder."""
    return _checkout(Path.cwd()) or Path.cwd()


def results_folder(profile: str, chosen: str | Path | None = None) -> Path:
    """Return ``chosen`` if given, else $XTC_RESULTS/profile, else ``work_folder``/results/profile; absolute."""
    if chosen:
        return Path(chosen).expanduser().absolute()
    root = os.environ.get(RESULTS_VARIABLE)
    return (Path(root).expanduser() if root else work_folder() / "results").absolute() / profile


def check_results(folder: Path) -> None:
    """Check that no part of a results path is a file. The folder itself may not exist yet.

    Raises:
        ValueError: one is; the message names it.
    """
    for path in (folder, *folder.parents):
        if path.is_dir():
            return
        if path.exists():
            raise ValueError(f"results {folder}: {path} is a file; {CHOOSE}")


def check_writable(folder: Path) -> None:
    """Check that a results folder can be written, or created, by writing to it: permission bits do not show it.

    Raises:
        ValueError: it cannot be written.
    """
    check_results(folder)
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    try:
        with TemporaryDirectory(prefix=".xtc-", dir=existing):
            return
    except OSError as error:
        raise ValueError(f"results {folder}: {existing} cannot be written ({error.strerror}); {CHOOSE}") from None


def optional_folder(path: str | Path | None, what: str) -> Path | None:
    """Return the absolute path of a folder, or None for an empty path.

    Args:
        path: of the folder.
        what: the name of the option, for the message.

    Raises:
        ValueError: the folder does not exist.
    """
    folder = _absolute(path)
    if folder is not None and not folder.is_dir():
        raise ValueError(f"{what}={str(path)!r}: no such folder")
    return folder


def optional_file(path: str | Path | None, what: str) -> Path | None:
    """Return the absolute path of a file, or None for an empty path.

    Args:
        path: of the file.
        what: the name of the option, for the message.

    Raises:
        ValueError: the file does not exist.
    """
    file = _absolute(path)
    if file is not None and not file.is_file():
        raise ValueError(f"{what}={str(path)!r}: no such file")
    return file


def _absolute(path: str | Path | None) -> Path | None:
    """Return the absolute path, its ``~`` expanded; None for an empty one."""
    return Path(path).expanduser().absolute() if path else None


def _checkout(folder: Path) -> Path | None:
    """Return the nearest folder, from this one upwards, that is a checkout of this project."""
    for parent in (folder, *folder.parents):
        if (parent / "notebooks" / "run.ipynb").is_file() and (parent / "pyproject.toml").is_file():
            return parent
    return None
