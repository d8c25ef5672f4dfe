"""Every engine gives the training layer's numbers bit for bit."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_layers import low_bit, packed
from torch import nn

from xtc_study.compress.quantization.activations import ActivationFormat
from xtc_study.compress.quantization.input_norm import InputNorm
from xtc_study.compress.quantization.layers import LowBitEmbedding
from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.packed import odd_levels
from xtc_study.packed.engines import make_engine
from xtc_study.packed.engines import numba_engine as numba_module
from xtc_study.packed.engines.int8 import has_exact_int8, int8_matmul, padded_int_mm
from xtc_study.packed.layers import PackedEmbedding
from xtc_study.packed.module_format import ModuleFormat
from xtc_study.packed.packing import unpack

SMALL = {"1": (1, "ternary"), "2": (2, "ternary"), "2 odd": (2, "odd")}
"""Bits and levels of what the numba and the native engine compute."""
KINDS = {**SMALL, "4": (4, "ternary"), "8": (8, "ternary")}
ACTIVATIONS = {
    "token": ActivationFormat(8),
    "tensor": ActivationFormat(8, "tensor"),
    "static": ActivationFormat(8, "tensor", True),
    "4 bits": ActivationFormat(4),
    "none": None,
}


@torch.inference_mode()
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("granularity", ["tensor", "row", "group:8"])
@pytest.mark.parametrize("kind", KINDS)
def test_linear_equals_the_training_layer(engine: str, activation: str, granularity: str, kind: str) -> None:
    """With scales by the rule for tensors, and learned ones for rows and groups: an engine reads both alike."""
    bits, levels = KINDS[kind]
    torch.manual_seed(bits)
    fmt = WeightFormat(bits, granularity, levels=levels, learned=granularity != "tensor")
    layer = low_bit(24, 40, fmt, ACTIVATIONS[activation])
    x = 3 * torch.randn(2, 5, 40)
    x[0, 0] = 0
    assert torch.equal(packed(layer, engine)(x), layer(x))


@torch.inference_mode()
@pytest.mark.parametrize("activation", ["token", "4 bits", "none"])
@pytest.mark.parametrize("granularity", ["row", "group:8"])
@pytest.mark.parametrize("bits", [1, 2, 4, None])
def test_normalised_input_equals_the_training_layers(
    engine: str, raw: None, activation: str, granularity: str, bits: int | None
) -> None:
    """A token of zeros, tiny and huge tokens, and more columns than squares fit in one exact float32 sum."""
    torch.manual_seed(0)
    weight = None if bits is None else WeightFormat(bits, granularity)
    layer = low_bit(24, 1200, weight, ACTIVATIONS[activation], InputNorm())
    x = torch.randn(2, 5, 1200)
    x[0, 0], x[0, 1], x[0, 2], x[0, 3] = 0, 1e-6 * x[0, 1], 1e6 * x[0, 2], x[0, 3].sign()
    y = packed(layer, engine)(x)
    assert torch.equal(y, layer(x)) and y.isfinite().all()
    layer.input_norm = None
    assert not torch.allclose(layer(x), y, rtol=1e-2)


@torch.inference_mode()
@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("threads", [1, 2, 3, "2, none shared"])
def test_many_rows_at_bert_size_equal_the_training_layer(
    engine: str, kind: str, threads: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More rows than a chunk, with loops divided among threads."""
    monkeypatch.setattr(numba_module, "WORTH_THREADS", 1)
    if isinstance(threads, str):
        threads = 2
        monkeypatch.setattr(numba_module, "loops", None)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        bits, levels = SMALL[kind]
        layer = low_bit(768, 3072, WeightFormat(bits, "row", levels=levels), ActivationFormat(8))
        x = torch.randn(1100, 3072)
        assert torch.equal(packed(layer, engine)(x), layer(x))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", SMALL)
