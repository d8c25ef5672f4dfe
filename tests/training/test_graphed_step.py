"""Training steps as CUDA graphs, up to the capture: a stand-in for a graph runs the captured function on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from xtc_study.compress.distillation import attention_scores
from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.encoder_parts import positions
from xtc_study.compress.quantization.input_norm import blended
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.model_source import BUILTIN_CONFIG
from xtc_study.recipe import Recipe
from xtc_study.tasks.batches import Padding, tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.generated.vocabulary import toy_tokenizer
from xtc_study.training import checkpoints, graphed_step, stage
from xtc_study.training.graphed_step import GraphedSteps, PaddedTo, StepLosses, graphs_wanted
from xtc_study.training.intervention import MAP, OUTPUT, Standing
from xtc_study.training.objective import Comparison, Objective, losses_of
from xtc_study.training.precision import Precision
from xtc_study.training.pretrained import load_encoder
from xtc_study.training.schedule import Schedule
from xtc_study.training.stage import train

TASK = find_task("toy-sentiment")
CPU = Precision("cpu", "fp32")
PADDING = Padding(toy_tokenizer(), TASK)
LAYERS = tuple(range(BUILTIN_CONFIG["num_hidden_layers"]))
EVERY_TERM = ("attention", "hidden", "logits")


class PretendGraph:
    """Like a CUDA graph: each replay computes from, and writes to, the tensors of the capture."""

    def __init__(self, run: Callable[[], StepLosses]) -> None:
        self.run, self.losses, self.replays = run, run(), 0

    def replay(self) -> None:
        fresh = self.run()
        self.replays += 1
        self.losses.total.copy_(fresh.total)
        for term, value in fresh.terms.items():
            self.losses.terms[term].copy_(value)


class Pretend:
    """Captures as CUDA does, except that it executes the function, whose traces ``GraphedSteps`` must remove."""

    def __init__(self) -> None:
        self.graphs: list[PretendGraph] = []

    def __call__(self, run: Callable[[], StepLosses]) -> tuple[PretendGraph, StepLosses]:
        self.graphs.append(PretendGraph(run))
        return self.graphs[-1], self.graphs[-1].losses


@pytest.fixture(autouse=True)
def the_teacher_runs_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU."""
    monkeypatch.setattr(stage, "EPOCHS_WORTH_KEEPING", 1000)


@pytest.fixture(scope="module")
def rows() -> Any:
    return tokenize(load_task(TASK.name)["train"].select(range(72)), TASK, toy_tokenizer(), 32)


def encoder(seed: int, low_bit: dict[str, Any] | None = None) -> Any:
    model = load_encoder("builtin:tiny", TASK, seed)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.1
    if low_bit is not None:
        make_low_bit(model, Recipe.of(task=TASK.name, **low_bit))
    return model


def fit(
    model: Any, rows: Any, objective: Objective, folder: Path, capture: Any = None, steps: int = 14, **schedule_of: Any
) -> Any:
    """Train in batches of 16, the last of an epoch of 8, always padded to multiples of 8."""
    schedule = Schedule(steps, 16, 1e-3, warmup=0.0, weight_decay=0.01, seed=0, **{"norm_steps": 10, **schedule_of})
    torch.manual_seed(0)
    padding = PaddedTo(PADDING, model, positions(model))
    return train(model, rows, padding, objective, schedule, CPU, folder, lambda student: 0.5, capture)


LESSONS = {
    "teacher": (("labels",), None, False),
    "reduction": (EVERY_TERM, None, False),
    "one bit": (EVERY_TERM, {"weight_bits": 1}, False),
    "last stage": (("logits",), {"weight_bits": 2, "granularity": "row"}, False),
    "fixed ranges": (EVERY_TERM, {"activation_scale": "tensor", "activation_range": "static"}, False),
    "8-bit attention": (EVERY_TERM, {"quantise_attention": True, "quantise_tables": True}, False),
    "normalised inputs": (EVERY_TERM, {"input_norm": "rms"}, False),
    "clipped": (("attention", "hidden"), {"weight_clip": 0.05, "granularity": "group:16"}, False),
    "learned scales": (
        *(EVERY_TERM, {"weight_bits": 2, "two_bit_levels": "odd", "granularity": "row", "weight_scale": "learned"}),
        False,
    ),
    "teacher with dropout": (EVERY_TERM, {"weight_bits": 4}, True),
    "stand-in": (EVERY_TERM, {}, False),
    "stand-in alone": (("logits", "labels"), {}, False),
    "maps": (EVERY_TERM, {"quantise_attention": True}, False),
    "relations": (EVERY_TERM, None, False),
}
BEYOND: dict[str, dict[str, Any]] = {
    "stand-in": {"intervention": 0.9},
    "stand-in alone": {"intervention": 0.7, "comparison": Comparison(label_weight=0.5, temperature=2)},
    "maps": {"comparison": Comparison("maps", attention_weight=2)},
    "relations": {"comparison": Comparison("relations", 1)},
}
"""What these lessons' objectives have besides; without attention to compare, the teacher's map leaves the weights of
queries and keys without a gradient."""


