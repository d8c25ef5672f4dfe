from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from xtc_study import yaml_models
from xtc_study.profiles import ProfileError, load_profile, profile_names
from xtc_study.recipe import RecipeError
from xtc_study.studies import StudyError, StudySpec, in_words, load_study, plan, study_at, study_names


@pytest.mark.parametrize("profile", profile_names())
@pytest.mark.parametrize("name", study_names())
def test_every_study_can_be_planned_at_every_scale(name: str, profile: str) -> None:
    study = load_study(name)
    runs = plan(study, load_profile(profile))
    arms = study_at(study, profile).arm_names
    assert len(set(arms)) == len(arms)
    assert {run.arm for run in runs} == set(arms)
    assert {run.study for run in runs} == {name}
    assert all(run.run_id == run.recipe.run_id for run in runs)
    assert len({run.run_id for run in runs}) == len(runs), "two arms of a study are one and the same run"
    paired = {(run.recipe.task, run.recipe.seed) for run in runs}
    assert len(runs) == len(paired) * len(arms), "every arm has the same tasks and seeds"


def test_the_study_of_bits_at_the_smoke_scale() -> None:
    runs = plan(load_study("12_bits"), load_profile("smoke"), tasks=["rte"], seeds=[5])
    assert [run.arm for run in runs[:4]] == ["32-bit, A32", "32-bit, A8", "2-bit, A32", "2-bit, A8"]
    pairs = [(run.recipe.weight_bits, run.recipe.activation_bits) for run in runs]
    assert pairs == [(weights, activations) for weights in (32, 2, 1) for activations in (32, 8)]
    assert {(run.recipe.task, run.recipe.seed, run.recipe.epochs) for run in runs} == {("rte", 5, 1)}


def test_the_paper_scale_asks_for_at_least_a_thousand_runs() -> None:
    runs = [run for name in study_names() for run in plan(load_study(name), load_profile("paper"))]
    assert len({run.run_id for run in runs}) >= 1000


def test_unknown_study() -> None:
    with pytest.raises(StudyError, match=r"study='99_none': expected one of .*12_bits"):
        load_study("99_none")


CLAIM = {"sentence": "s", "kind": "lower", "arm": "low", "reference": "high", "margin": 0.01, "source": "x"}
SOUND: dict[str, Any] = {
    "title": "t",
    "question": "q",
    "notebook": "n.ipynb",
    "arms": [{"name": "high", "set": {"weight_bits": 8}}, {"name": "low", "set": {"weight_bits": 1}}],
    "reference": "high",
    "claims": [CLAIM],
}


def study(**fields: Any) -> StudySpec:
    return StudySpec(name="own", **{**SOUND, **fields})


SMOKE = load_profile("smoke")


def test_tasks_and_seeds_asked_for() -> None:
    runs = plan(study(), SMOKE, tasks=["cola"], seeds=[7, 8])
    assert [(run.recipe.task, run.recipe.seed, run.arm) for run in runs] == [
        ("cola", 7, "high"),
        ("cola", 7, "low"),
        ("cola", 8, "high"),
        ("cola", 8, "low"),
    ]


def test_what_a_study_changes_at_a_profile() -> None:
    special = {"smoke": {"tasks": ["rte"], "seeds": [4], "recipe": {"learning_rate": 0.5}}}
    runs = plan(study(profiles=special), SMOKE)
    assert {(run.recipe.task, run.recipe.seed, run.recipe.learning_rate) for run in runs} == {("rte", 4, 0.5)}
    elsewhere = plan(study(profiles=special), load_profile("mini"))
    assert {run.recipe.learning_rate for run in elsewhere} == {5e-4}


def test_who_sets_a_field_last() -> None:
    """profile < study < study at the profile < the caller < arm."""
    own = study(
        fixed={"batch_size": 1, "max_length": 11, "stages": 2},
        profiles={"smoke": {"recipe": {"max_length": 22, "stages": 3}}},
    )
    recipe = plan(own, SMOKE, overrides={"stages": 0})[0].recipe
    assert (recipe.batch_size, recipe.max_length, recipe.stages, recipe.weight_bits) == (1, 22, 0, 8)
    assert recipe.teacher_epochs == SMOKE.recipe["teacher_epochs"]
    assert recipe.teacher_learning_rate == SMOKE.recipe["teacher_learning_rate"]