def test_every_byte_is_unpacked(kind: str) -> None:
    bits, levels = SMALL[kind]
    spread, wide = numba_module.kernels.SPREAD[bits, levels == "odd"]
    weights, ternary = 8 // bits, kind == "2"
    codes = np.array([byte for byte in range(256) if not ternary or all(byte >> at & 3 != 3 for at in (0, 2, 4, 6))])
    into = np.empty(len(codes) * weights, np.int8)
    spread(codes.astype(np.uint8), into.view(wide))
    rows = codes.astype(np.uint8)[:, None]
    expected = odd_levels.unpack(rows, weights) if levels == "odd" else unpack(rows, weights, bits)
    assert np.array_equal(into.reshape(-1, weights), expected)


@torch.inference_mode()
@pytest.mark.parametrize("kind", SMALL)
def test_moved_model_switches_to_the_torch_engine(engine: str, kind: str) -> None:
    bits, levels = SMALL[kind]
    layer = low_bit(16, 32, WeightFormat(bits, "row", levels=levels), ActivationFormat(8))
    twin, x = packed(layer, engine), torch.randn(3, 32)
    if engine != "torch":
        assert torch.equal(twin.engine._elsewhere(twin, x), layer(x))
    assert twin.engine.name == "torch" and torch.equal(twin(x), layer(x))


@torch.inference_mode()
@pytest.mark.parametrize("columns", [5, 7, 33])
@pytest.mark.parametrize("kind", SMALL)
def test_columns_that_do_not_fill_a_byte(engine: str, columns: int, kind: str) -> None:
    bits, levels = SMALL[kind]
    layer = low_bit(3, columns, WeightFormat(bits, levels=levels), ActivationFormat(8))
    x = torch.randn(4, columns)
    assert torch.equal(packed(layer, engine)(x), layer(x))


@torch.inference_mode()
@pytest.mark.parametrize("kind", SMALL)
def test_numba_and_native_keep_bits_in_memory_and_torch_int8(engine: str, kind: str) -> None:
    bits, levels = SMALL[kind]
    layer = low_bit(32, 64, WeightFormat(bits, levels=levels), ActivationFormat(8))
    twin = packed(layer, engine)
    if engine == "torch":
        assert twin.integers is not None and twin.integers.dtype == torch.int8 and twin.weight is None
    else:
        assert twin.weight is not None and twin.weight.nbytes == 32 * 64 * bits // 8 and twin.integers is None


@torch.inference_mode()
def test_concurrent_threads_do_not_share_a_scratch_matrix(engine: str) -> None:
    layers = [low_bit(256, 512, WeightFormat(1), ActivationFormat(8)) for _ in range(2)]
    twins = [packed(layer, engine) for layer in layers]
    x = torch.randn(8, 512)
    expected = [layer(x) for layer in layers]
    wrong: list[int] = []

    def work(index: int) -> None:
        with torch.inference_mode():
            for _ in range(50):
                if not torch.equal(twins[index](x), expected[index]):
                    wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@torch.inference_mode()
@pytest.mark.parametrize("learned", [False, True], ids=["rule", "learned"])
@pytest.mark.parametrize(("bits", "levels"), [*((bits, "ternary") for bits in range(1, 9)), (2, "odd")])
def test_embedding_equals_the_training_layer(bits: int, levels: str, learned: bool) -> None:
    table = LowBitEmbedding(nn.Embedding(9, 21), WeightFormat(bits, "row", levels=levels, learned=learned))
    if table.weight_scale is not None:
        table.weight_scale.mul_(0.9)
    module_format = ModuleFormat.of(table)
    assert module_format is not None
    twin = PackedEmbedding(module_format)
    integers, twin.weight_scale = table.stored_weight()
    twin.weight = module_format.pack(integers).reshape(9, -1)
    ids = torch.tensor([[0, 8, 3], [3, 3, 1]])
    assert torch.equal(twin(ids), table(ids))