@pytest.mark.parametrize("lesson", [lesson for lesson in LESSONS if lesson not in ("stand-in", "relations")])
def test_graphed_steps_train_the_same_student(lesson: str, rows: Any, tmp_path: Path) -> None:
    """Bit for bit, with dropout: passes before a capture leave no trace in generator, buffers or gradients."""
    terms, low_bit, teacher_dropout = LESSONS[lesson]

    def objective() -> Objective:
        teacher = None if terms == ("labels",) else encoder(1)
        return Objective(terms, teacher, LAYERS, teacher_dropout=teacher_dropout, **BEYOND.get(lesson, {}))

    plain, graphed, pretend = encoder(0, low_bit), encoder(0, low_bit), Pretend()
    curve = fit(plain, rows, objective(), tmp_path / "plain").curve
    assert fit(graphed, rows, objective(), tmp_path / "graphed", pretend).curve == curve
    replays = 5 if lesson == "stand-in alone" else 7  # of 14; each mode has shapes that are new to it
    assert sum(graph.replays for graph in pretend.graphs) >= replays
    state = plain.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in graphed.state_dict().items())


def test_a_graphed_training_resumes_bit_for_bit(rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resumed training takes other steps the plain way than the one that was not interrupted."""
    objective = Objective(EVERY_TERM, encoder(1), LAYERS, intervention=0.8)
    whole = encoder(0, {})
    curve = fit(whole, rows, objective, tmp_path / "whole", Pretend()).curve

    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    taken = []
    take = GraphedSteps.take

    def cut_off(self: GraphedSteps, inputs: Any, mode: Any = None) -> Any:
        taken.append(inputs)
        if len(taken) == 9:
            raise KeyboardInterrupt
        return take(self, inputs, mode)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(GraphedSteps, "take", cut_off)
        fit(encoder(0, {}), rows, objective, tmp_path / "cut", Pretend())
    resumed = encoder(0, {})
    assert fit(resumed, rows, objective, tmp_path / "cut", Pretend()).curve == curve
    state = whole.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in resumed.state_dict().items())


def test_padding_to_few_lengths_changes_no_loss(rows: Any) -> None:
    student, teacher = encoder(0, {}).eval(), encoder(1).eval()
    objective = Objective(EVERY_TERM, teacher, LAYERS)
    some = [rows[number] for number in range(5)]
    exact, padded = PADDING(some), PaddedTo(PADDING, student, positions(student))(some)
    length = exact["input_ids"].shape[1]
    assert length % 8 and padded["input_ids"].shape == (5, length + -length % 8)
    with hook_attention_scores(student, teacher):
        losses = [losses_of(objective, CPU, student, batch, batch.pop("labels"))[1] for batch in (exact, padded)]
    for term in EVERY_TERM:
        torch.testing.assert_close(losses[0][term], losses[1][term])


def test_padding_stays_within_what_a_model_reads(rows: Any) -> None:
    model = encoder(0)
    model.config.pad_token_id = 3
    some = [rows[number] for number in range(5)]
    length = PADDING(some)["input_ids"].shape[1]
    batch = PaddedTo(PADDING, model, length + 1)(some)
    assert batch["input_ids"].shape == (5, length + 1)
    assert batch["input_ids"][:, -1].tolist() == [3] * 5
    assert not batch["attention_mask"][:, -1].any()


def test_rare_shapes_and_shapes_beyond_the_limit_take_the_plain_way(
    rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphed_step, "LARGEST_NUMBER", 1)
    model, pretend = encoder(0), Pretend()
    steps = GraphedSteps(model, lambda batch: {"labels": model(**batch).loss}, pretend)

    def batch(length: int) -> dict[str, Tensor]:
        ids = torch.full((2, length), 7)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([0, 1])}

    taken = [steps.take(batch(length)) is not None for length in (8, 16, 8, 16, 8, 16, 24, 8)]
    assert taken == [False, False, True, False, True, False, False, True]
    assert [graph.replays for graph in pretend.graphs] == [3]


def test_each_mode_has_graphs_of_its_own(rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there may be, with the parameters that get a gradient, until the next mode has a graph."""
    monkeypatch.setattr(graphed_step, "LARGEST_NUMBER", 1)
    model, pretend = torch.nn.ModuleDict({"one": torch.nn.Linear(1, 1), "two": torch.nn.Linear(1, 1)}), Pretend()
    mode = "one"
    steps = GraphedSteps(model, lambda batch: {"labels": model[mode](batch["labels"][:, None]).sum()}, pretend)
    found = []
    for mode in ("one", "one", "one", "two", "two"):
        model.zero_grad()
        taken = steps.take({"attention_mask": torch.ones(2, 2), "labels": torch.tensor([1.0, 2.0])}, mode)
        gradients = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
        found.append((taken is not None, {name.partition(".")[0] for name in gradients}))
    assert found == [
        (False, set()), (True, {"one"}), (True, {"one"}), (False, set()), (True, {"two"})
    ]  # fmt: skip
    assert [graph.replays for graph in pretend.graphs] == [2, 1]
    assert [mode for mode, *_ in steps.graphs] == ["two"]


def test_a_parameter_without_a_gradient_stays_without(rows: Any) -> None:
    """AdamW would decay it if it got a gradient of zeros."""
    model = encoder(0)
    model.unused = torch.nn.Parameter(torch.ones(3))
    steps = GraphedSteps(model, lambda batch: {"labels": model(**batch).loss}, Pretend())
    batch = PaddedTo(PADDING, model, 64)([rows[number] for number in range(4)])
    assert steps.take(batch) is None
    assert steps.take(batch) is not None
    assert model.unused.grad is None
    assert model.classifier.weight.grad is not None


def test_a_model_that_cannot_be_captured_is_trained_the_plain_way(rows: Any, tmp_path: Path) -> None:
    def refuse(run: Callable[[], StepLosses]) -> Any:
        run()
        raise RuntimeError("operation not permitted when stream is capturing\nmore lines")

    plain, other, objective = encoder(0, {}), encoder(0, {}), Objective(EVERY_TERM, encoder(1), LAYERS)
    curve = fit(plain, rows, objective, tmp_path / "plain").curve
    with pytest.warns(
        UserWarning, match="BertForSequenceClassification: .*not permitted when stream is capturing"
    ) as all_of:
        assert fit(other, rows, objective, tmp_path / "other", refuse).curve == curve
    assert sum("capturing" in str(one.message) for one in all_of) == 1, "it is tried once"
    assert all(torch.equal(tensor, plain.state_dict()[name]) for name, tensor in other.state_dict().items())


@pytest.mark.parametrize(
    ("device", "pad_in_loss", "switch", "wanted"),
    [
        ("cuda", False, None, True),
        ("cuda", False, "1", True),
        ("cuda", False, "0", False),
        ("cuda", True, None, False),
        ("cpu", False, None, False),
        ("mps", False, None, False),
    ],
)
def test_where_graphs_are_used(
    device: str, pad_in_loss: bool, switch: str | None, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XTC_CUDA_GRAPHS", raising=False)
    if switch is not None:
        monkeypatch.setenv("XTC_CUDA_GRAPHS", switch)
    assert graphs_wanted(device, pad_in_loss) is wanted


class CaptureRules(TorchFunctionMode):
    """What a capture does not permit: tensors made from numbers of the CPU, and numbers read back from the device."""

    FORBIDDEN = ("tensor", "as_tensor", "from_numpy", "item", "tolist", "cpu", "numpy", "nonzero", "__bool__",
                 "__float__", "__int__", "allclose", "equal", "unique", "masked_select")  # fmt: skip

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        assert name not in self.FORBIDDEN, f"{name} is not permitted in a capture"
        return func(*args, **(kwargs or {}))


class NothingIsReadBack(TorchDispatchMode):
    """The same below Python: autograd and composite operations."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "equal", "_unique2", "item")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.partition(".")[0]
        assert name not in self.FORBIDDEN, f"{name} waits for the device"
        indices = args[1] if name in ("index", "index_put_", "index_put") else ()
        assert not any(index is not None and index.dtype == torch.bool for index in indices), "a mask as an index"
        return func(*args, **(kwargs or {}))


SHAPE = {
    "vocab_size": 120, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 40, "pad_token_id": 0, "num_labels": 2,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {},
    "electra": {"embedding_size": 8},
    "roberta": {},
    "distilbert": {"n_layers": 2, "n_heads": 2, "dim": 16, "hidden_dim": 24},
    "modernbert": {"local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2},
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "lesson",
    [
        *("teacher", "one bit", "fixed ranges", "8-bit attention", "last stage", "normalised inputs", "maps"),
        *("relations", "stand-in", "learned scales"),
    ],
)
def test_a_step_keeps_the_rules_of_a_capture(family: str, lesson: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terms, low_bit, _ = LESSONS[lesson]
    config = transformers.AutoConfig.for_model(family, **{**SHAPE, **FAMILIES[family]})
    student, teacher = (transformers.AutoModelForSequenceClassification.from_config(config) for _ in range(2))
    if low_bit is not None:
        make_low_bit(student, Recipe.of(task=TASK.name, **{**low_bit, "quantise_tables": False}))
    ids = torch.randint(5, 100, (3, 16))
    mask = torch.ones_like(ids)
    mask[0, -3:] = 0
    inputs, labels = {"input_ids": ids, "attention_mask": mask}, torch.tensor([0, 1, 0])
    objective = Objective(terms, teacher.eval(), (0, 1), **BEYOND.get(lesson, {}))
    share = torch.tensor(0.5)
    standings = [Standing(MAP, share), Standing(OUTPUT, share)] if lesson == "stand-in" else [None]
    student.train()
    monkeypatch.setattr("transformers.utils.import_utils.is_cuda_stream_capturing", lambda: True)
    monkeypatch.setattr(
        attention_scores, "dropout_of", torch.nn.functional.dropout
    )  # what other devices than a CPU use

    def step() -> None:
        for standing in standings:
            losses = losses_of(objective, CPU, student, inputs, labels, standing=standing)[1]
            torch.stack(list(losses.values())).sum().backward()

    norms = blended(student, "cpu")
    with norms, hook_attention_scores(*((student, teacher) if "attention" in terms else ())):
        step()
        with CaptureRules(), NothingIsReadBack():
            step()


def test_graphs_follow_the_bits_of_a_progressive_start(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 steps at 32 bits, 7 at 2, 9 at one, with Muon, whose gradients lie in fixed memory, and averages; cut off at 2
    bits. The student is that of plain steps, bit for bit."""
    beyond = {"warmdown": 0.3, "muon_learning_rate": 1e-3, "averaging": 0.9, "progressive": 0.62}
    objective = Objective(EVERY_TERM, encoder(1), LAYERS)
    plain = encoder(0, {})
    curve = fit(plain, rows, objective, tmp_path / "plain", steps=24, **beyond).curve
    graphs: list[PretendGraph] = []

    def graphed(student: Any) -> Any:
        """A real graph replays the kernels of its capture; the stand-in computes with the bits of the moment."""
        table = student.get_input_embeddings()

        class OfOneFormat(Pretend):
            def __call__(self, run: Callable[[], StepLosses]) -> tuple[PretendGraph, StepLosses]:
                captured = table.weight_format

                def checked() -> StepLosses:
                    assert table.weight_format == captured
                    return run()

                graph, losses = super().__call__(checked)
                graphs.append(graph)
                return graph, losses

        return fit(student, rows, objective, tmp_path / "graphed", OfOneFormat(), 24, **beyond)

    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    calls = []

    def interrupted(self: Any, *given: Any) -> Any:
        calls.append(given)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return take(self, *given)

    take = GraphedSteps.take
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(GraphedSteps, "take", interrupted)
        graphed(encoder(0, {}))
    resumed = encoder(0, {})
    assert graphed(resumed).curve == curve
    assert sum(graph.replays for graph in graphs) >= 9
    state = plain.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in resumed.state_dict().items())