def test_an_arms_own_budget() -> None:
    arms = [{"name": "high", "set": {"budget": "A"}}, {"name": "low", "set": {"budget": "C"}}]
    runs = plan(study(arms=arms), SMOKE, tasks=["cola"], seeds=[0])
    assert [(run.recipe.epochs, run.recipe.reduce_epochs) for run in runs] == [(1, 1), (4, 4)]


def test_a_budget_can_be_chosen_for_every_arm() -> None:
    arms = [{"name": "high", "set": {"epochs": "x2"}}, {"name": "low"}]
    own = study(arms=arms, profiles={"smoke": {"budget": "C"}})
    runs = plan(own, SMOKE, tasks=["cola"], seeds=[0], overrides={"budget": "B"})
    assert [(run.recipe.epochs, run.recipe.reduce_epochs) for run in runs] == [(4, 2), (2, 2)]
    longer = plan(own, SMOKE, tasks=["cola"], seeds=[0], overrides={"budget": "B", "reduce_epochs": 7})
    assert {run.recipe.reduce_epochs for run in longer} == {7}
    with pytest.raises(ProfileError, match="budget='E': profile smoke has A, B, C"):
        plan(own, SMOKE, overrides={"budget": "E"})
    with pytest.raises(StudyError, match="budget: study own varies it"):
        plan(study(arms=[{"name": "high", "set": {"budget": "A"}}, {"name": "low"}]), SMOKE, overrides={"budget": "B"})


def test_what_the_arms_vary_cannot_be_set_for_all() -> None:
    with pytest.raises(StudyError, match="weight_bits: study own varies it"):
        plan(study(), SMOKE, overrides={"weight_bits": 2})


@pytest.mark.parametrize("field", ["epochs", "reduce_epochs"])
def test_epochs_cannot_be_set_for_all_where_the_arms_vary_the_budget(field: str) -> None:
    arms = [{"name": "high", "set": {"budget": "A"}}, {"name": "low", "set": {"budget": "C"}}]
    with pytest.raises(StudyError, match=f"{field}: study own varies it"):
        plan(study(arms=arms), SMOKE, overrides={field: 2})


@pytest.mark.parametrize("field", ["task", "seed"])
def test_tasks_and_seeds_are_no_overrides(field: str) -> None:
    """They would give every task and seed of the plan one and the same run."""
    with pytest.raises(StudyError, match=field):
        plan(study(), SMOKE, overrides={field: {"task": "rte", "seed": 3}[field]})


