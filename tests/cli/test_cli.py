"""The command line: what a user types, what comes back, and what a mistake says."""

from __future__ import annotations

import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fabricate import make_done_run, write_json
from typer.main import get_command
from typer.testing import CliRunner

from xtc_study import __version__
from xtc_study.cli import app, main
from xtc_study.cli.files import RUNTIMES
from xtc_study.packed.engines import ENGINES
from xtc_study.places import DEVICES, PRECISIONS, Places
from xtc_study.recipe import Recipe
from xtc_study.recipe_xtc import REST_FORMATS
from xtc_study.report.pages.markdown_pdf import FORMATS
from xtc_study.studies import PlannedRun, load_study, study_names
from xtc_study.study import Study


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_plan_counts_every_run_and_writes_nothing(tmp_path: Path) -> None:
    output = run("plan", "12_bits", "--seed", "0", "--seed", "1", "--results", str(tmp_path / "results"))
    assert "12 runs planned, 0 done, 12 to do" in output
    assert "power: 2 seeds detect a difference of" in output
    assert "5 points need" in output and "assuming that" in output
    assert not (tmp_path / "results").exists()


def test_plan_starts_without_torch() -> None:
    code = (
        "import sys; from xtc_study.cli import app; from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['plan', '12_bits']).exit_code == 0\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "13_bits"], "study='13_bits': expected one of 10_stages"),
        (["plan", "12_bits", "--profile", "huge"], "profile='huge': expected one of mini, paper, smoke"),
        (["plan", "12_bits", "--task", "nli"], "task='nli': unknown; expected one of cola"),
        (["plan", "12_bits", "--task", "none.yml"], "task='none.yml': no such file"),
        (["plan", "12_bits", "--task", "own-x-0123456789"], "choose it by its description: --task FILE.yml"),
        (["plan", "12_bits", "--set", "epoch=3"], "unknown recipe field 'epoch'"),
        (["plan", "12_bits", "--set", "epochs=0"], "epochs=0: expected more than 0"),
        (["plan", "12_bits", "--set", "epochs"], "--set epochs: expected FIELD=VALUE"),
        (["plan", "12_bits", "--set", "epochs=[1"], "not valid YAML"),
        (["plan", "12_bits", "--set", "weight_bits=2"], "study 12_bits varies it"),
        (["plan", "12_bits", "--set", "budget=[A]"], "budget=['A']: profile smoke has A, B, C"),
        (["plan", "10_stages", "11_budget", "--set", "budget=A"], "budget: study 10_stages varies it"),
        (["plan", "12_bits", "--set", "layers=[3, 1]"], "layers=[3, 1]: expected teacher layers in ascending order"),
        (["plan", "12_bits", "--model", "./nowhere"], "model='./nowhere': no such folder"),
        (["run", "12_bits", "--model", "/no/where"], "model='/no/where': no such folder"),
        (["run", "17_start", "--axis", "start=/no/where"], "start='/no/where': no such folder"),
        (
            ["plan", "12_bits", "--set", "epochs=1", "--set", "epochs=2"],
            "epochs=2: already set to 1; give one value",
        ),
        (["plan", "12_bits", "--model", ""], "model='': expected a name"),
        (["run", "12_bits", "--dry-run", "--model", "./nowhere"], "model='./nowhere': no such folder"),
        (["plan", "12_bits", "--results", __file__], f"{__file__} is a file; choose a folder with --results"),
        (["run", "12_bits", "--results", f"{__file__}/x"], f"{__file__} is a file; choose a folder with --results"),
        (["collect", "12_bits", "--results", "/proc/x"], "/proc/x: No such file or directory; choose another f"),
        (["run", "12_bits", "--results", "/proc/x"], "results /proc/x: /proc cannot be written"),
        (["run", "12_bits", "--dry-run", "--results", "/proc/x"], "results /proc/x: /proc cannot be written"),
        (["plan", "12_bits", "--results", "/proc/x"], "results /proc/x: /proc cannot be written"),
        (
            ["plan", "12_bits", "--model", "minilm"],
            "model='minilm': no such folder, and the hub's names are OWNER/NAM",
        ),
        (["plan", "12_bits", "--set", "start=techer"], "OWNER/NAME; did you mean 'teacher'?"),
        (["run", "12_bits", "--model", "no/such"], "model='no/such': no such folder, not in the hub's cache, and"),
        (
            ["run", "12_bits", "--scheduler", "nonsense"],
            "--scheduler nonsense: expected the address of a Dask scheduler",
        ),
        (
            ["plan", "12_bits", "--axis", "weights=1bit"],
            "axis weights: no point '1bit'; expected some of 32-bit, 2-bit",
        ),
        (["plan", "12_bits", "--axis", "depth=2"], "--axis depth: no such axis in 12_bits; existing axes: activatio"),
        (["plan", "12_bit"], "; did you mean '12_bits'?"),
        (["plan", "12_bits", "--profile", "smok"], "expected one of mini, paper, smoke; did you mean 'smoke'?"),
        (["plan", "12_bits", "--task", "cola2"], "; did you mean 'cola'?"),
        (["plan", "12_bits", "--task", "SST-2"], "; did you mean 'sst2'?"),
        (["plan", "12_bits", "--set", "wieght_bits=2"], "; did you mean 'weight_bits'?"),
        (["plan", "12_bits", "--set", "order=togehter"], "or 'together'; did you mean 'together'?"),
        (["plan", "12_bits", "--axis", "weigths=1-bit"], "; did you mean 'weights'?"),
        (["plan", "12_bits", "--axis", "weights=1bit"], "; did you mean '1-bit'?"),
        (["plan", "12_bits", "--set", "budget=a"], "profile smoke has A, B, C; did you mean 'A'?"),
        (["plan", "12_bits", "--precision", "bfp16"], "; did you mean 'bf16'?"),
        (["report", "12_bits", "--format", "htlm"], "; did you mean 'html'?"),
        (["plan", "12_bits", "--tune", "learning_rate"], "--tune learning_rate: expected FIELD=VALUE,VALUE, for exa"),
        (["plan", "12_bits", "--tune", "learning_rate="], "--tune learning_rate=: expected FIELD=VALUE,VALUE"),
        (["plan", "12_bits", "--tune", "learning_rate=x1"], "expected at least two values, for there is nothing to"),
        (["plan", "12_bits", "--tune", "learning_rate=x1,fast"], "learning_rate: 'fast' is no value to try; expected"),
        (["plan", "12_bits", "--tune", "learning_rate=0,x1"], "learning_rate=0: expected more than 0"),
        (
            ["plan", "12_bits", "--tune", "learningrate=x1,x2"],
            "'learningrate' cannot be tuned; expected learning_rate",
        ),
        (["plan", "12_bits", "--tune", "learningrate=x1,x2"], "; did you mean 'learning_rate'?"),
        (["plan", "12_bits", "--tune", "holdout=1/5"], "names no field to tune; add one"),
        (["plan", "12_bits", "--tune", "none", "--tune", "epochs=1,2"], "--tune none: given together with --tune ep"),
        (["plan", "12_bits", "--tune", "learning_rate=x1,x2", "--tune", "holdout=2/3"], "at most 1/2 of the training"),
        (
            ["run", "12_bits", "--set", "learning_rate=1e-3", "--tune", "learning_rate=x1,x2"],
            "learning_rate: both set and tuned for every arm; use --set or --tune, not both",
        ),
        (["plan", "12_bits", "--set", "holdout=1/5"], "makes every run of study 12_bits a trial"),
        (["plan", "12_bits", "--axis", "weights"], "--axis weights: expected AXIS=POINT,POINT"),
        (["plan", "16_which_layers", "--axis", "layers=[9, 7]"], "layers=[9, 7]: expected teacher layers in ascen"),
        (["report", "12_bits", "--format", "docx"], "--format docx: expected one of html, md, pdf"),
        (["run", "12_bits", "--arm", "3-bit"], "arm='3-bit': study 12_bits has '32-bit"),
        (["run", "12_bits", "--arm", "1-bit, A9"], "did you mean '1-bit, A8'?"),
        (["run", "12_bits", "--data-dir", "nowhere"], "data_dir='nowhere': no such folder"),
        (["plan", "12_bits", "--data-dir", "nowhere"], "data_dir='nowhere': no such folder"),
        (["plan", "12_bits", "--precision", "fp16"], "precision='fp16': expected one of auto, fp32, bf16"),
        (["run", "12_bits", "--device", "gpu"], "device='gpu': expected one of auto, cpu, cuda, mps"),
        (["run", "12_bits", "--synonyms", "nowhere.tsv"], "synonyms='nowhere.tsv': no such file"),
        (
            ["run", "12_bits", "--task", "cola", "--set", "augmentation=synonyms"],
            "augmentation='synonyms' of task 'cola' needs a synonym table: pass one with --synonyms FILE",
        ),
        (
            ["run", "12_bits", "--task", "toy-inference", "--set", "augmentation=synonyms"],
            "no word of 'toy-inference' can be replaced without changing the label",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_message_that_names_the_value(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["xtc-study", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_plan_warns_of_a_model_that_it_cannot_ask_about(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"model='no/such': no such folder, not in the hub's cache, and the hub is swi"
    ):
        output = run("plan", "12_bits", "--model", "no/such", "--results", str(tmp_path))
    assert "24 runs planned" in output


def test_the_warning_of_a_model_is_one_plain_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["plan", "12_bits", "--model", "no/such-one", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["xtc-study", *words])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        with pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "no/such-one" in line]
    assert line == (
        "warning: model='no/such-one': no such folder, not in the hub's cache, and the hub is switched off "
        "(HF_HUB_OFFLINE): give a folder with --model or --models-dir"
    )


def test_collect_and_report_of_a_study_that_has_not_run(tmp_path: Path) -> None:
    results = ["--results", str(tmp_path / "results")]
    assert "0 runs, 0 rows" in run("collect", "12_bits", *results)
    header = (tmp_path / "results" / "results.csv").read_text().splitlines()
    assert len(header) == 1 and header[0].startswith("study,arm,run_id,task,split,metric")
    output = run("report", "all", *results, "--output", str(tmp_path / "report"))
    (line,) = [line for line in output.splitlines() if "not run" in line]
    claims = sum(len(load_study(name).claims) for name in study_names())
    assert line == f"not run: {claims} claims of {', '.join(study_names())}"
    assert "xtc-study run 12_bits" in (tmp_path / "report" / "index.html").read_text()
    assert "xtc-study run 12_bits" in (tmp_path / "report" / "study-12_bits.html").read_text()


def test_report_in_markdown_and_in_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    places = ["--results", str(tmp_path / "results"), "--output", str(tmp_path / "report"), "--no-runs", "--open"]
    output = run("report", "12_bits", "--format", "md", *places)
    assert f"report: {tmp_path / 'report' / 'index.md'}" in output.replace("\n", "")
    assert shown == [(tmp_path / "report" / "index.md").as_uri()]
    assert "xtc-study run 12_bits" in (tmp_path / "report" / "study-12_bits.md").read_text()
    assert not (tmp_path / "report" / "runs").exists()


def test_a_published_report_in_markdown_has_only_studies_with_done_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xtc_study.report.study import StudyPage

    def page(study: Study) -> StudyPage:
        name = study.spec.name
        return StudyPage(name, name, "", [], {"done": 1} if name == "12_bits" else {"missing": 1}, "xtc-study run it")

    monkeypatch.setattr(Study, "page", page)
    places = ["--results", str(tmp_path / "results"), "--output", str(tmp_path / "report"), "--no-runs"]
    run("report", "12_bits", "11_budget", "--format", "md", "--published", *places)
    found = sorted(path.name for path in (tmp_path / "report").glob("study-*.*"))
    assert found == ["study-12_bits.html", "study-12_bits.md"]
    assert "11_budget" not in (tmp_path / "report" / "index.md").read_text()
    assert "xtc-study run" not in (tmp_path / "report" / "study-12_bits.md").read_text()


def test_the_report_prints_each_claim_with_its_verdict(tmp_path: Path) -> None:
    axes = {"weights": ["32-bit", "1-bit"], "activations": ["A32", "A8"]}
    study = Study("12_bits", places=Places(tmp_path / "results"), seeds=[0, 1], axes=axes)
    for planned in study.planned:
        make_done_run(study.places.runs, planned, 0.9 if planned.recipe.weight_bits == 32 else 0.7)
    chosen = ["--seed", "0", "--seed", "1", "--axis", "weights=32-bit,1-bit", "--axis", "activations=A32,A8"]
    places = ["--results", str(study.places.results), "--output", str(tmp_path / "report"), "--no-runs"]
    output = " ".join(run("report", "12_bits", *chosen, *places).split())
    for answer in study.page().answers:
        assert f"12_bits: {answer.verdict}: {answer.claim.sentence} {answer.reasons}" in output


def test_nothing_done_cannot_be_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "report",
        "12_bits",
        "--published",
        "--results",
        str(tmp_path / "results"),
        "--output",
        str(tmp_path / "r"),
    ]
    monkeypatch.setattr(sys, "argv", ["xtc-study", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and not (tmp_path / "r").exists()
    assert f"--published: no run is done in {tmp_path / 'results'}, so there is nothing to show" in " ".join(
        capsys.readouterr().err.split()
    )


def test_the_report_s_command_of_an_arm_carries_out_that_arm(tmp_path: Path) -> None:

    study = Study("12_bits", seeds=[0])
    arm = study.spec.arm_names[-1]
    words = shlex.split(study.command(arm))[1:]
    ids = run(*words, "--dry-run", "--results", str(tmp_path)).splitlines()[:-1]
    wanted = {one.run_id for one in study.planned if one.arm == arm}
    assert wanted and set(ids) == wanted


def test_a_budget_holds_for_the_studies_that_do_not_vary_it(tmp_path: Path) -> None:

    chosen = ["--seed", "0", "--set", "budget=A", "--dry-run", "--results", str(tmp_path)]
    lines = set(run("run", "11_budget", "12_bits", *chosen).splitlines()[:-1])
    varying = Study("11_budget", seeds=[0]).planned
    fixed = Study("12_bits", seeds=[0], overrides={"budget": "A"}).planned
    assert lines == {one.run_id for one in [*varying, *fixed]}
    assert {one.recipe.epochs for one in fixed} == {1.0}


def test_run_says_what_it_would_do_and_status_what_was_done(tmp_path: Path) -> None:
    results = ["--results", str(tmp_path / "results")]
    output = run("run", "12_bits", "--seed", "0", "--dry-run", "--limit", "3", *results)
    assert len([line for line in output.splitlines() if line.startswith("toy-")]) == 3
    assert "7 steps instead of 12, 7 to train" in output
    assert not (tmp_path / "results").exists()
    assert run("run", "12_bits", "--seed", "0", "--dry-run", "--only", "failed", *results).count("toy-") == 0
    assert "24 missing" in run("status", "12_bits", *results)
    assert run("clean", "12_bits", *results) == f"nothing to remove in {tmp_path / 'results'}\n"


TUNED = ["--seed", "0", "--axis", "weights=1-bit", "--axis", "activations=A8", "--tune", "learning_rate=x1,x2.5"]


def test_run_carries_out_trials_and_then_what_they_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [*TUNED, "--results", str(tmp_path)]
    assert "and 1 more, once the trials above have chosen their values" in run("run", "12_bits", *chosen, "--dry-run")

    def carry_out(recipes: list[Recipe], places: Places, *words: object) -> Iterator[dict[str, Any]]:
        for recipe in recipes:
            planned = PlannedRun("12_bits", recipe.run_id, "1-bit, A8", recipe)
            make_done_run(places.runs, planned, 0.9 if recipe.learning_rate == 2.5e-3 else 0.6)
            yield {"run_id": recipe.run_id, "state": "done", "seconds": 1.0, "error": None}

    monkeypatch.setattr("xtc_study.suite.carry_out", carry_out)
    output = run("run", "12_bits", *chosen)
    assert "12_bits: 2 trials to do" in output and "12_bits: 1 run to do at the chosen values" in output
    assert output.index("2 of 2 done") < output.index("1 of 1 done") and "wait" not in output
    assert "1-bit, A8, toy-inference: at 2.5e-3, the largest tried" in run("plan", "12_bits", *chosen)
    assert run("status", "12_bits", *chosen).splitlines()[1:] == ["12_bits: 1 done", "  trials: 2 done"]


def test_runs_whose_trials_failed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def carry_out(recipes: list[Recipe], places: Places, *words: object) -> Iterator[dict[str, Any]]:
        for recipe in recipes:
            write_json(places.runs / recipe.run_id / "error.json", {"type": "OSError", "message": "no space"})
            error = {"type": "OSError", "message": "no space"}
            yield {"run_id": recipe.run_id, "state": "failed", "seconds": 1.0, "error": error}

    monkeypatch.setattr("xtc_study.suite.carry_out", carry_out)
    words = ["run", "12_bits", *TUNED, "--results", str(tmp_path)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 1 and "1 run waits for trials that are not done" in result.output
    assert "2 runs failed" in result.output
    result = CliRunner().invoke(app, ["status", "12_bits", *TUNED, "--results", str(tmp_path)])
    assert result.exit_code == 1 and "trials: 2 failed" in result.output and "OSError: no space" in result.output


def test_status_names_what_failed_and_exits_with_1(tmp_path: Path) -> None:
    from xtc_study.profiles import load_profile
    from xtc_study.runs.store import RunFolder
    from xtc_study.studies import plan

    planned = plan(load_study("12_bits"), load_profile("smoke"))[0]
    folder = RunFolder(tmp_path / "runs", planned.recipe)
    folder.acquire()
    folder.finish("failed", "2026-01-01", 1.0, {"type": "FloatingPointError", "message": "loss [is] nan", "cell": 4})
    words = ["12_bits", "--results", str(tmp_path)]
    result = CliRunner().invoke(app, ["status", *words])
    assert result.exit_code == 1
    assert f"failed: {planned.run_id}: FloatingPointError: loss [is] nan (cell 4)" in " ".join(result.output.split())
    assert (
        f"would remove {folder.path}" in run("clean", *words, "--dry-run").replace("\n", "") and folder.path.exists()
    )
    run("clean", *words)
    assert not folder.path.exists()


def test_a_run_without_a_process_is_interrupted_and_can_be_removed(tmp_path: Path) -> None:
    from xtc_study.runs.lease import held
    from xtc_study.runs.store import RunFolder

    first, second = (one.recipe for one in Study("12_bits", seeds=[0]).planned[:2])
    gone, live = RunFolder(tmp_path / "runs", first), RunFolder(tmp_path / "runs", second)
    gone.path.mkdir(parents=True)
    (gone.path / "claim.json").write_text('{"token": "t", "pid": 1}')
    live.acquire()
    try:
        words = ["12_bits", "--seed", "0", "--results", str(tmp_path)]
        output = run("status", *words)
        assert f"results: {tmp_path}\n12_bits: 4 missing, 1 interrupted, 1 running\n" in output
        assert "\n  32-bit, A32: 1 interrupted\n  32-bit, A8: 1 running\n  2-bit, A32: 1 missing\n" in output
        assert f"\n  running: {second.run_id}: no cell has ended, or it was started by hand, on " in output
        assert "interrupted" in run("plan", *words)
        assert run("clean", *words) == f"removed {gone.path}\n" and live.path.exists()
    finally:
        claim = held(live.path)
        assert claim is not None
        claim.release()


def test_collect_keeps_what_other_studies_collected(tmp_path: Path) -> None:
    from fabricate import make_done_run

    make_done_run(tmp_path / "runs", Study("12_bits", seeds=[0]).planned[0])
    words = ["--seed", "0", "--results", str(tmp_path)]
    assert "1 runs, 2 rows: " in run("collect", "12_bits", *words)
    assert "0 runs, 0 rows (and 2 rows of other studies, kept): " in run("collect", "15_layers", *words)
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 3


def test_points_of_an_axis_named_twice_are_joined_and_a_study_named_twice_is_one(tmp_path: Path) -> None:
    results = ["--seed", "0", "--results", str(tmp_path)]
    axes = ["--axis", "activations=A8", "--axis", "weights=1-bit", "--axis", "weights=2-bit"]
    assert "2 runs planned" in (output := run("plan", "12_bits", "12_bits", *axes, *results))
    assert output.count("runs planned") == 1
    assert "12_bits: 2 arms, compared with" in output and "no claim can be judged" in output
    assert run("plan", "all", "12_bits", *results) == run("plan", "all", *results)


def test_version() -> None:
    assert run("--version") == f"xtc-study {__version__}\n"
    assert "Show the version and exit." in " ".join(run("--help").split())


def test_every_option_says_what_it_does_in_a_sentence() -> None:
    command: Any = get_command(app)
    assert len(command.commands) == 11
    for name, verb in command.commands.items():
        assert verb.help.endswith("."), name
        for option in verb.params:
            assert option.help.endswith(".") and len(option.help.split()) > 2, (name, option.name)


def test_help_lists_the_choices_there_are() -> None:
    """Typed out, for the modules that define them take long to import; Literal would lose 'did you mean'."""
    listed = {
        "--device": DEVICES,
        "--precision": PRECISIONS,
        "--format": FORMATS,
        "--rest": REST_FORMATS,
        "--engine": ENGINES,
        "--to": RUNTIMES,
    }
    command: Any = get_command(app)
    verbs = {name: verb for name, verb in command.commands.items() if name != "bench"}  # its devices are others
    assert (
        next(option.metavar for option in command.commands["bench"].params if "--device" in option.opts) == "cpu|cuda"
    )
    options = [option for verb in verbs.values() for option in verb.params]
    for flag, names in listed.items():
        assert {option.metavar for option in options if flag in option.opts} == {"|".join(names)}, flag


def test_ctrl_c_ends_run_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*words: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("xtc_study.cli.studies.carry_out", interrupted)
    result = CliRunner().invoke(app, ["run", "12_bits", "--results", str(tmp_path)])
    assert result.exit_code == 130 and result.stderr == "stopped; rerun the same command to resume\n"
