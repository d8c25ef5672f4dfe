"""Disk that runs will need, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xtc_study.chain import chain
from xtc_study.recipe import Recipe
from xtc_study.runs import disk_space
from xtc_study.runs.disk_space import DiskNeeds, disk_needs, in_bytes
from xtc_study.runs.encoder_size import EncoderSize

ONE_BIT, TWO_BIT = (Recipe.of(task="cola", model="m", layers="1/2", weight_bits=bits) for bits in (1, 2))
WHOLE, HALF = 1_000_000, 600_000  # parameters
RUN = disk_space.RUN_BYTES


@pytest.fixture(autouse=True)
def sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"m": EncoderSize(depth=12, in_layers=800_000, outside=200_000)}
    monkeypatch.setattr(disk_space, "encoder_size", lambda name, models_dir: known.get(name))


def needs(folder: Path, *recipes: Recipe, done: tuple[str, ...] = ()) -> tuple[int, int, int]:
    found = disk_needs(recipes, done, folder)
    assert found.free > 0
    return found.steps, found.runs, found.training


def test_steps_are_counted_once_and_hold_floats(tmp_path: Path) -> None:
    """A teacher, a reduction that both share, and a student each."""
    runs = 2 * RUN + HALF // 8 + HALF // 4
    assert needs(tmp_path, ONE_BIT, TWO_BIT) == (4 * (WHOLE + 3 * HALF), runs, 4 * 6 * WHOLE)


def test_what_is_there_is_not_counted(tmp_path: Path) -> None:
    teacher, reduction, _ = chain(ONE_BIT)
    for step in (teacher, reduction):
        folder = tmp_path / "steps" / step.address
        folder.mkdir(parents=True)
        (folder / "step.json").write_text(json.dumps({}))
    assert needs(tmp_path, ONE_BIT, TWO_BIT, done=(ONE_BIT.run_id,)) == (4 * HALF, RUN + HALF // 4, 4 * 6 * HALF)
    assert needs(tmp_path, ONE_BIT, done=(ONE_BIT.run_id,)) == (0, 0, 0)


def test_shallow_teachers_and_narrow_students(tmp_path: Path) -> None:
    full = {"weight_bits": 32, "activation_bits": 32}
    recipe = Recipe.of(task="cola", model="m", teacher_layers=6, layers=3, ffn="1/4", **full)
    student = 200_000 + 800_000 // 4 // 2  # three of twelve layers, half of each
    assert needs(tmp_path, recipe) == (4 * (HALF + student), 4 * student + RUN, 4 * 6 * HALF)


def test_models_that_are_not_here_are_named(tmp_path: Path) -> None:
    found = disk_needs([ONE_BIT, Recipe.of(task="cola", model="far/away")], [], tmp_path / "not" / "there")
    assert found.unknown == ("far/away",)
    assert found.text().startswith("disk: unknown, since the weights of far/away are not on this machine yet; ")


def test_in_words() -> None:
    assert DiskNeeds(271_000_000, 5_400_000, 545_000_000, (), 35_200_000_000).text() == (
        "disk: about 271 MB for steps and 5 MB for runs, 545 MB more for each worker while it trains; 35.2 GB free"
    )
    assert DiskNeeds(0, 5_400_000, 0, (), 12 * 10**9).text() == (
        "disk: about 0 bytes for steps and 5 MB for runs; 12.0 GB free"
    )
    assert DiskNeeds(0, 0, 0, (), 999).text() == "disk: nothing more needed; 999 bytes free"
    little = DiskNeeds(10**9, 0, 0, (), 999_000).text()
    assert "999 kB free. That is not enough: choose another disk with --results" in little
    assert in_bytes(1_234_500_000_000) == "1,234.5 GB"
