from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xtc_study.packed.unpacked import decode, encode, encoded_length, rounded


def test_fp32_keeps_every_bit() -> None:
    tensor = torch.randn(20, 30)
    assert torch.equal(rounded(tensor, "fp32"), tensor)


def test_fp16_is_half_precision() -> None:
    tensor = torch.randn(20, 30)
    assert encode(tensor, "fp16").dtype == torch.float16
    assert torch.equal(rounded(tensor, "fp16"), tensor.half().float())


def test_8bit_matches_hand_computed_values() -> None:
    """0 to 25.5 in steps of 0.1: lowest 0, step 0.1; a value between two steps goes to the nearer."""
    tensor = torch.zeros(17)
    tensor[1], tensor[2], tensor[3] = 25.5, 10.04, 10.06
    stored = encode(tensor, "8bit")
    assert stored.dtype == torch.uint8 and stored.shape == (8 + 17,)
    assert stored[:8].view(torch.float32).tolist() == pytest.approx([0.0, 0.1])
    assert stored[8:12].tolist() == [0, 255, 100, 101]
    assert decode(stored, (17,))[:4].tolist() == pytest.approx([0, 25.5, 10.0, 10.1], abs=1e-5)


def test_table_has_one_range_per_row() -> None:
    tensor = torch.stack([torch.linspace(0, 1, 32), torch.linspace(0, 100, 32)])
    assert encode(tensor, "8bit").numel() == encoded_length((2, 32)) == 2 * (8 + 32)
    off = (rounded(tensor, "8bit") - tensor).abs().amax(1)
    assert off[0] <= 0.5 / 255 * 1.001 and off[1] <= 50 / 255 * 1.001


def test_small_tensors_stay_float32() -> None:
    tensor = torch.randn(16)
    for rest in ("fp16", "8bit"):
        assert torch.equal(rounded(tensor, rest), tensor)


@settings(deadline=None, max_examples=100)
@given(arrays("float32", array_shapes(max_dims=2, max_side=40), elements=st.floats(-9, 9, width=32)))
def test_8bit_error_is_at_most_half_a_step_and_encoding_is_idempotent(values: object) -> None:
    tensor = torch.from_numpy(values)
    stored = encode(tensor, "8bit")
    back = decode(stored, tuple(tensor.shape))
    assert back.shape == tensor.shape
    assert (back - tensor).abs().max() <= 18 / 255 / 2 * 1.001


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("rest", ["fp32", "fp16", "8bit"])
def test_non_finite_numbers_are_refused(value: float, rest: str) -> None:
    with pytest.raises(ValueError, match="not finite"):
        encode(torch.full((20,), value), rest)


def test_numbers_too_large_for_half_precision_are_refused() -> None:
    with pytest.raises(ValueError, match="70000, too large for fp16"):
        encode(torch.full((20,), 7e4), "fp16")


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="rest='4bit': expected one of fp32, fp16, 8bit"):
        encode(torch.zeros(20), "4bit")


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (torch.zeros(21), "shape"),
        (torch.zeros(20, dtype=torch.int32), "int32"),
        (torch.zeros(27, dtype=torch.uint8), "shape"),
        (torch.full((28,), 255, dtype=torch.uint8), "not finite"),
    ],
)
def test_stored_tensors_that_do_not_match_the_shape_are_refused(stored: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(stored, (20,))
