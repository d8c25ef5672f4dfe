"""Inputs and outputs of exports, by family; OpenVINO as a user calls it; exports with other predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.deploy.export.onnx import run_onnx, session, to_onnx
from xtc_study.deploy.export.openvino import run_openvino, to_openvino
from xtc_study.deploy.export.parity import Agreement, ExportError, agreement
from xtc_study.deploy.sample_inputs import input_names, random_batches, sample_inputs
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.loading import load
from xtc_study.recipe import Recipe

SHAPE = {"vocab_size": 101, "max_position_embeddings": 40, "hidden_size": 32, "num_attention_heads": 4}
SHAPE |= {"intermediate_size": 64, "num_hidden_layers": 2, "initializer_range": 0.2, "num_labels": 3}
MOBILE = {"embedding_size": 16, "intra_bottleneck_size": 32, "true_hidden_size": 32, "num_feedforward_networks": 1}
MODELS: dict[str, Callable[[], Any]] = {
    "electra": lambda: transformers.ElectraForSequenceClassification(
        transformers.ElectraConfig(**SHAPE, embedding_size=16)
    ),
    "mobilebert": lambda: transformers.MobileBertForSequenceClassification(
        transformers.MobileBertConfig(**SHAPE, **MOBILE)
    ),
}
TYPES = "token_type_ids"


@pytest.fixture
def packed(tiny: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """Students with random weights, whose token types change the logits strongly."""

    def make(family: str, bits: int = 2, **fields: Any) -> Path:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = MODELS[family]() if family in MODELS else tiny(family, layers=2)
            tables = [module for name, module in model.named_modules() if name.endswith("token_type_embeddings")]
            with torch.no_grad():
                for table in tables:
                    table.weight.mul_(5)
        make_low_bit(model, Recipe.of(task="toy-inference", weight_bits=bits, **fields))
        save_packed(model.eval(), tmp_path / family)
        return tmp_path / family

    return make


def logits_of(model: Any, **inputs: Any) -> Any:
    with torch.inference_mode():
        return model(**inputs).logits.numpy()


@pytest.mark.parametrize("family", ["bert", "electra", "mobilebert"])
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_token_types_are_an_input_if_the_model_has_them(
    packed: Callable[..., Path], family: str, runtime: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime" if runtime == "onnx" else "openvino", reason="pip install -e '.[export]'")
    folder = packed(family)
    model = load(folder, "torch")
    inputs = sample_inputs(model.config, 8, 20, padded=True)
    assert set(inputs[TYPES].flatten().tolist()) == {0, 1}, "the sample has both types"
    exact = logits_of(model, **inputs)
    without = logits_of(model, input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
    write = to_onnx if runtime == "onnx" else to_openvino
    path = tmp_path / "out" / ("model.onnx" if runtime == "onnx" else "model.xml")
    found = write(folder, path)
    assert found.made_up and found.same_class is not None and found.same_class >= 0.9
    if runtime == "onnx":
        running = session(path)
        names, logits = {port.name for port in running.get_inputs()}, run_onnx(running, inputs)
    else:
        import openvino

        compiled = openvino.Core().compile_model(str(path), "CPU")
        names, logits = {port.any_name for port in compiled.inputs}, run_openvino(compiled, inputs)
    assert names == {"input_ids", "attention_mask", TYPES}
    assert np.abs(logits - exact).max() < 0.3 * np.abs(without - exact).max()


def test_float32_onnx_takes_token_types_too(packed: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install -e '.[export]'")
    folder = packed("bert")
    to_onnx(folder, tmp_path / "model.onnx", int8=False)
    model = load(folder, "torch")
    inputs = sample_inputs(model.config, 8, 20, padded=True)
    exact, logits = logits_of(model, **inputs), run_onnx(session(tmp_path / "model.onnx"), inputs)
    assert np.abs(logits - exact).max() < 0.1 * np.abs(exact).max()


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_exports_normalise_inputs_as_the_packed_file_does(
    packed: Callable[..., Path], runtime: str, tmp_path: Path
) -> None:
    pytest.importorskip("openvino" if runtime == "openvino" else "onnxruntime", reason="pip install -e '.[export]'")
    folder = packed("bert", input_norm="rms")
    if runtime == "openvino":
        found = to_openvino(folder, tmp_path / "out" / "model.xml")
    else:
        found = to_onnx(folder, tmp_path / "model.onnx")
    assert found.same_class is not None and found.same_class >= 0.9 and found.off_by < 0.1


def test_input_names_depend_on_the_tokenizer_and_the_model(tiny: Callable[..., Any]) -> None:
    class Tokenizer:
        def __init__(self, *names: str) -> None:
            self.model_input_names = list(names)

    plain = ["input_ids", "attention_mask"]
    assert input_names(tiny("bert", layers=1)) == [*plain, TYPES]
    assert input_names(tiny("bert", layers=1), Tokenizer(*plain)) == plain, "trained without types"
    assert input_names(tiny("bert", layers=1), Tokenizer(*plain, TYPES)) == [*plain, TYPES]
    assert input_names(tiny("distilbert", layers=1)) == plain
    roberta = tiny("roberta", layers=1)
    roberta.config.type_vocab_size = 1
    assert input_names(roberta) == plain
    assert input_names(roberta, Tokenizer(*plain)) == plain
    assert input_names(roberta, Tokenizer(*plain, TYPES)) == [*plain, TYPES], "its file takes what it is fed with"


@pytest.mark.parametrize(
    ("bits", "fields"),
    [(1, {}), (2, {}), (2, {"two_bit_levels": "odd"}), (2, {"two_bit_levels": "odd", "granularity": "group:16"})],
    ids=["1", "2", "2 odd", "2 odd, groups"],
)
def test_openvino_is_correct_with_default_options(
    packed: Callable[..., Path], bits: int, fields: dict[str, Any], tmp_path: Path
) -> None:
    """On a CPU with bf16, 2-bit weights and a dynamic batch gave an exception, or logits of no rows."""
    openvino = pytest.importorskip("openvino", reason="pip install -e '.[export]'")
    folder = packed("bert", bits, **fields)
    to_openvino(folder, tmp_path / "model.xml")
    model, running = load(folder, "torch"), openvino.Core().compile_model(str(tmp_path / "model.xml"), "CPU")
    for rows, length in ((1, 8), (8, 13), (200, 20), (1, 31), (3, 5)):
        inputs = sample_inputs(model.config, rows, length, padded=True)
        logits = running({name: tensor.numpy() for name, tensor in inputs.items()})[0]
        exact = logits_of(model, **inputs)
        assert logits.shape == (rows, 3)
        assert np.abs(logits - exact).max() < 0.1 * np.abs(exact).max()
    nodes = openvino.Core().read_model(tmp_path / "model.xml").get_ops()
    kinds = [node.get_element_type().get_type_name() for node in nodes if node.get_type_name() == "Constant"]
    assert kinds.count("u2") >= 12, "weights are stored in 2 bits all the same"


def test_an_export_without_token_types_is_an_error(packed: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="pip install -e '.[export]'")
    folder = packed("bert")
    model = load(folder, "torch")
    rows = random_batches(model, ["input_ids", "attention_mask", TYPES])
    found = to_openvino(folder, tmp_path / "model.xml", ["input_ids", "attention_mask"], rows)
    assert found.same_class is not None and found.off_by > 0.5
    with pytest.raises(ExportError, match=r"class in .*% of 44 dev rows; .* expected at least 95%, and .*--to packed"):
        found.check("model.xml")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Agreement(100, 0.5, 0.01, 0.94), "class in 94.0% of 100 dev rows"),
        (Agreement(100, 0.5, 0.26, 1.0), "class in 100.0% .* at most 25% in root mean square"),
        (Agreement(100, 0.5, 0.06, None), "6.0% in root mean square .*; expected at most 5%;"),
        (Agreement(100, float("inf"), float("inf"), 0.0), "not finite or logits of another shape"),
    ],
)
def test_an_export_that_differs_too_much_is_an_error(found: Agreement, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        found.check("model.xml")
    Agreement(100, 0.5, 0.04, 0.96).check("model.xml")
    Agreement(100, 0.5, 0.04, None).check("model.xml")


def test_agreement_by_hand(tiny: Callable[..., Any]) -> None:
    class Model:
        def __call__(self, rows: torch.Tensor) -> Any:
            return type("Output", (), {"logits": rows})

    ours = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    theirs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [3.0, 2.0]])
    found = agreement(Model(), lambda batch: theirs, [{"rows": ours}], made_up=False)
    assert (found.rows, found.difference, found.same_class) == (4, 3.0, 0.75)
    assert found.off_by == pytest.approx((9 / 10) ** 0.5), "root mean square 3 / sqrt(8), of sqrt(10 / 8)"
    empty = agreement(Model(), lambda batch: theirs[:0], [{"rows": ours}], made_up=False)
    assert empty.difference == float("inf") and empty.same_class == 0.0
    number = agreement(Model(), lambda batch: ours[:, :1] + 0.5, [{"rows": ours[:, :1]}], made_up=True)
    assert number.same_class is None and number.difference == 0.5
    assert number.off_by == pytest.approx(0.5 / 0.6875**0.5), "the variance of 1, 0, 2, 0 is 2.75 / 4"
    far = agreement(Model(), lambda batch: ours[:, :1] + 100.5, [{"rows": ours[:, :1] + 100}], made_up=True)
    assert far.off_by == pytest.approx(number.off_by), "where the values lie makes an export no better"