def test_bad_fields_are_named() -> None:
    with pytest.raises(RecipeError, match="unknown recipe field 'lr'"):
        plan(study(), SMOKE, overrides={"lr": 1})
    with pytest.raises(RecipeError, match="weight_bits=9"):
        plan(study(arms=[{"name": "high", "set": {"weight_bits": 9}}, {"name": "low"}]), SMOKE)
    with pytest.raises(StudyError, match="study own, profile smoke: unknown key task"):
        plan(study(profiles={"smoke": {"task": "cola"}}), SMOKE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package folder whose studies the test writes, with the profiles of the package."""
    (tmp_path / "studies").mkdir()
    shutil.copytree(str(files("xtc_study") / "profiles"), tmp_path / "profiles")
    monkeypatch.setattr(yaml_models, "files", lambda package: tmp_path)
    load_study.cache_clear()
    study_names.cache_clear()
    yield tmp_path / "studies"
    load_study.cache_clear()
    study_names.cache_clear()


def test_a_study_of_ones_own(folder: Path) -> None:
    (folder / "own.yml").write_text(yaml.safe_dump(SOUND))
    assert study_names() == ("own",)
    assert load_study("own") == study()


def test_the_example_of_contributing_is_a_study(folder: Path) -> None:
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    name = re.search(r"xtc_study/studies/(\w+)\.yml", text)
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert name and example
    (folder / f"{name[1]}.yml").write_text(example[1])
    found = load_study(name[1])
    assert found.notebook == f"{name[1]}.ipynb"
    runs = plan(found, load_profile("paper"), tasks=["rte"], seeds=[0])
    assert [(run.recipe.weight_bits, run.recipe.embedding_bits) for run in runs] == [(1, 1), (1, 2), (1, 8)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"arms": SOUND["arms"][:1]}, "own: arms", id="one arm"),
        pytest.param({"claims": []}, "own: claims", id="no claim"),
        pytest.param({"claims": [{**CLAIM, "kind": "better"}]}, r"own: claims\.0\.kind", id="unknown kind"),
        pytest.param({"claims": [{**CLAIM, "margin": -1}]}, r"own: claims\.0\.margin", id="negative margin"),
        pytest.param({"claims": [{**CLAIM, "margin": 1}]}, r"own: claims\.0\.margin", id="margin of 100 points"),
        pytest.param(
            {"claims": [{**CLAIM, "kind": "equivalent", "margin": 0}]},
            r"own: claims\.0: .*margin=0: expected above 0 for kind 'equivalent'",
            id="equivalence without a margin",
        ),
        pytest.param({"claims": [{**CLAIM, "arm": "none"}]}, "arm 'none' is not one of high, low", id="unknown arm"),
        pytest.param({"claims": [{**CLAIM, "reference": "x"}]}, "arm 'x'", id="unknown reference of a claim"),
        pytest.param({"reference": "y"}, "arm 'y'", id="unknown reference"),
        pytest.param({"arms": [SOUND["arms"][0]] * 2 + SOUND["arms"][1:]}, "high", id="an arm's name twice"),
        pytest.param({"axes": {"a": {"x": {}, "y": {}}}}, "has both axes and arms", id="axes and arms"),
        pytest.param(
            {"profiles": {"smoke": {"reference": "z"}}}, "profile smoke: arm 'z'", id="a profile's reference"
        ),
        pytest.param({"colour": "red"}, "own: unknown key colour$", id="unknown key"),
        pytest.param({"titel": "t", "title": None}, "unknown key titel; did you mean 'title'", id="mistyped key"),
        pytest.param({"claims": [{**CLAIM, "margn": 1}]}, r"0\.margn; did you mean 'margin'", id="claim's key"),
        pytest.param({"arms": [*SOUND["arms"], {"nam": "x"}]}, r"arms\.2\.nam; did you mean 'name'", id="arm's key"),
        pytest.param({"profiles": {"smoke": {"taks": []}}}, "key taks; did you mean 'tasks'", id="profile's key"),
        pytest.param({"reference": "hihg"}, "high, low; did you mean 'high'", id="mistyped reference"),
        pytest.param({"notebook": None}, "own: notebook", id="no notebook"),
    ],
)
def test_a_study_that_is_not_well_formed(folder: Path, change: dict, message: str) -> None:
    (folder / "own.yml").write_text(yaml.safe_dump({**SOUND, **change}))
    with pytest.raises(StudyError, match=message):
        load_study("own")


GRID: dict[str, Any] = {
    "arms": [],
    "axes": {
        "weights": {"1-bit": {"weight_bits": 1}, "2-bit": {"weight_bits": 2}},
        "depth": {"all": {"layers": None}, "half": {"layers": "1/2"}},
    },
    "reference": "1-bit, all",
    "claims": [{**CLAIM, "arm": "1-bit, half", "reference": "1-bit, all"}],
}


def test_the_points_of_an_axis_can_be_chosen() -> None:
    runs = plan(study(**GRID), SMOKE, tasks=["rte"], seeds=[0], axes={"depth": ["half", 3], "weights": ["2-bit"]})
    assert [(run.arm, run.recipe.layers) for run in runs] == [("2-bit, half", "1/2"), ("2-bit, 3", 3)]
    assert {run.recipe.weight_bits for run in runs} == {2}


def test_claims_follow_the_arms_that_are_left() -> None:
    whole = study_at(study(**GRID), "smoke")
    assert (whole.reference, len(whole.claims)) == ("1-bit, all", 1)
    cut = study_at(study(**GRID), "smoke", {"depth": ["half"]})
    assert (cut.arm_names, cut.reference, cut.claims) == (["1-bit, half", "2-bit, half"], "1-bit, half", [])


def test_an_axis_may_be_another_at_one_profile() -> None:
    special = {"smoke": {"axes": {"depth": {"all": {"layers": None}, "half": {"layers": 1}, "3/4": {"layers": 3}}}}}
    assert len(study_at(study(**GRID, profiles=special), "smoke").arms) == 6
    assert len(study_at(study(**GRID, profiles=special), "mini").arms) == 4


def test_the_arm_with_padding_says_whose_padding() -> None:
    """It pads a batch to its longest row; the released code, which it was named after, pads every row to 128."""
    for profile in (None, "smoke"):
        study = study_at(load_study("19_details"), profile)
        assert "padding of the batch in the loss" in study.arm_names
        assert not {"padding in the loss"} & set(study.arm_names)
        assert any("13.7 %" in limit and "62.5 %" in limit for limit in study.limits)


DESIGNED: dict[str, Any] = {
    "arms": [],
    "axes": {
        "rate": {"low": {}, "high": {"learning_rate": "x2"}},
        "decay": {"decay": {}, "no decay": {"weight_decay": 0}},
        "depth": {"all": {}, "half": {"layers": "1/2"}},
    },
    "design": {"fractional": "III"},
    "reference": "today",
    "claims": [{"sentence": "s", "kind": "higher", "factor": "rate", "margin": 0, "source": "x"}],
}


def test_a_designed_study_plans_its_fraction() -> None:
    runs = plan(study(**DESIGNED), SMOKE, tasks=["rte"], seeds=[0])
    assert [run.arm for run in runs] == ["today", "high + half", "no decay + half", "high + no decay"]
    assert [(run.recipe.learning_rate, run.recipe.layers) for run in runs[:2]] == [(1e-3, None), (2e-3, "1/2")]
    whole = study_at(study(**DESIGNED), "smoke")
    assert in_words(whole, whole) == "4 arms of 8 combinations, compared with today; 1 of 1 claims can be judged."


def test_a_profile_may_change_the_design_and_an_axis() -> None:
    axis = {"extra": {"no": {}, "rows": {"batch_size": 8}}}
    special = {"smoke": {"design": {"fractional": {"D": "ABC"}}, "axes": axis}}
    changed = study(**DESIGNED, profiles=special)
    assert (len(study_at(changed, "smoke").arms), len(study_at(changed, "mini").arms)) == (8, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"design": "some"}, r"own: design: .*design='some': expected fractional"),
        ({"axes": {}}, "own: design: a fraction needs at least three axes, got none"),
        (
            {"axes": {"a": {"x": {}}, "b": {"y": {}}, "c": {"z": {}}}},
            "own: design: axis a has the labels x; expected two",
        ),
        ({"arms": SOUND["arms"]}, "has both axes and arms"),
        (
            {"claims": [{**DESIGNED["claims"][0], "factor": "rat"}]},
            r"factor 'rat'; it has .*rate; did you mean 'rate'",
        ),
        ({"claims": [{**DESIGNED["claims"][0], "arm": "today"}]}, "factor='rate': expected a factor or an arm"),
        ({"claims": [{**DESIGNED["claims"][0], "factor": ""}]}, "expected an arm and its reference or"),
        ({"design": None, "reference": "low, decay, all"}, "a claim is about factor 'rate'; it has no design"),
    ],
)
def test_a_designed_study_that_is_not_well_formed(folder: Path, change: dict[str, Any], message: str) -> None:
    (folder / "own.yml").write_text(yaml.safe_dump({**SOUND, **DESIGNED, **change}))
    with pytest.raises(StudyError, match=message):
        load_study("own")


def test_points_of_a_designed_study_cannot_be_chosen() -> None:
    with pytest.raises(
        StudyError, match=r"axis rate: study own runs a designed part .* choose some of its arms with --arm"
    ):
        plan(study(**DESIGNED), SMOKE, axes={"rate": ["low"]})
