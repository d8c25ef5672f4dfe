"""The native engine is built on demand and found again, and gives the same numbers on every processor."""

from __future__ import annotations

import copy
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_layers import low_bit, packed

from xtc_study.compress.quantization.activations import ActivationFormat
from xtc_study.compress.quantization.quantizers import WeightFormat
from xtc_study.packed.engines import make_engine, native_build, native_engine

FORMATS = [WeightFormat(1), WeightFormat(2), WeightFormat(2, levels="odd")]


@pytest.fixture
def built(native_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(native_cache))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86 processors")
@pytest.mark.parametrize(("march", "instructions"), [("x86-64-v3", "avx2"), ("x86-64", "plain")])
def test_older_instruction_sets_give_the_same_numbers(
    built: None, march: str, instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = native_build.open_library(native_build.build(march))
    assert library.xtc_instructions().decode() == instructions
    monkeypatch.setattr(native_engine, "_library", lambda: library)
    with torch.inference_mode():
        for fmt in FORMATS:
            for rows, outputs, columns in ((1, 1, 1), (5, 33, 7), (29, 100, 130)):
                layer = low_bit(outputs, columns, replace(fmt, granularity="row"), ActivationFormat(8))
                x = torch.randn(rows, columns)
                assert torch.equal(packed(layer, "native")(x), layer(x))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 40), st.sampled_from(FORMATS), st.integers(0, 2**31))
def test_native_engine_is_exact_for_every_shape(
    native_cache: Path, rows: int, outputs: int, columns: int, fmt: WeightFormat, seed: int
) -> None:
    """Includes extreme inputs: huge, tiny, zero, and halves, which round to even."""
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode(), torch.random.fork_rng():
        patch.setenv("XDG_CACHE_HOME", str(native_cache))
        torch.manual_seed(seed)
        fmt = replace(fmt, granularity="row" if seed % 2 else "tensor")
        layer = low_bit(outputs, columns, fmt, ActivationFormat(8))
        x = torch.randn(rows, columns) * 10.0 ** torch.randint(-30, 30, (rows, 1))
        x[0] = torch.randint(-254, 255, (columns,)) / 2
        assert torch.equal(packed(layer, "native")(x), layer(x))


@given(st.integers(1, 70), st.integers(1, 20), st.sampled_from(FORMATS), st.integers(0, 2**31))
def test_layout_round_trips(outputs: int, columns: int, fmt: WeightFormat, seed: int) -> None:
    levels = [-3, -1, 1, 3] if fmt.is_odd else [-1, 1] if fmt.bits == 1 else [-1, 0, 1]
    whole = np.random.default_rng(seed).choice(levels, (outputs, columns)).astype(np.int8)
    codes = native_engine.codes_of(whole, fmt)
    assert np.array_equal(native_engine.integers_of(codes, whole.shape, fmt), whole)


@torch.inference_mode()
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86 processors")
@pytest.mark.parametrize("march", ["x86-64-v3", "x86-64"])
def test_largest_products_do_not_saturate(built: None, march: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of 3 and inputs of 127 steps: AVX2 sums pairs of products in 16 bits."""
    library = native_build.open_library(native_build.build(march))
    monkeypatch.setattr(native_engine, "_library", lambda: library)
    layer = low_bit(33, 700, WeightFormat(2, "row", levels="odd", learned=True), ActivationFormat(8))
    layer.weight.fill_(3)
    layer.weight_scale.fill_(1)
    layer.bias.zero_()
    x = torch.tensor([[127.0], [-127.0]]).expand(2, 700)
    y = packed(layer, "native")(x)
    assert (y[0] == 3 * 127 * 700).all() and (y[1] == -3 * 127 * 700).all()


@torch.inference_mode()
def test_raw_memory_is_read_only_if_shapes_and_types_match(built: None) -> None:
    layer = low_bit(8, 16, WeightFormat(1, "row"), ActivationFormat(8))
    twin, x = packed(layer, "native"), torch.randn(4, 16)
    with pytest.raises(ValueError, match=r"shape \[4, 15\]: expected 16 features"):
        twin(x[:, :15])
    assert torch.equal(twin(x.t().contiguous().t()), layer(x)), "not contiguous"
    assert torch.equal(twin(x.double()), layer(x))
    assert torch.equal(copy.deepcopy(twin)(x), layer(x))
    assert twin(x[:0]).shape == (0, 8)
    halved = copy.deepcopy(twin).half()
    assert torch.equal(halved(x), halved.float()(x)), "half scales are widened, not read as float32"


def test_auto_chooses_native_once_built(built: None) -> None:
    assert make_engine("auto").name == make_engine("native").name == "native"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux to list what is loaded")
def test_native_engine_shares_torchs_threads(built: None) -> None:
    """A second OpenMP would have its own threads, which spin while they wait for work."""
    program = """
from xtc_study.packed.engines import make_engine
make_engine("native")
print(len({line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr


def test_build_errors_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="engine='native': not built on this machine; run xtc-study build-engine"):
        make_engine("native")
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(ValueError, match="false cannot compile the engine; set CXX"):
        native_build.build()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="no-such-compiler does not start"):
        native_build.build()
    monkeypatch.delenv("CXX")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ValueError, match=r"no C\+\+ compiler: install g\+\+"):
        native_build.build()
    assert not list(tmp_path.rglob("*.so")), "no partial file is left"
    native_build.library_path().parent.mkdir(exist_ok=True)
    native_build.library_path().write_text("no library")
    with pytest.raises(ValueError, match=r"does not load .* run xtc-study build-engine"):
        native_build.open_library(native_build.library_path())


def test_library_path_depends_on_source_and_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = native_build.library_path()
    assert native_build.library_path() == before
    assert native_build.library_path("x86-64-v3") != before
    monkeypatch.setattr(native_build, "cpu_abilities", lambda: "another")
    changed = native_build.library_path()
    other = tmp_path / "native.cpp"
    other.write_text(native_build.SOURCE.read_text() + "// changed")
    monkeypatch.setattr(native_build, "SOURCE", other)
    assert len({before, changed, native_build.library_path()}) == 3
