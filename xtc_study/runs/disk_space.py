"""Estimates the disk space that planned runs need, before they are carried out. Imports no torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xtc_study.chain import Step, chain
from xtc_study.recipe import Recipe
from xtc_study.runs.encoder_size import EncoderSize, encoder_size
from xtc_study.runs.step_store import StepStore
from xtc_study.runs.training_work import share_of_depth

FLOAT = 4
"""Bytes per parameter: steps store float32, low-bit students their latent weights."""
CHECKPOINTS = 2 * 3
"""Copies of the weights that a training stores: weights and two optimiser moments, twice while it replaces them."""
RUN_BYTES = 500_000
"""Bytes of a run's folder besides its model: notebook, predictions, log, tokenizer."""


@dataclass(frozen=True)
class DiskNeeds:
    """Bytes that unfinished runs and steps will take."""

    steps: int
    runs: int
    training: int
    """Per worker while a step trains; freed afterwards."""
    unknown: tuple[str, ...]
    """Models of unknown size, whose steps are not counted."""
    free: int
    """Free bytes on the disk that holds the results."""

    def text(self) -> str:
        """Describe the needs in one line."""
        free = f"{in_bytes(self.free)} free"
        if self.unknown:
            return f"disk: unknown, since the weights of {', '.join(self.unknown)} are not on this machine yet; {free}"
        if not self.steps + self.runs:
            return f"disk: nothing more needed; {free}"
        text = f"disk: about {in_bytes(self.steps)} for steps and {in_bytes(self.runs)} for runs"
        text += f", {in_bytes(self.training)} more for each worker while it trains" if self.training else ""
        text += f"; {free}"
        if self.steps + self.runs + self.training > self.free:
            text += ". That is not enough: choose another disk with --results, or free some with xtc-study clean"
        return text


def in_bytes(count: int) -> str:
    """Write a size for a reader: ``271 MB``, decimal as on the labels of disks."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.{1 if unit == 'GB' else 0}f} {unit}"
    return f"{count} bytes"


def disk_needs(
    recipes: Sequence[Recipe],
    done: Iterable[str],
    results: Path,
    models_dir: Path | None = None,
    synonyms: str | None = None,
) -> DiskNeeds:
    """Estimate the disk space of the unfinished runs and steps of recipes.

    A step takes four bytes per parameter, as counted in the encoder's weights; rows that augmentation adds are not
    counted.

    Args:
        recipes: of the planned runs.
        done: ids of the runs that are done.
        results: the results folder.
        models_dir: folder of models; None: the hub's cache.
        synonyms: the hash of the synonym table in use (see ``chain``).
    """
    store, finished = StepStore(results / "steps"), set(done)
    left = [recipe for recipe in recipes if recipe.run_id not in finished]
    sizes = {model: encoder_size(model, models_dir) for model in {recipe.model for recipe in left}}
    chains = {recipe.run_id: chain(recipe, synonyms) for recipe in left}
    steps = {step.address: (step, recipe.model) for recipe in left for step in chains[recipe.run_id]}
    missing = [
        _parameters(step, sizes[model]) for address, (step, model) in steps.items() if not store.is_done(address)
    ]
    files = [_file(recipe, _parameters(chains[recipe.run_id][-1], sizes[recipe.model])) for recipe in left]
    return DiskNeeds(
        steps=FLOAT * sum(missing),
        runs=sum(files),
        training=FLOAT * CHECKPOINTS * max(missing, default=0),
        unknown=tuple(sorted(model for model, size in sizes.items() if size is None)),
        free=free_bytes(results),
    )


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk that holds a folder, or will hold it."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def _parameters(step: Step, size: EncoderSize | None) -> int:
    if size is None:
        return 0
    if step.phase in ("vectors", "static"):
        return size.outside  # a table at most as wide as the encoder's own
    root: Mapping[str, object] = step.params
    above = step
    while above.parent is not None:
        above = above.parent
        root = above.params
    deep = share_of_depth(root.get("teacher_layers"), size.depth)  # type: ignore[arg-type]
    if step.phase == "teacher" or deep is None:
        return size.parameters(1.0 if deep is None else deep)
    share, ffn = share_of_depth(step.params.get("layers"), size.depth, deep), step.params.get("ffn")
    return size.parameters(deep if share is None else share, share_of_depth(ffn, None) or 1.0)


def _file(recipe: Recipe, parameters: int) -> int:
    """Return the bytes of a run's folder: its packed file, with all parameters at the larger of both bit widths, and
    the rest."""
    bits = max(recipe.weight_bits, recipe.embedding_bits_used)
    return round(parameters * bits / 8) + RUN_BYTES
