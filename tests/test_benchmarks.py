"""The reference step of the speed benchmark computes what it should; verdicts err as rarely as documented."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import DatasetDict

from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.distillation.losses import ATTENTION, HIDDEN, LOGITS, distillation_terms
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.reduction.layers import hidden_state_map, reduced
from xtc_study.recipe import Recipe
from xtc_study.tasks.catalogue import load_task
from xtc_study.training import pipeline as pipeline_module

TERMS = (ATTENTION, HIDDEN, LOGITS)
LAYERS = (1, 3)


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import reference_step

    return reference_step


def our_loss(student: Any, teacher: Any, batch: dict[str, Any], activation_bits: int) -> torch.Tensor:
    """Return the loss of our low-bit student, with padding counted."""
    make_low_bit(
        student, Recipe.of(task="cola", weight_bits=1, activation_bits=activation_bits, quantise_pooler=False)
    )
    want = {"output_attentions": True, "output_hidden_states": True}
    with hook_attention_scores(student, teacher):
        with torch.no_grad():
            teacher_outputs = teacher(**batch, **want)
        terms = distillation_terms(
            TERMS, student(**batch, **want), teacher_outputs, LAYERS, hidden_state_map(LAYERS), None, torch.zeros(3)
        )
    return torch.stack(list(terms.values())).sum()


def their_loss(reference: Any, student: Any, teacher: Any, batch: dict[str, Any], bits: int | None) -> torch.Tensor:
    for model in (student, teacher):
        model.set_attn_implementation(reference.SCORES)
    reference.quantize(student, bits)
    with torch.no_grad():
        teacher_outputs = reference.outputs(teacher, batch)
    states = hidden_state_map(LAYERS)
    return reference.distillation_loss(reference.outputs(student, batch), teacher_outputs, LAYERS, states)


@pytest.mark.parametrize("labels", [1, 3])
def test_reference_loss_and_gradients_equal_ours_with_padding_counted(
    labels: int, reference: Any, tiny: Callable[..., Any], batch: Callable[[str], dict[str, Any]]
) -> None:
    teacher = tiny(labels=labels)
    ours, theirs = reduced(teacher, LAYERS).eval(), reduced(teacher, LAYERS).eval()
    expected = our_loss(ours, copy.deepcopy(teacher), batch("bert"), 32)
    found = their_loss(reference, theirs, copy.deepcopy(teacher), batch("bert"), None)
    # A masked score is near -10000, where float32 steps by 0.001.
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    expected.backward()
    found.backward()
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(gradients[name].grad, parameter.grad, rtol=1e-2, atol=1e-3, msg=name)


def test_reference_rounding_of_inputs_gives_our_loss(
    reference: Any, tiny: Callable[..., Any], batch: Callable[[str], dict[str, Any]]
) -> None:
    """The reference divides by 128 and clips, ours divides by 127: equal up to rounding."""
    teacher = tiny()
    ours, theirs = reduced(teacher, LAYERS).eval(), reduced(teacher, LAYERS).eval()
    expected = our_loss(ours, copy.deepcopy(teacher), batch("bert"), 8)
    found = their_loss(reference, theirs, copy.deepcopy(teacher), batch("bert"), 8)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0)


def test_reference_quantizers_by_hand(reference: Any) -> None:
    weight = torch.tensor([[1.0, -2.0], [0.0, 5.0]], requires_grad=True)
    assert reference.BinaryWeights.apply(weight, 1).tolist() == [[2.0, -2.0], [0.0, 2.0]]
    assert reference.BinaryWeights.apply(weight, 2).tolist() == [[1.5, -1.5], [0.0, 2.5]]
    x = torch.tensor([[128.0, -128.0, 3.4], [0.5, 64.0, 1.26]], requires_grad=True)
    rounded = reference.RoundedInputs.apply(x, 8)
    assert rounded.tolist() == [[127.0, -128.0, 3.0], [0.5, 63.5, 1.5]]
    (rounded * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]


def test_a_reference_step_trains_every_parameter_except_those_of_the_teacher(
    reference: Any, tiny: Callable[..., Any], batch: Callable[[str], dict[str, Any]]
) -> None:
    teacher = tiny()
    student = reduced(teacher, LAYERS)
    for model in (student, teacher):
        model.set_attn_implementation(reference.SCORES)
    reference.quantize(student)
    step = reference.ReferenceStep(student, teacher, LAYERS, hidden_state_map(LAYERS), 1e-3, warmup=0)
    frozen = copy.deepcopy(teacher.state_dict())
    losses = [float(step(batch("bert"))) for _ in range(2)]
    before = {name: parameter.detach().clone() for name, parameter in student.named_parameters()}
    losses.append(float(step(batch("bert"))))
    assert all(loss > 0 for loss in losses)
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in teacher.state_dict().items())
    assert not any(torch.equal(parameter, before[name]) for name, parameter in student.named_parameters())


def test_verdicts_on_two_seeds_err_at_most_at_their_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short run of benchmarks/verdicts.py; its seeds are fixed, so it gives the same numbers every time.

    Two arms without a true difference, seeds 5.7 points apart: 2.5 % of 200 studies on each side are 5, give or take
    2.2. The previous rule decided about 30 of them on each side.
    """
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import verdicts

    case = verdicts.Case("one task", ((5.7, 5.7),), seeds=2, examples=300)
    now, before = (
        [float(side) for side in cells.partition(" | ")[0].split(" / ")] for cells in verdicts.simulate(case, 200, 200)
    )
    assert max(now) <= 4.5, "percent of wrong verdicts on a side"
    assert min(before) > 9, "the fault that today's rule corrects"


def test_gpu_check_runs_on_a_cpu_and_reports_differences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import gpu_check

    arguments = ["gpu_check.py", "--device", "cpu", "--bits", "1", "--quick", "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    text = load_task("toy-inference")
    little = DatasetDict({split: rows.select(range(32)) for split, rows in text.items()})
    monkeypatch.setattr(pipeline_module, "load_task", lambda name, data_dir, files: little)
    with pytest.raises(SystemExit) as end:
        gpu_check.main()
    lines = capsys.readouterr().out.splitlines()
    assert (
        end.value.code == 0 and lines[0].startswith("cpu, ") and lines[-1] == "every file gives its student's logits"
    )
    assert sum(line.startswith("1-bit, one scale per tensor, rest ") and ": exact, " in line for line in lines) == 3

    monkeypatch.setattr(gpu_check, "measure", _differs)
    monkeypatch.setattr(gpu_check, "REST_FORMATS", ("fp32",))
    with pytest.raises(SystemExit) as end:
        gpu_check.main()
    assert end.value.code == 1 and "DIFFERS: by 0.01" in capsys.readouterr().out


def _differs(*_: Any) -> Any:
    from xtc_study.deploy.evaluate import ReloadError

    raise ReloadError("by 0.01")
