"""Hash the content of a local model folder: a recipe names only the folder, so steps record the hash of its files."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from xtc_study.file_stamps import FileStamp, file_stamps
from xtc_study.model_folder import CONFIG
from xtc_study.model_source import TOKENIZER_FILES, resolve_model

NAMES = (
    CONFIG,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *TOKENIZER_FILES,
)


def files_hash(name: str, models_dir: Path | None = None) -> str | None:
    """Return the sha256 of a folder's configuration, tokenizer and weights, with file names; None for other models.

    Args:
        name: a model's name, as in recipes.
        models_dir: folder of models; None: the hub's cache.

    Raises:
        ModelError: the folder contains no model.
    """
    folder = Path(resolve_model(name, models_dir))
    if not folder.is_dir():
        return None
    files = sorted(file for file in folder.iterdir() if file.name in NAMES or file.suffix == ".safetensors")
    return _hash(file_stamps(files))


@lru_cache(maxsize=8)
def _hash(stamps: tuple[FileStamp, ...]) -> str:
    """Hash the files; a process reads them again only if their stamps change."""
    digest_of_files = hashlib.sha256()
    for path, size, _ in stamps:
        digest_of_files.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                digest_of_files.update(chunk)
    return digest_of_files.hexdigest()
