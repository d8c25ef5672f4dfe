"""One dry run serves every seed, and its note is not a step."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.runs.cleanup import leftovers
from xtc_study.runs.step_store import StepStore
from xtc_study.runs.unneeded_steps import surplus_steps
from xtc_study.training import dry_run, passed_trials
from xtc_study.training.passed_trials import dry_run_folder, dry_run_inputs
from xtc_study.training.pipeline import Pipeline

FILES = {"model": "a" * 64}
HUB = {"model": None}


def recipe(**fields: Any) -> Recipe:
    return Recipe.of(**{"task": "toy-sentiment", "max_length": 32, **fields})


def is_made(steps: Path, what: dict[str, Any]) -> bool:
    """Whether a dry run is made now because it has not passed before."""
    with dry_run_folder(steps, what) as workdir:
        if workdir is not None:
            (workdir / "model").write_text("x")
        return workdir is not None


def test_one_dry_run_serves_every_seed_and_length_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = dry_run._random_encoder

    def watched(name: str, *words: Any) -> Any:
        made.append(name)
        return real(name, *words)

    monkeypatch.setattr(dry_run, "_random_encoder", watched)
    beyond = {"student_weight_decay": 0, "warmdown": 0.2, "optimizer": "muon", "averaging": 0.9, "progressive": 0.2}
    for fields in ({}, {"seed": 1}, {"seed": 2, "learning_rate": 1e-3, "epochs": 1, "teacher_epochs": 5}, beyond):
        Pipeline(recipe(**fields), Places(tmp_path))
    assert len(made) == 1
    Pipeline(recipe(weight_bits=2), Places(tmp_path))
    assert len(made) == 2, "another format"


@pytest.mark.parametrize(
    "fields",
    [
        {"weight_bits": 2},
        {"layers": 2},
        {"stages": 2},
        {"rest": "fp16"},
        {"model": "other"},
        {"task": "toy-inference"},
    ],
    ids=str,
)
def test_the_dry_run_depends_on_these_fields(fields: dict[str, Any], tmp_path: Path) -> None:
    assert is_made(tmp_path, dry_run_inputs(recipe(), FILES)) and not is_made(
        tmp_path, dry_run_inputs(recipe(seed=3), FILES)
    )
    assert is_made(tmp_path, dry_run_inputs(recipe(**fields), FILES))


def test_other_files_or_versions_need_another_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_made(tmp_path, dry_run_inputs(recipe(), FILES))
    assert is_made(tmp_path, dry_run_inputs(recipe(), {"model": "b" * 64})) and is_made(
        tmp_path, dry_run_inputs(recipe(), HUB)
    )
    monkeypatch.setattr(passed_trials, "version", {"transformers": "99.0"}.get)
    assert is_made(tmp_path, dry_run_inputs(recipe(), FILES))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"{}", b'{"recipe": NaN}', None])
def test_an_unreadable_note_means_another_dry_run(content: bytes | None, tmp_path: Path) -> None:
    what = dry_run_inputs(recipe(), FILES)
    assert is_made(tmp_path, what) and not is_made(tmp_path, what)
    (note,) = (tmp_path / passed_trials.FOLDER).iterdir()
    if content is None:
        note.unlink()
    else:
        note.write_bytes(content)
    assert is_made(tmp_path, what) and not is_made(tmp_path, what)
    assert json.loads(note.read_text()) == what


def test_a_note_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / passed_trials.FOLDER).touch()
    what = dry_run_inputs(recipe(), FILES)
    assert is_made(tmp_path, what) and is_made(tmp_path, what)


def test_a_failed_dry_run_leaves_no_note_and_no_folder(tmp_path: Path) -> None:
    what = dry_run_inputs(recipe(), FILES)
    with pytest.raises(RuntimeError, match="no"), dry_run_folder(tmp_path / "new" / "steps", what):
        raise RuntimeError("no")
    assert not (tmp_path / "new" / "steps").exists()
    assert is_made(tmp_path / "new" / "steps", what)
    with (
        pytest.raises(RuntimeError, match="no"),
        dry_run_folder(tmp_path / "new" / "steps", dry_run_inputs(recipe(layers=1), FILES)),
    ):
        raise RuntimeError("no")
    assert not is_made(tmp_path / "new" / "steps", what), "what is there stays"


def test_clean_keeps_notes_and_finds_a_killed_dry_run(tmp_path: Path) -> None:
    steps, what = tmp_path / "steps", dry_run_inputs(recipe(), FILES)
    assert is_made(steps, what)
    assert StepStore(steps).records() == {} and surplus_steps(tmp_path, []) == ([], [])
    assert leftovers(tmp_path, []) == []
    with dry_run_folder(steps, dry_run_inputs(recipe(layers=2), FILES)) as workdir:
        assert workdir is not None and workdir.suffix == ".partial" and os.listdir(workdir) == []
        assert leftovers(tmp_path, []) == [], "a process is at it"
    workdir.mkdir()
    (workdir / "model").touch()
    assert leftovers(tmp_path, []) == [workdir]
    assert StepStore(steps).records() == {}
    (steps / passed_trials.FOLDER / f"{workdir.stem.removeprefix('trial-')}.json").unlink()
    with dry_run_folder(steps, dry_run_inputs(recipe(layers=2), FILES)) as again:
        assert again == workdir and os.listdir(workdir) == [], "begun from an empty folder"


def test_a_process_that_waited_for_a_dry_run_does_not_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = dry_run_inputs(recipe(), FILES)

    class Waiting(FileLock):
        """While this process waits, another one makes the dry run."""

        def __enter__(self) -> Any:
            monkeypatch.setattr(passed_trials, "FileLock", FileLock)
            assert is_made(tmp_path, what)
            return super().__enter__()

    monkeypatch.setattr(passed_trials, "FileLock", Waiting)
    assert not is_made(tmp_path, what)
