"""The notebooks over results that are not whole: nothing done, one run, one arm, failures, damaged files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fabricate import make_done_run
from partial import STATES, carried_out, damaged, nothing, one_arm, prepared

from xtc_study.places import Places
from xtc_study.studies import load_study, study_names
from xtc_study.study import Study
from xtc_study.suite import all_studies, most_done, progress

State = Callable[[Path, Study], None]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
@pytest.mark.parametrize("name", ["00_index.ipynb", "21_equal_bytes.ipynb", "90_summary.ipynb"])
def test_the_way_in_and_the_summary_run_whatever_is_done(name: str, state: State, tmp_path: Path) -> None:
    assert carried_out(name, prepared(tmp_path / "smoke", state, "12_bits", seeds=[0]))


READ_MORE = ("10_stages", "11_budget", "13_learning_rate", "16_which_layers", "17_start", "18_xtc", "30_train_large")
"""Studies whose notebooks read curves, or compare with the teachers: files that may be damaged or gone."""


@pytest.mark.filterwarnings("ignore:.* is left out:UserWarning")
@pytest.mark.parametrize("state", [nothing, damaged], ids=lambda state: state.__name__)
def test_the_notebook_of_a_study_runs_whatever_is_done(state: State, tmp_path: Path) -> None:
    for study in study_names() if state is nothing else READ_MORE:
        if study != "14_augmentation":  # makes its variants, which takes as long as all others
            folder = prepared(tmp_path / "smoke", state, study, seeds=[0])
            assert carried_out(load_study(study).notebook, folder, seeds=[0]), study


def test_one_level_of_an_axis_is_said_in_words(tmp_path: Path) -> None:
    said = carried_out("00_index.ipynb", prepared(tmp_path / "smoke", one_arm, "12_bits"))
    assert "A line needs two levels that are done on every task" in said and "Done so far: weights: 32-bit." in said
    assert "12_bits: no run is done yet" not in said
    assert "no run is done yet" in carried_out("00_index.ipynb", prepared(tmp_path / "smoke", nothing, "12_bits"))


def test_an_arm_whose_predictions_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    study = Study("12_bits", places=Places(tmp_path))
    for run in study.planned:
        make_done_run(study.places.runs, run)
    bad = next(run for run in study.planned if run.arm == "1-bit, A8")
    (study.places.runs / bad.run_id / "predictions.parquet").write_bytes(b"")
    with pytest.warns(UserWarning, match=f"1-bit, A8 is left out. The predictions cannot be compared: {bad.run_id}/"):
        found = study.differences(study.collect())
    assert "1-bit, A8" not in found and len(found) == 4
    with pytest.warns(UserWarning, match="1-bit, A8"):
        assert "32-bit, A32" in study.differences(study.collect(), "teacher")


def test_the_study_shown_is_the_one_of_which_most_is_done(tmp_path: Path) -> None:
    """All of 12_bits: some of its runs are those of 10_stages, which comes first and of which nobody ran the rest."""
    folder = prepared(tmp_path / "smoke", nothing, "12_bits")
    studies = all_studies("smoke", places=Places(folder))
    bits = next(one for one in studies if one.spec.name == "12_bits")
    assert most_done(progress(studies), [one.spec.name for one in studies]) == ""
    for run in bits.planned:
        make_done_run(bits.places.runs, run)
    table = progress(studies)
    assert table[table["done"] > 0]["study"].iloc[0] == "10_stages"
    assert most_done(table, list(table["study"])) == "12_bits" and most_done(table, ["10_stages"]) == "10_stages"
    assert "12_bits, along weights" in carried_out("00_index.ipynb", folder)


def test_the_summary_shows_whole_claims_with_their_sources_and_no_nan(tmp_path: Path) -> None:
    def two_arms(runs: Path, study: Study) -> None:
        for run in study.planned:
            if run.arm in ("32-bit, A32", "1-bit, A8"):
                make_done_run(runs, run, 0.7 if run.arm == "1-bit, A8" else 0.9)

    said = carried_out("90_summary.ipynb", prepared(tmp_path / "smoke", two_arms, "12_bits"))
    for claim in load_study("12_bits").claims[1:2]:
        assert claim.sentence in said and claim.source in said
    assert "nan" not in said.lower().replace("nanops", "") and "p_adjusted" not in said
    assert '<a href="12_bits.ipynb">How few bits' in said and "claims not tested yet, of " in said
    assert ">33.8 kB<" in said and "33750.0" not in said, "sizes as the pages have them"
