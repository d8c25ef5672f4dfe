"""Only steps that no run needs any more may go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from filelock import FileLock

from xtc_study.chain import chain
from xtc_study.recipe import Recipe
from xtc_study.runs import unneeded_steps
from xtc_study.runs.records import RunState
from xtc_study.runs.step_store import StepStore
from xtc_study.runs.unneeded_steps import bytes_of, remove_steps, surplus_steps

ONE, TWO, FOUR = (Recipe.of(task="cola", weight_bits=bits) for bits in (1, 2, 4))
OTHER = Recipe.of(task="rte")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every step of four recipes, of which the first three share a teacher; which run is done is said by a file."""
    for recipe in (ONE, TWO, FOUR, OTHER):
        for step in chain(recipe):
            folder = tmp_path / "steps" / step.address
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "step.json").write_text(json.dumps({"phase": step.phase}))
            (folder / "model.safetensors").write_bytes(b"x" * 100)
    (tmp_path / "steps" / "tokens-1").mkdir()
    (tmp_path / "steps" / "tokens-1" / "step.json").write_text('{"phase": "tokens"}')
    states = {True: RunState("done"), False: RunState("failed")}
    monkeypatch.setattr(unneeded_steps, "state_of", lambda folder: states[(folder / "done").exists()])
    return tmp_path


def run(results: Path, recipe: Recipe, done: bool) -> Path:
    folder = results / "runs" / recipe.run_id
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps({"recipe": recipe.model_dump(mode="json")}))
    if done:
        (folder / "done").touch()
    return folder


def names(folders: list[Path]) -> set[str]:
    return {folder.name for folder in folders}


def addresses(*recipes: Recipe) -> set[str]:
    return {step.address for recipe in recipes for step in chain(recipe)}


def test_steps_of_no_run_of_finished_runs_and_of_those_to_do(results: Path) -> None:
    run(results, ONE, done=True)
    run(results, TWO, done=False)
    found = surplus_steps(results, [])
    assert names(found.unused) == addresses(OTHER) | {chain(FOUR)[-1].address}
    assert names(found.finished) == {chain(ONE)[-1].address}, "the teacher is needed by the run that is not done"
    found = surplus_steps(results, [OTHER])
    assert names(found.unused) == {chain(FOUR)[-1].address}, "a planned run has no folder yet"
    (results / "runs" / TWO.run_id / "done").touch()
    assert names(surplus_steps(results, [OTHER]).finished) == addresses(ONE, TWO)


def test_a_finished_run_names_its_steps_itself(results: Path) -> None:
    folder = run(results, ONE, done=True)
    (folder / "metrics.json").write_text(json.dumps({"steps": sorted(addresses(OTHER))}))
    assert names(surplus_steps(results, []).finished) == addresses(ONE, OTHER)


def test_steps_of_a_synonym_table_of_your_own_stay_without_naming_it(results: Path) -> None:
    """``clean`` is not told the table; the steps record it."""
    recipe = Recipe.of(task="cola", augmentation="synonyms", stages=2)
    steps = chain(recipe, "0123456789")[1:]
    for step in steps[:1]:  # the run failed before the second
        folder = results / "steps" / step.address
        folder.mkdir()
        (folder / "step.json").write_text(json.dumps({"phase": step.phase, "params": step.params}))
    others = names(surplus_steps(results, []).unused) - {steps[0].address}
    assert names(surplus_steps(results, []).unused) - others == {steps[0].address}, "without a run it may go"
    run(results, recipe, done=False)
    assert names(surplus_steps(results, []).unused) & {steps[0].address, chain(recipe)[0].address} == set()
    (results / "steps" / "odd").mkdir()
    (results / "steps" / "odd" / "step.json").write_text('{"phase": "quantise", "params": [1]}')
    assert names(surplus_steps(results, []).unused) - addresses(OTHER, ONE, TWO, FOUR) == {"odd"}


def test_no_step_is_surplus_while_a_running_runs_recipe_is_unknown(results: Path) -> None:
    folder = run(results, ONE, done=False)
    (folder / "params.json").write_text("{")
    assert names(surplus_steps(results, []).unused) == addresses(ONE, TWO, FOUR, OTHER)
    (folder / "claim.json").write_text("{}")
    assert surplus_steps(results, []) == ([], [])


def test_a_step_that_is_being_made_stays(results: Path) -> None:
    store, (teacher, student) = StepStore(results / "steps"), chain(OTHER)
    folders = [store.folder(teacher.address), store.folder(student.address)]
    assert bytes_of(folders[:1]) == 100 + len('{"phase": "teacher"}')
    with FileLock(store.root / f"{teacher.address}.lock"):
        assert remove_steps(folders) == folders[1:]
    assert store.is_done(teacher.address) and not folders[1].exists()
