"""Where things are, and what computes: everything about a run that its recipe does not say.

``Places`` and ``Compute`` are made once, from a command's options or a notebook's parameters cell, and passed whole.
The folders are the same from a shell, from papermill and from JupyterLab.
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
"""The choices of ``Compute``. ``training/precision.py`` resolves them; it imports torch, this file does not."""

RESULTS_VARIABLE = "XTC_RESULTS"
"""Environment variable: a folder to use instead of results/."""
CHOOSE = f"choose a folder with --results or {RESULTS_VARIABLE}"


@dataclass(frozen=True)
class Places:
    """Where runs find their data and keep their work.

    Example:
        >>> places = Places.of("mini", data_dir="glue", models_dir="models")
        >>> study = Study("12_bits", "mini", places)
    """

    results: Path
    """The results folder of a profile: run folders in ``runs``, trained steps in ``steps``."""
    data_dir: Path | None = None
    """A folder in the GLUE download layout; None loads from the hub."""
    models_dir: Path | None = None
    """A folder that holds models by name; None: local paths and the hub."""
    synonyms: Path | None = None
    """A synonym table for augmentation; None: a generated task's own."""
    task_files: tuple[Path, ...] = ()
    """Descriptions of data sets of your own."""

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
        """The places that a user names, as absolute paths; an empty name is none.

        Raises:
            ValueError: a file or folder that does not exist. The results folder need not.
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
        """The places that a notebook's parameters cell names, given its ``globals()``."""
        return cls.of(
            profile=names.get("profile", "smoke"),
            results=names.get("results_dir"),
            data_dir=names.get("data_dir"),
            models_dir=names.get("models_dir"),
            synonyms=names.get("synonyms"),
            task_files=names.get("task_files", ()),
        )

    def with_task_files(self, files: Sequence[Path]) -> Places:
        """The same, with more descriptions of data sets of your own."""
        return replace(self, task_files=(*self.task_files, *files))

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.results / "runs"

    @property
    def steps(self) -> Path:
        """One folder a trained step, named by its address."""
        return self.results / "steps"

    def parameters(self) -> dict[str, Any]:
        """The same as parameters of ``run.ipynb``; a runner adds ``results_dir``."""
        return {
            "data_dir": str(self.data_dir or ""),
            "models_dir": str(self.models_dir or ""),
            "synonyms": str(self.synonyms or ""),
            "task_files": [str(file) for file in self.task_files],
        }


@dataclass(frozen=True)
class Compute:
    """What trains, and in which precision: ``auto`` is what this machine does best.

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
        """What a notebook's parameters cell names, given its ``globals()``."""
        return cls(names.get("device", "auto"), names.get("precision", "auto"))

    def parameters(self) -> dict[str, Any]:
        """The same as parameters of ``run.ipynb``."""
        return {"device": self.device, "precision": self.precision}


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
