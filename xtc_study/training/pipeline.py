"""Train a recipe's chain of steps; each step is trained once and reused by every recipe that shares it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xtc_study.chain import Step, chain
from xtc_study.compress.encoder_parts import positions
from xtc_study.compress.method_version import METHOD_VERSION
from xtc_study.compress.reduction.layers import layer_map
from xtc_study.places import Compute, Places
from xtc_study.recipe import Recipe
from xtc_study.runs.step_store import StepStore, UnreadableStepError
from xtc_study.tasks.augmentation.synonyms import check_synonyms, table_hash
from xtc_study.tasks.batches import Padding, tokenize
from xtc_study.tasks.catalogue import find_task, load_task
from xtc_study.tasks.task import Task
from xtc_study.tasks.trial_rows import trial_rows
from xtc_study.training.augmented_rows import AugmentedRows
from xtc_study.training.checkpoints import CurvePoint, History
from xtc_study.training.checks import check_head, check_model_files, check_start, check_tokens, dry_run_on_meta
from xtc_study.training.dry_run import dry_run
from xtc_study.training.filed import Filed, cut
from xtc_study.training.initial_models import InitialModels
from xtc_study.training.label_scale import LabelScale
from xtc_study.training.model_files import files_hash
from xtc_study.training.muon import check_optimizer
from xtc_study.training.objective import Objective
from xtc_study.training.precision import Precision, choose_precision
from xtc_study.training.predict import scores
from xtc_study.training.pretrained import encoder_shape, load_tokenizer
from xtc_study.training.schedule import schedule_of
from xtc_study.training.stage import train
from xtc_study.training.step_files import WrittenOtherwiseError, check_written, read_model, write_model
from xtc_study.training.task_vocabulary import TaskVocabulary
from xtc_study.training.text_check import check_reading, lengths_before_cutting


@dataclass(frozen=True)
class Trained:
    """A trained model: the chain up to one of its steps."""

    model: Any
    """In evaluation mode, fp32, on the device that trained it."""
    step: Step
    curve: list[CurvePoint]
    """Points step, term, value, with phase and stage, of every step since the teacher (or of the teacher alone)."""
    seconds: float
    """Training time of these steps, reused ones included."""
    reused: int
    """How many of these steps had been trained before."""


class Pipeline:
    """One recipe with its data loaded. Everything is checked before anything is trained.

    Example:
        >>> pipeline = Pipeline(Recipe.of(task="toy-sentiment"), Places.of("smoke"))
        >>> teacher, student = pipeline.teacher(), pipeline.student()

    Args:
        recipe: the recipe to train.
        places: paths of data, models and steps.
        compute: device and precision.

    Raises:
        ValueError: the task is unknown, the teacher lacks a layer, a model cannot be loaded (ModelError), data is
            missing or malformed (DataError), this machine lacks the device, or augmentation has no source of words.
    """

    def __init__(self, recipe: Recipe, places: Places, compute: Compute | None = None) -> None:
        self.recipe, self.places = recipe, places
        compute = compute or Compute()
        self.task: Task = find_task(recipe.task, places.task_files)
        check_synonyms(recipe, places.synonyms)
        check_optimizer(recipe)

        # Shapes first: they need only a configuration, neither weights nor text.
        shape = encoder_shape(recipe.model, places.models_dir)
        self.teacher_layers = layer_map(shape.num_hidden_layers, recipe.teacher_layers, "teacher_layers", "encoder")
        self.depth, self.encoder_depth = len(self.teacher_layers), shape.num_hidden_layers
        layers = layer_map(self.depth, recipe.layers)
        if recipe.start not in ("teacher", "pretrained"):
            check_start(recipe.start, encoder_shape(recipe.start, places.models_dir), shape, len(layers))
        model = dry_run_on_meta(recipe, self.teacher_layers, layers, places.models_dir)
        check_head(recipe, self.task, places.models_dir)

        # The text, and whether tokenizer and encoder can read it.
        if recipe.holdout is None:
            self.text = load_task(recipe.task, places.data_dir, places.task_files)
        else:
            self.task, self.text = trial_rows(self.task, recipe.holdout, places.data_dir, places.task_files)
        self.tokenizer = load_tokenizer(recipe.model, places.models_dir)
        self.label_scale = LabelScale.of(self.task, self.text["train"])
        self.label_scale.check(recipe.model, model, recipe.rest)
        self.padding = Padding(self.tokenizer, self.task, self.label_scale.standard)
        encoded = {
            split: tokenize(rows, self.task, self.tokenizer, recipe.max_length) for split, rows in self.text.items()
        }
        self.train_rows = encoded["train"]
        check_tokens(recipe.model, model, self.tokenizer, self.task, encoded, recipe.max_length)
        self.lengths = lengths_before_cutting(self.text, encoded, self.task, self.tokenizer, recipe.max_length)
        check_reading(recipe.model, self.tokenizer, self.task, self.text["train"], self.lengths)

        # Augmented rows, or rows tokenised with a smaller vocabulary, may be longer than the plain ones.
        self.longest = min(recipe.max_length, positions(model))
        self.dev = {split: encoded[split] for split in self.task.eval_splits}
        self.vocabulary: TaskVocabulary | None = None
        if recipe.vocabulary == "task":
            self.vocabulary = TaskVocabulary(recipe.model, model, self.tokenizer, self.train_rows)

        # The device and the finished steps, which must come from these model files and be readable.
        self.precision: Precision = choose_precision(compute.device, compute.precision, shape.hidden_size)
        self.store = StepStore(places.steps)
        self.steps = chain(recipe, table_hash(places.synonyms))
        self.model_files = {"model": files_hash(recipe.model, places.models_dir)}
        if recipe.start not in ("teacher", "pretrained"):
            self.model_files["start"] = files_hash(recipe.start, places.models_dir)
        check_model_files(recipe, self.steps, self.store, self.model_files)
        for step in self.steps:
            if not self.store.is_done(step.address):
                self.store.check_readable(step.address)

        self.initial = InitialModels(
            recipe,
            places,
            self.task,
            self.tokenizer,
            self.train_rows,
            self.padding,
            self.label_scale,
            self.teacher_layers,
            self.precision.device,
            self._read,
        )

        # The slowest checks last: words for augmentation, and the dry run.
        self.pool: AugmentedRows | None = None
        if recipe.augmentation != "none":
            self.pool = AugmentedRows(
                recipe, self.text, self.tokenizer, self.store, places, self.precision.device, self.longest
            )
        if recipe.static is None and not all(self.store.is_done(step.address) for step in self.steps):
            dry_run(
                recipe,
                self.steps,
                self.teacher_layers,
                layers,
                self.train_rows,
                self.padding,
                self.task,
                places,
                self.model_files,
            )

    def teacher(self) -> Trained:
        """Return the encoder fine-tuned on the task's labels; train it if it is missing.

        Raises:
            ValueError: a static table has no teacher.
        """
        if self.recipe.static is not None:
            raise ValueError("static: a table of token vectors has no teacher; call student() alone")
        return self._carry_out(self.steps[:1])

    def student(self) -> Trained:
        """Return the recipe's student; train the steps of its chain that are missing."""
        if self.recipe.static is not None:
            return self._carry_out(self.steps)
        teacher = self.teacher()
        return self._carry_out(self.steps[1:], teacher.model)

    def scores(self, model: Any) -> dict[str, dict[str, float]]:
        """Return {split: {metric: value}} on the dev splits, in fp32."""
        return scores(model, self.dev, self.padding, self.task)

    def filed(self, student: Any) -> Filed:
        """Return the student as its file stores it: with the task's own vocabulary if the recipe asks for it."""
        whole = Filed(student, self.tokenizer, self.dev, self.padding, None)
        return whole if self.vocabulary is None else cut(whole, self.vocabulary, self.text, self.task, self.longest)

    def head_notes(self) -> dict[str, str]:
        """Return whether the heads of the recipe's checkpoints are used, in words, by the field that names each."""
        notes: dict[str, str] = {}
        for step in self.steps:
            notes |= self.store.record(step.address).get("heads", {})
        return notes

    def _carry_out(self, steps: list[Step], teacher: Any = None) -> Trained:
        curve: list[CurvePoint] = []
        seconds, reused = 0.0, 0
        for step in steps:
            folder, made = self.store.once(step.address, self._maker(step, teacher))
            try:
                seconds += self.store.record(step.address)["seconds"]
                points = json.loads((folder / "curve.json").read_text())
                curve += [{"phase": step.phase, "stage": step.part[0] + 1, **point} for point in points]
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise self.store.damaged(step.address, step.title, error) from error
            reused += not made
        model = self._read(steps[-1])
        return Trained(model, steps[-1], curve, seconds, reused)

    def _maker(self, step: Step, teacher: Any) -> Callable[[Path], dict[str, Any]]:
        def make(folder: Path) -> dict[str, Any]:
            self.initial.heads.clear()
            with self.label_scale.unfolded(teacher):
                started = time.monotonic()
                model = self.initial.of(step, teacher)
                curve, seconds = self._train(step, model, teacher)
                seconds = seconds if step.terms else time.monotonic() - started  # tables are made, not trained
            self.label_scale.fold(model)

            # Read back at once: files that lose something must not become a finished step.
            write_model(model, folder)
            try:
                check_written(model, folder, self._low_bit(step))
            except WrittenOtherwiseError as error:
                raise UnreadableStepError(f"{step.title} of {model.config.model_type}: {error}") from error
            (folder / "curve.json").write_text(json.dumps(curve))

            return {
                "phase": step.phase,
                "task": step.task,
                "epochs": step.epochs / step.part[1],
                "terms": step.terms,
                "params": step.params,
                "model_files": {
                    field: digest for field, digest in self.model_files.items() if field == "model" or step.parent
                },
                "parent": step.parent.address if step.parent else None,
                "heads": dict(self.initial.heads),
                "size": {
                    "model": self.recipe.model,
                    "encoder_depth": self.encoder_depth,
                    "rows": len(self.train_rows),
                    "max_length": self.recipe.max_length,
                    "batch_size": self.recipe.batch_size,
                    "parameters": sum(parameter.numel() for parameter in model.parameters()),
                },
                "seconds": round(seconds, 3),
                "device": self.precision.device,
                "precision": self.precision.name,
                "method": METHOD_VERSION,
                **self.label_scale.record(),
            }

        return make

    def _train(self, step: Step, model: Any, teacher: Any) -> History:
        recipe = self.recipe
        if step.epochs == 0:
            return History([], 0.0)

        # An epoch is a pass over the plain rows, with or without augmentation, so that arms differ only in their rows.
        steps_per_epoch = -(-len(self.train_rows) // recipe.batch_size)
        schedule = schedule_of(step, recipe, steps_per_epoch)

        # The teacher trains on labels and plain rows; its students on the teacher's outputs and also augmented rows.
        objective = Objective.of(step, recipe, teacher, layer_map(self.depth, recipe.layers))
        rows = self.train_rows if step.phase == "teacher" or self.pool is None else self.pool.rows()
        first_split = self.task.eval_splits[0]

        def dev_score(student: Any) -> float:
            split = {first_split: self.dev[first_split]}
            return scores(student, split, self.padding, self.task)[first_split][self.task.primary_metric]

        checkpoints = self.store.checkpoints(step.address)
        return train(model, rows, self.padding, objective, schedule, self.precision, checkpoints, dev_score)

    def _low_bit(self, step: Step) -> Recipe | None:
        """Return the recipe if it makes layers of the step's model low-bit."""
        return self.recipe if step.phase in ("quantise", "static") else None

    def _read(self, step: Step) -> Any:
        """Return a finished step's model, in evaluation mode, on the training device."""
        folder = self.store.folder(step.address)
        try:
            model = read_model(folder, self._low_bit(step))
        except Exception as error:  # errors of damaged files have no common base class in these libraries
            raise self.store.damaged(step.address, step.title, error) from error
        return model.to(torch.device(self.precision.device)).eval()
