"""Augmented training rows: created once per task, tokenised once per model, shared by every run."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtc_study.canonical import digest
from xtc_study.compress.encoder_parts import positions
from xtc_study.model_source import ModelError
from xtc_study.places import Places
from xtc_study.recipe import VERSION, Recipe
from xtc_study.runs.step_store import StepStore
from xtc_study.tasks.augmentation.augment import CHUNK_ROWS, SEED, Augmenter
from xtc_study.tasks.augmentation.masked_lm import MaskedWords
from xtc_study.tasks.augmentation.synonyms import read_synonyms, synonym_source, table_hash
from xtc_study.tasks.augmentation.words import WordSource
from xtc_study.tasks.batches import from_disk, tokenize_to_disk
from xtc_study.tasks.catalogue import find_task
from xtc_study.tasks.task import DataError
from xtc_study.training.pretrained import load_masked_lm

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

TOKENS = "tokens.arrow"


class AugmentedRows:
    """A recipe's augmented training rows.

    They depend on the task's data, the method and its parameters, never on the run's seed. They are stored beside the
    trained steps: the text as ``augment-<hash>/*.parquet``, the tokens as ``tokens-<hash>/tokens.arrow``.

    Args:
        recipe: names the method and its parameters.
        text: the task's splits as text.
        tokenizer: the tokenizer of the recipe's model.
        store: the store of the steps, which holds the rows too.
        places: paths of the data, the models and the synonym table.
        device: the device for a masked LM.
        longest: maximum tokens of a row: the recipe's max_length, or fewer if the model reads fewer.

    Raises:
        DataError: there is no synonym table, it is malformed, or it has no word of the task.
        ModelError: the model has no masked-LM head, or its tokenizer cannot mask.
    """

    def __init__(
        self,
        recipe: Recipe,
        text: DatasetDict,
        tokenizer: Any,
        store: StepStore,
        places: Places,
        device: str,
        longest: int,
    ) -> None:
        self.recipe, self.text, self.tokenizer = recipe, text, tokenizer
        self.store, self.places, self.device, self.longest = store, places, device, longest
        self.task = find_task(recipe.task, places.task_files)

        # The addresses cover everything that the rows and their tokens depend on.
        masked = recipe.augmentation == "masked-lm"
        made_of = {
            "version": VERSION,
            "method": recipe.augmentation,
            "copies": recipe.augmentation_copies,
            "probability": recipe.augmentation_probability,
            "candidates": recipe.augmentation_candidates,
            "synonyms": table_hash(places.synonyms),
            "model": recipe.model if masked else None,
            "text": _text_hash(text),
            "seed": SEED,
            "chunk": CHUNK_ROWS,
        }
        self.made_of = made_of
        self.address = f"augment-{digest(made_of)}"
        tokens_of = {"rows": self.address, "model": recipe.model, "max_length": recipe.max_length}
        self.tokens_address = f"tokens-{digest(tokens_of)}"

        # Loaded now, so that errors are found before a teacher is trained.
        self.source = None if self.store.is_done(self.address) else self._source()

    def rows(self) -> Dataset:
        """Return the tokenised rows, on disk; create them if they do not exist."""
        folder, _ = self.store.once(self.tokens_address, self._tokenise)
        try:
            return from_disk(folder / TOKENS)
        except (OSError, ValueError) as error:  # pyarrow's errors are one or the other
            raise self.store.damaged(self.tokens_address, "tokenised rows", error) from error

    def files(self) -> list[Path]:
        """Return the Parquet files of the rows as text, in order (``Augmenter.write``); create them if missing."""
        folder, _ = self.store.once(self.address, self._augment)
        self.source = None  # free the memory of a masked LM for the training
        return sorted(folder.glob("*.parquet"))

    def record(self) -> dict[str, Any]:
        """Return what metrics.json records: the method, its parameters, the table's sha256 and the row counts."""
        self.files()
        return self.store.record(self.address)

    def _source(self) -> WordSource:
        recipe, table = self.recipe, self.places.synonyms
        if recipe.augmentation == "masked-lm":
            model = load_masked_lm(recipe.model, self.places.models_dir)
            if not self.tokenizer.is_fast or self.tokenizer.mask_token is None:
                raise ModelError(
                    f"augmentation='masked-lm': the tokenizer of model={recipe.model!r} "
                    f"{'has no mask token' if self.tokenizer.is_fast else 'is not a fast one'}; choose another model, "
                    "or augmentation='synonyms'"
                )
            known = read_synonyms(table, recipe.augmentation_candidates) if table is not None else None
            return MaskedWords(
                model, self.tokenizer, recipe.augmentation_candidates, self.device, positions(model), known
            )

        source = synonym_source(recipe, table)
        sentences = (text for field in self.task.text_fields for text in self.text["train"][field][:])
        if not any(source.slots([text])[0] for text in sentences):
            raise DataError(
                f"synonyms={str(table)!r}: no word of task {recipe.task!r} has a synonym there; give a table of the "
                "task's language"
            )
        return source

    def _augment(self, folder: Path) -> dict[str, Any]:
        recipe, started = self.recipe, time.monotonic()
        source = self.source or self._source()

        augmenter = Augmenter(
            self.text, self.task, source, recipe.augmentation_copies, recipe.augmentation_probability
        )
        # Written to the checkpoint folder, so that a killed process can resume, and moved once they are complete.
        files = augmenter.write(self.store.checkpoints(self.address))

        rows = sum(_rows(file) for file in files)
        for file in files:
            os.replace(file, folder / file.name)
        return {
            "phase": "augment",
            "task": recipe.task,
            **self.made_of,
            "plain_rows": len(self.text["train"]),
            "rows": rows,
            "seconds": round(time.monotonic() - started, 3),
        }

    def _tokenise(self, folder: Path) -> dict[str, Any]:
        started = time.monotonic()
        tokenize_to_disk(self.files(), folder / TOKENS, self.task, self.tokenizer, self.longest)
        seconds = round(time.monotonic() - started, 3)
        return {"phase": "tokens", "task": self.recipe.task, "rows_of": self.address, "seconds": seconds}


def _rows(file: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def _text_hash(text: DatasetDict) -> str:
    """Hash every row of every split: the rows of the other splits decide which variants are dropped."""
    digest_of_rows = hashlib.sha256()
    for split in sorted(text):
        columns = [text[split][name][:] for name in sorted(text[split].column_names)]
        for row in zip(*columns, strict=True):
            digest_of_rows.update(json.dumps(row).encode())
    return digest_of_rows.hexdigest()
