from __future__ import annotations

import io
import warnings
from pathlib import Path

import pytest
from rich.console import Console

from xtc_study.chain import chain
from xtc_study.cli.terminal import carry_out, clear_steps, cost_text, say_needs, say_warnings_plainly
from xtc_study.places import Compute, Places
from xtc_study.runs import cards, shares
from xtc_study.runs.carry_out import RunFilter
from xtc_study.runs.cost import Cost
from xtc_study.runs.step_times import KINDS, StepTime, StepTimes, write_step_times
from xtc_study.study import Study

COSTS = Cost(10, 4, 3, seconds_alone=20_000.0, seconds_shared=9_000.0, seconds_to_do=7_200.0)


def test_what_was_measured_is_said_with_its_device_and_memory() -> None:
    points = [StepTime(kind="quantise", length=length, seconds=1.0) for length in (32, 128)]
    times = StepTimes(
        model="m", depth=6, batch_size=32, device="a CPU", precision="fp32", peak_bytes=3_140_000_000, points=points
    )
    assert cost_text(COSTS, times) == (
        "4 steps instead of 10, 3 to train, about 2.0 hours of a CPU (from measured steps); "
        "a 1-bit step of 32 x 128 tokens holds 3.1 GB; sharing reduces the cost to 45% of separate pipelines"
    )


def test_without_a_measurement_it_says_where_the_time_is_from_or_how_to_know() -> None:
    assert cost_text(COSTS, None).startswith("4 steps instead of 10, 3 to train, about 2.0 hours of training (from")
    remembered = Cost(10, 4, 3, 20_000.0, 9_000.0, 7_200.0, measured=False)
    times = StepTimes(model="m", depth=6, batch_size=32, device="a CPU", precision="fp32", points=[])
    assert "of training (from steps trained here)" in cost_text(remembered, times), "a measurement that was not used"
    unknown = Cost(10, 4, 3, None, None, None)
    assert (
        cost_text(unknown, None)
        == "4 steps instead of 10, 3 to train; duration unknown (estimate it with plan --measure)"
    )


def test_a_warning_is_a_line_without_a_place_in_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back after the test
    said = Console(file=io.StringIO(), width=200)
    say_warnings_plainly(said)
    warnings.showwarning("2 texts are in train and dev", UserWarning, "catalogue.py", 40)
    assert said.file.getvalue() == "warning: 2 texts are in train and dev\n"  # type: ignore[attr-defined]


def test_steps_go_only_when_that_is_asked_for(tmp_path: Path) -> None:
    from fabricate import make_done_run

    study = Study("12_bits", tasks=["cola"], seeds=[0], places=Places(tmp_path))
    first, second = study.planned[:2]
    make_done_run(study.places.runs, first)
    kinds = {
        "left": ("teacher-0000000000", "teacher"),
        "done": (chain(first.recipe)[-1].address, "distil"),
        "to do": (chain(second.recipe)[-1].address, "quantise"),
    }
    for address, phase in kinds.values():
        (tmp_path / "steps" / address).mkdir(parents=True)
        (tmp_path / "steps" / address / "step.json").write_text(f'{{"phase": "{phase}"}}')
        (tmp_path / "steps" / address / "model.safetensors").write_bytes(b"x" * 2000)

    def clear(unused: bool, finished: bool, dry_run: bool = False) -> tuple[str, set[str]]:
        said = Console(file=io.StringIO(), width=400)
        clear_steps([study], said, unused, finished, dry_run)
        there = {what for what, (address, _) in kinds.items() if (tmp_path / "steps" / address / "step.json").exists()}
        return said.file.getvalue(), there  # type: ignore[attr-defined]

    text, there = clear(False, False)
    assert there == {"left", "done", "to do"}
    assert "1 trained steps that no run uses: 2 kB; clean --steps removes them\n" in text
    assert "1 trained steps that only done runs use (their files and scores stay): 2 kB; clean --fini" in text
    text, there = clear(True, True, dry_run=True)
    assert text.count("would remove") == 2 and there == {"left", "done", "to do"}
    text, there = clear(True, False)
    assert f"removed {tmp_path / 'steps' / 'teacher-0000000000'} (2 kB)\n" in text and there == {"done", "to do"}
    assert clear(False, True)[1] == {"to do"}
    assert clear(True, True) == ("", {"to do"})


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "driver_cards", lambda: 2)
    monkeypatch.setattr(cards, "torch_has_cuda", lambda: True)
    monkeypatch.setattr(shares, "available_cores", lambda: 16)
    for name in (*shares.THREADS, cards.VARIABLE):
        monkeypatch.delenv(name, raising=False)


def said_of(study: Study, how: str) -> str:
    said = Console(file=io.StringIO(), width=400)
    if how == "plan":
        say_needs([study], {run.run_id: "missing" for run in study.planned}, said)
    else:
        carry_out([study], said, None, None, None, True, RunFilter(limit=0))
    return said.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("two_cards")
def test_a_plan_shows_the_workers_of_each_card_and_how_many_runs_fit(tmp_path: Path) -> None:
    study = Study("12_bits", tasks=["cola"], seeds=[0], places=Places(tmp_path))
    assert "\n2 workers on 2 GPUs, 8 threads each\n" in said_of(study, "plan")
    assert "GPU memory" not in said_of(study, "plan"), "nothing was measured"
    points = [StepTime(kind=kind, length=128, seconds=1.0) for kind in KINDS]
    measured = StepTimes(
        model="builtin:tiny", depth=4, batch_size=32, device="a card", precision="bf16", peak_bytes=2 * 10**9,
        card_bytes=9 * 10**9, points=points,
    )  # fmt: skip
    write_step_times(tmp_path, measured)
    assert "at most 4 runs fit on a card of 9.0 GB (a card), beside the CUDA context" in said_of(study, "plan")
    on_cpu = Study("12_bits", tasks=["cola"], seeds=[0], places=Places(tmp_path), compute=Compute("cpu"))
    assert "workers, 2 threads each" in said_of(on_cpu, "plan")


@pytest.mark.usefixtures("two_cards")
def test_a_run_says_how_many_share_the_cards(tmp_path: Path) -> None:
    study = Study("12_bits", tasks=["cola"], seeds=[0], places=Places(tmp_path))
    assert "\n1 worker on 1 GPU, 16 threads; --workers N sets how many (docs/gpu.md)\n" in said_of(study, "run")
    on_cpu = Study("12_bits", tasks=["cola"], seeds=[0], places=Places(tmp_path), compute=Compute("cpu"))
    assert "worker" not in said_of(on_cpu, "run")
