"""2,000 damaged folders: each raises a clear error or is harmless; none crashes, hangs or changes a prediction."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.packed.checkpoint import save_packed
from xtc_study.packed.checksums import CheckpointError, write_config
from xtc_study.packed.loading import load
from xtc_study.recipe import Recipe

CASES = int(os.environ.get("XTC_FUZZ", "2000"))
LARGE = 200_000


LEVELS = ("ternary", "odd")
"""Each half of the cases damages a folder with these integers."""


@pytest.fixture(scope="module", params=LEVELS)
def levels(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def sound(levels: str, tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    model = tiny("bert", layers=1)
    fields = {"weight_bits": 2, "granularity": "row", "two_bit_levels": levels, "input_norm": "rms"}
    make_low_bit(model, Recipe.of(task="toy-sentiment", **fields))
    save_packed(model, folder, rest="8bit")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def flip_bits(content: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(dice.choice([1, 1, 1, 2, 8])):
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def truncate(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def lengthen(content: bytes, dice: random.Random) -> bytes:
    return content + dice.randbytes(dice.randint(1, 100))


def overwrite(content: bytes, dice: random.Random) -> bytes:
    start, length = dice.randrange(len(content)), dice.randint(1, 64)
    return content[:start] + dice.randbytes(length) + content[start + length :]


def cut_out(content: bytes, dice: random.Random) -> bytes:
    start, length = dice.randrange(len(content)), dice.randint(1, 64)
    return content[:start] + content[start + length :]


def another_header_length(content: bytes, dice: random.Random) -> bytes:
    length = dice.choice([0, 1, 2**31, 2**40, 2**63, 2**64 - 1, dice.randrange(2**64)])
    return struct.pack("<Q", length) + content[8:]


def edited_header(content: bytes, dice: random.Random) -> bytes:
    """A well-formed header with other shapes, dtypes, offsets or names."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    name = dice.choice([name for name in header if name != "__metadata__"])
    entry = header[name]
    match dice.randrange(5):
        case 0:
            entry["shape"] = [dice.choice([0, 1, 2**31, 2**62]) for _ in range(dice.randint(0, 3))]
        case 1:
            entry["dtype"] = dice.choice(["F64", "I8", "BF16", "F32", "U8", "X9"])
        case 2:
            entry["data_offsets"] = [dice.randrange(2**40), dice.randrange(2**40)]
        case 3:
            header[name + "x"] = header.pop(name)
        case 4:
            header[dice.choice(list(header))] = dice.choice([None, [], 7, {}])
    edited = json.dumps(header).encode()
    return struct.pack("<Q", len(edited)) + edited + content[8 + length :]


def edited_config(content: bytes, dice: random.Random) -> bytes:
    config = json.loads(content)
    part: Any = config
    while True:
        key = dice.choice(list(part))
        if not isinstance(part[key], dict) or not part[key] or dice.random() < 0.1:
            break
        part = part[key]
    part[key] = dice.choice([None, -1, 0, 3, 2**62, 1e300, "", "x", [], {}, True, [1, 2]])
    return json.dumps(config).encode()


WEIGHTS = [flip_bits, truncate, lengthen, overwrite, cut_out, another_header_length, edited_header]
CONFIG = [flip_bits, truncate, lengthen, overwrite, cut_out, edited_config]


def test_damaged_folders_are_refused_or_harmless(
    levels: str, sound: dict[str, bytes], batch: Callable[..., Any], tmp_path: Path
) -> None:
    """Damage as it occurs on a disk: the checksums no longer match."""
    logits = answers(sound, tmp_path, batch)
    refused = 0
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case in range(LEVELS.index(levels), CASES, len(LEVELS)):
        dice = random.Random(case)
        name, kinds = dice.choice([("model.safetensors", WEIGHTS), ("config.json", CONFIG)])
        damaged = dice.choice(kinds)(sound[name], dice)
        (tmp_path / name).write_bytes(damaged)
        try:
            model = load(tmp_path)
        except CheckpointError as error:
            assert str(tmp_path) in str(error) and len(str(error)) < 1000, case
            refused += 1
        else:  # only what checksums do not cover: spaces, the version of transformers, or unchanged bytes
            assert torch.equal(logits_of(model, batch), logits), case
        (tmp_path / name).write_bytes(sound[name])
    assert refused > 0.95 * CASES / len(LEVELS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < LARGE, "kB"


def test_malicious_folders_never_crash_the_loader(
    levels: str, sound: dict[str, bytes], batch: Callable[..., Any], tmp_path: Path
) -> None:
    """Damage with matching checksums, as an attacker would make it to crash the loader."""
    answers(sound, tmp_path, batch)
    for case in range(LEVELS.index(levels), CASES // 10, len(LEVELS)):
        dice = random.Random(case)
        name, change = dice.choice([("model.safetensors", edited_header), ("config.json", edited_config)])
        (tmp_path / name).write_bytes(change(sound[name], dice))
        config = json.loads((tmp_path / "config.json").read_bytes())
        write_config(tmp_path, config)
        try:
            load(tmp_path)
        except CheckpointError as error:
            assert str(tmp_path) in str(error), case
        for file, content in sound.items():
            (tmp_path / file).write_bytes(content)


def answers(sound: dict[str, bytes], folder: Path, batch: Callable[..., Any]) -> torch.Tensor:
    for name, content in sound.items():
        (folder / name).write_bytes(content)
    return logits_of(load(folder), batch)


@torch.no_grad()
def logits_of(model: Any, batch: Callable[..., Any]) -> torch.Tensor:
    return model(**batch("bert")).logits


def test_links_are_read_like_files(sound: dict[str, bytes], tmp_path: Path) -> None:
    """The hub's cache stores files as links."""
    for name, content in sound.items():
        (tmp_path / f"blob-{name}").write_bytes(content)
        (tmp_path / name).symlink_to(tmp_path / f"blob-{name}")
    load(tmp_path)
    shutil.rmtree(tmp_path)
