"""Checksums of a packed folder, so that a flipped bit raises an error and never changes a prediction.

``config.json`` records under ``xtc_checksums`` the sha256 of the whole weight file and of itself: of its content as
JSON with sorted keys and no spaces, without this entry and without fields that transformers rewrites. It also records
the sha256 of each file of a tokenizer; older folders lack these and load without them.
"""

from __future__ import annotations

import hashlib
import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from xtc_study.model_folder import CONFIG, WEIGHTS

CHECKSUMS = "xtc_checksums"
OTHER_FILES = ("transformers_weights", "configuration_files", "attribute_map")
"""Fields of config.json that make transformers read files other than these two; the last renames the others."""
NOT_COVERED = (CHECKSUMS, "transformers_version", "_name_or_path")
TOKENIZER = ("*token*", "*vocab*", "*.model", "*.spm", "merges.txt", "bpe.codes", "dict.txt")
"""Names of tokenizer files in transformers: tokenizer.json, special_tokens_map.json, vocab.txt, spm.model."""


class CheckpointError(ValueError):
    """A folder is not a packed checkpoint, or is damaged. The message names the file and what is wrong."""


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write config.json beside a finished weight file, with the checksums of both and of the folder's tokenizer."""
    config = {key: value for key, value in config.items() if key != CHECKSUMS}
    config[CHECKSUMS] = {CONFIG: config_digest(config), WEIGHTS: file_digest(folder / WEIGHTS)}
    config[CHECKSUMS] |= {name: file_digest(folder / name) for name in tokenizer_files(folder)}
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of config.json, unverified (see ``verify``).

    Raises:
        CheckpointError: the file is missing or does not contain a JSON mapping.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(
            f"{path}: not found; expected a folder written by xtc-study, with {CONFIG} and {WEIGHTS}"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: contains a {type(config).__name__}, expected a mapping")
    return config


def verify(folder: Path, config: dict[str, Any]) -> None:
    """Compare both files, and those of a tokenizer, with the checksums in ``config``.

    Raises:
        CheckpointError: a checksum is missing or wrong, or the tokenizer has more files than were written.
    """
    written = config.get(CHECKSUMS)
    if not isinstance(written, dict):
        raise CheckpointError(
            f"{folder / CONFIG}: has no {CHECKSUMS}; only folders written by xtc-study can be loaded"
        )
    if written.get(CONFIG) != config_digest(config):
        raise CheckpointError(
            f"{folder / CONFIG}: was changed after it was written (checksum); restore the original "
            "file, or confirm an intended change with xtc_study.packed.checksums.write_config"
        )
    _verify_tokenizer(folder, written)
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder / WEIGHTS}: not found; copy the whole folder")
    if written.get(WEIGHTS) != file_digest(folder / WEIGHTS):
        raise CheckpointError(
            f"{folder / WEIGHTS}: damaged or not the file that was written (checksum); restore the original file"
        )


def check_alone(folder: Path, config: dict[str, Any]) -> None:
    """Refuse whatever would make transformers read files other than those that ``verify`` compares.

    Raises:
        CheckpointError: ``config`` has such a field, or the folder such a file.
    """
    for field in OTHER_FILES:
        if field in config:
            raise CheckpointError(
                f"{folder / CONFIG}: has {field!r}, with which transformers may read unchecked files instead of "
                f"{CONFIG} and {WEIGHTS}; remove this field"
            )
    for path in folder.iterdir():
        if path.name == "adapter_config.json" or path.name.startswith("shard-"):
            raise CheckpointError(f"{path}: transformers may load it beside or instead of {WEIGHTS}; remove it")


def config_digest(config: dict[str, Any]) -> str:
    """Return the sha256 of a configuration, without the fields in ``NOT_COVERED``."""
    covered = {key: value for key, value in config.items() if key not in NOT_COVERED}
    return hashlib.sha256(json.dumps(covered, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tokenizer_files(folder: Path) -> list[str]:
    """Return the sorted names of the files in the folder that belong to its tokenizer."""
    names = (path.name for path in folder.iterdir() if path.is_file())
    return sorted(name for name in names if any(fnmatch(name, pattern) for pattern in TOKENIZER))


def _verify_tokenizer(folder: Path, written: dict[str, Any]) -> None:
    """Check the tokenizer's files; an extra file is an error too, because transformers would read it."""
    listed = sorted(set(written) - {CONFIG, WEIGHTS})
    for name in listed:
        if Path(name).name != name or not (folder / name).is_file():
            raise CheckpointError(f"{folder / name}: not found, but {CONFIG} has its checksum; copy the whole folder")
        if written[name] != file_digest(folder / name):
            raise CheckpointError(
                f"{folder / name}: damaged or not the file that was written (checksum); restore the original file"
            )
    surplus = [name for name in tokenizer_files(folder) if listed and name not in listed]
    if surplus:
        raise CheckpointError(
            f"{folder / surplus[0]}: was not there when the folder was written and may change its tokenizer; remove it"
        )
