from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from xtc_study import yaml_models
from xtc_study.profiles import ProfileError, load_profile, profile_names
from xtc_study.recipe import Recipe, RecipeError
from xtc_study.tasks.catalogue import TASKS

GLUE = ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte"]


def test_the_profiles_there_are() -> None:
    assert profile_names() == ("mini", "paper", "smoke")


@pytest.mark.parametrize(
    ("name", "model", "tasks"),
    [
        ("smoke", "builtin:tiny", ["toy-inference"]),
        ("mini", "sentence-transformers/all-MiniLM-L6-v2", ["cola", "sst2", "mrpc", "stsb", "rte"]),
        ("paper", "google-bert/bert-base-uncased", GLUE),
    ],
)
def test_model_tasks_and_seeds(name: str, model: str, tasks: list[str]) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.recipe["model"] == model
    assert profile.tasks == tasks
    assert profile.seeds == ([0, 1] if name == "smoke" else [0, 1, 2])
    assert profile.description


@pytest.mark.parametrize("name", profile_names())
def test_every_budget_gives_every_task_a_recipe(name: str) -> None:
    profile = load_profile(name)
    assert profile.budget in profile.budgets
    assert list(profile.budgets) == ["A", "B", "C", "D"][: len(profile.budgets)] and len(profile.budgets) >= 3
    for task in profile.tasks:
        assert task in TASKS
        for budget in profile.budgets:
            recipe = Recipe.of(**profile.fields(task, 5, budget))
            assert (recipe.task, recipe.seed, recipe.epochs) == (task, 5, profile.epochs(task, budget))
        epochs = [profile.epochs(task, budget) for budget in profile.budgets]
        assert epochs == sorted(set(epochs)), "a larger budget trains longer"


@pytest.mark.parametrize(
    ("task", "budget", "epochs"),
    [("mnli", "A", 3), ("mnli", "B", 9), ("qqp", "C", 18), ("qnli", "C", 9), ("cola", "C", 12), ("rte", "A", 1)],
)
def test_budgets_of_the_paper(task: str, budget: str, epochs: float) -> None:
    assert load_profile("paper").epochs(task, budget) == epochs


def test_a_profiles_own_budget_is_the_default() -> None:
    assert load_profile("paper").epochs("mnli") == 18
    assert load_profile("mini").epochs("cola") == 9
    assert load_profile("mini").epochs("sst2") == 1


def test_fields_of_one_task() -> None:
    fields = load_profile("paper").fields("cola", 2, "B")
    assert fields == {
        "model": "google-bert/bert-base-uncased",
        "batch_size": 16,
        "max_length": 64,
        "teacher_epochs": 3,
        "teacher_learning_rate": 2e-5,
        "learning_rate": 2e-5,
        "reduce_learning_rate": 5e-5,
        "epochs": 3,
        "reduce_epochs": 3,
        "augmentation_copies": 30,
        "task": "cola",
        "seed": 2,
    }


@pytest.mark.parametrize(("budget", "reduce"), [(None, 36), ("C", 36), ("A", 3), ("B", 9), ("D", 36)])
def test_another_budget_sets_the_reduction_too(budget: str | None, reduce: float) -> None:
    assert load_profile("paper").fields("mnli", 0, budget)["reduce_epochs"] == reduce


def test_unknown_names() -> None:
    with pytest.raises(ProfileError, match=r"profile='huge': expected one of mini, paper, smoke$"):
        load_profile("huge")
    with pytest.raises(ProfileError, match="budget='D': profile smoke has A, B, C"):
        load_profile("smoke").epochs("toy-sentiment", "D")


SOUND = {
    "description": "d",
    "recipe": {"model": "m"},
    "tasks": ["cola"],
    "seeds": [0],
    "budget": "A",
    "budgets": {"A": {"default": 1}},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package folder whose profiles the test writes."""
    (tmp_path / "profiles").mkdir()
    monkeypatch.setattr(yaml_models, "files", lambda package: tmp_path)
    load_profile.cache_clear()
    profile_names.cache_clear()
    yield tmp_path / "profiles"
    load_profile.cache_clear()
    profile_names.cache_clear()


def test_a_profile_of_ones_own(folder: Path) -> None:
    (folder / "own.yml").write_text(yaml.safe_dump(SOUND))
    (folder / "notes.txt").write_text("not a profile")
    assert profile_names() == ("own",)
    assert load_profile("own").fields("cola", 0)["model"] == "m"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"seeds": []}, "own: seeds", id="no seeds"),
        pytest.param({"tasks": []}, "own: tasks", id="no tasks"),
        pytest.param({"budgets": None}, "own: budgets", id="no budgets"),
        pytest.param({"colour": "red"}, "own: unknown key colour$", id="unknown key"),
        pytest.param({"sedes": [0]}, "own: unknown key sedes; did you mean 'seeds'", id="mistyped key"),
        pytest.param({"budget": "B"}, "budget='B'", id="a budget it does not have"),
        pytest.param({"budgets": {"A": {"mnli": 3}}}, "default", id="a budget without default"),
    ],
)
def test_a_profile_that_is_not_well_formed(folder: Path, change: dict, message: str) -> None:
    (folder / "own.yml").write_text(yaml.safe_dump({**SOUND, **change}))
    with pytest.raises(ProfileError, match=message):
        load_profile("own")


def test_an_empty_profile(folder: Path) -> None:
    (folder / "own.yml").write_text("")
    with pytest.raises(ProfileError, match="own"):
        load_profile("own")


def test_a_profile_with_a_field_no_recipe_has(folder: Path) -> None:
    (folder / "own.yml").write_text(yaml.safe_dump({**SOUND, "recipe": {"lr": 1}}))
    with pytest.raises(RecipeError, match="unknown recipe field 'lr'"):
        load_profile("own")


@pytest.mark.parametrize("profile", ["mini", "paper"])
def test_variants_a_sentence_are_tinyberts(profile: str) -> None:
    copies = {"cola": 30, "mrpc": 30, "stsb": 30, "rte": 30, "sst2": 20, "qnli": 20, "mnli": 10, "qqp": 10}
    for task in load_profile(profile).tasks:
        assert Recipe.of(**load_profile(profile).fields(task, 0)).augmentation_copies == copies[task]