@pytest.fixture(params=["shared", "one thread"])
def raw(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """numba's loops on two threads, which get raw addresses, and on one."""
    monkeypatch.setattr(numba_module, "WORTH_THREADS", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2 if request.param == "shared" else 1)
    yield
    torch.set_num_threads(before)


@torch.inference_mode()
@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("default", [torch.float16, torch.bfloat16, torch.float64])
def test_torchs_default_dtype_does_not_affect_the_loops(
    engine: str, raw: None, default: torch.dtype, bits: int
) -> None:
    layer = low_bit(24, 40, WeightFormat(bits, "row"), ActivationFormat(8))
    twin, x = packed(layer, engine), torch.randn(9, 40)
    expected = layer(x)
    torch.set_default_dtype(default)
    try:
        y = twin(x)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(y, expected)


@torch.inference_mode()
def test_torchs_default_device_does_not_affect_the_loops(
    engine: str, raw: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba_module, "_own", threading.local())
    layer = low_bit(24, 40, WeightFormat(1, "row"), ActivationFormat(8))
    x = torch.randn(9, 40)
    expected = layer(x)
    with torch.device("meta"):
        y = packed(layer, engine)(x)
    assert torch.equal(y, expected)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_scales_and_biases_of_other_dtypes_are_converted(engine: str, raw: None, dtype: torch.dtype) -> None:
    layer = low_bit(24, 40, WeightFormat(1, "row"), ActivationFormat(8))
    twin, x = packed(layer, engine), torch.randn(9, 40)
    assert torch.allclose(twin.to(dtype)(x).float(), layer(x), atol=0.02)


@torch.inference_mode()
def test_weights_that_are_not_bytes_are_refused(
    raw: None, native_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(native_cache))
    layer, x = low_bit(24, 40, WeightFormat(1, "row"), ActivationFormat(8)), torch.randn(9, 40)
    for engine in ("numba", "native"):
        with pytest.raises(ValueError, match=r"packed weights are torch\.float16, expected torch\.uint8"):
            packed(layer, engine).type(torch.float16)(x)
        with pytest.raises(ValueError, match=r"shape \[9, 39\]: expected 40 features"):
            packed(layer, engine)(x[:, :39])


@torch.inference_mode()
@pytest.mark.parametrize("activation", ["token", "tensor"])
def test_nan_in_the_input_reaches_the_output(engine: str, raw: None, activation: str) -> None:
    layer = low_bit(8, 16, WeightFormat(1), ACTIVATIONS[activation])
    x = torch.randn(2, 16)
    x[0, 3] = float("nan")
    y = packed(layer, engine)(x)
    assert y[0].isnan().all() and torch.equal(y[1], layer(x)[1]) == (activation == "token")


@torch.inference_mode()
def test_empty_input_gives_an_empty_output(engine: str) -> None:
    layer = low_bit(8, 16, WeightFormat(1), ActivationFormat(8))
    assert packed(layer, engine)(torch.randn(0, 5, 16)).shape == (0, 5, 8)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_padded_products_are_exact(m: int, k: int, n: int, seed: int) -> None:
    """The shapes that CUDA requires, computed on the CPU: more than 16 rows, multiples of 8."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.randint(-127, 128, (m, k), generator=generator, dtype=torch.int8)
    weights = torch.randint(-127, 128, (n, k), generator=generator, dtype=torch.int8)
    exact = (q.double() @ weights.double().t()).int()
    assert torch.equal(int8_matmul(q, weights), exact)
    assert torch.equal(padded_int_mm(q, weights, 17, 8), exact)


def test_padding_reaches_the_shapes_that_cuda_requires(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, Any]] = []
    real = torch._int_mm

    def record(q: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(q.shape), tuple(weights.shape)))
        return real(q, weights)

    monkeypatch.setattr(torch, "_int_mm", record)
    one = torch.ones(1, 13, dtype=torch.int8)
    assert padded_int_mm(one, torch.ones(3, 13, dtype=torch.int8), 17, 8).tolist() == [[13, 13, 13]]
    assert seen == [((17, 16), (16, 8))]


def test_this_machine_multiplies_int8_exactly() -> None:
    assert has_exact_int8("cpu")
    assert not has_exact_int8("mps")


def test_unknown_and_missing_engines_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="engine='fast': expected one of auto, torch, numba, native"):
        make_engine("fast")
    assert make_engine("auto").name == "numba"
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr("xtc_study.packed.engines.find_spec", lambda name: None)
    assert make_engine("auto").name == "torch"
    with pytest.raises(ValueError, match="pip install"):
        make_engine("numba")
