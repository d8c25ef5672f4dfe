"""A dry run of a recipe before a teacher is trained: one step of every training, and every file written and read back.

A few real rows go through each loss, forward and backward. ``checks.dry_run_on_meta`` checks shapes only; what a model
family computes, returns and writes shows only in execution, and hours of teacher training would be lost otherwise.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers.initialization import no_init_weights

from xtc_study.chain import Step
from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.distillation.attention_tape import AttentionTape, Wanted
from xtc_study.compress.distillation.losses import HIDDEN
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.reduction.layers import layer_map, reduced
from xtc_study.compress.reduction.width import kept_units, magnitudes, narrowed
from xtc_study.compress.static.word_start import static_word_start
from xtc_study.errors import one_line
from xtc_study.model_source import ModelError
from xtc_study.places import Places
from xtc_study.recipe import Recipe
from xtc_study.tasks.task import Task
from xtc_study.training.intervention import MODES, Standing
from xtc_study.training.low_bit_start import set_least_squares_weights
from xtc_study.training.objective import Objective, losses_of
from xtc_study.training.passed_trials import dry_run_folder, dry_run_inputs
from xtc_study.training.precision import Precision
from xtc_study.training.pretrained import untrained_encoder
from xtc_study.training.step_files import check_written, write_model

ROWS = 2
SPREAD = 0.1
"""Random weights are uniform between plus and minus this, which takes a fifth of the time of an initialisation."""

PLAIN_CPU = Precision("cpu", "fp32")
KNOWN = "BERT, RoBERTa, DistilBERT and ELECTRA"


class _DryRunError(RuntimeError):
    """The model family cannot do what the recipe needs; the message names it."""


class _LossError(_DryRunError):
    """The model does not return what the loss compares."""


def dry_run(
    recipe: Recipe,
    steps: Sequence[Step],
    teacher_layers: Sequence[int],
    layers: Sequence[int],
    rows: Any,
    padding: Any,
    task: Task,
    places: Places,
    model_files: Mapping[str, str | None],
) -> None:
    """Run one batch through each step of the recipe's chain, on the CPU, with random weights of the models' shapes.

    torch's random state is restored. A dry run that passed before, with any seed, is skipped (``passed_trials``).

    Args:
        recipe: the recipe to try.
        steps: the recipe's chain.
        teacher_layers: numbers of the encoder's layers that the teacher keeps.
        layers: numbers of the teacher's layers that the student keeps.
        rows: encoded training rows; the first ``ROWS`` are used.
        padding: collates rows into a batch.
        task: gives the number of classes.
        places: paths of the models and the steps.
        model_files: hashes of the models' files, by the field that names the model.

    Raises:
        ModelError: a step failed, or a file could not be read back; the message names the family, the step, the
            reason and what would work.
    """
    with dry_run_folder(places.steps, dry_run_inputs(recipe, model_files)) as workdir:
        if workdir is not None:
            _dry_run(recipe, steps, teacher_layers, layers, rows, padding, task, places, workdir)


def _dry_run(
    recipe: Recipe,
    steps: Sequence[Step],
    teacher_layers: Sequence[int],
    layers: Sequence[int],
    rows: Any,
    padding: Any,
    task: Task,
    places: Places,
    workdir: Path,
) -> None:
    batch = padding([rows[number] for number in range(min(ROWS, len(rows)))])
    labels = batch.pop("labels")

    # ``family`` and ``title`` follow the dry run, so that an error names where it was.
    family, title = "this encoder", "the teacher"
    with torch.random.fork_rng(devices=[]), no_init_weights():
        torch.manual_seed(recipe.seed)
        try:
            encoder = _random_encoder(recipe.model, task, places)
            family = encoder.config.model_type
            teacher = encoder if recipe.teacher_layers is None else reduced(encoder, teacher_layers)
            student: Any = None

            for step in steps:
                title = step.title
                learner = teacher
                if step.phase != "teacher":
                    if student is None:
                        student = _student(recipe, teacher.eval(), layers, task, places)
                    if step.phase == "quantise" and step.part[0] == 0:
                        _start_low_bit(student, teacher, recipe, batch, padding.tokenizer)
                    learner = student
                _one_step(Objective.of(step, recipe, teacher, layers), learner, batch, labels)

                if step.part[0] == 0:
                    folder = workdir / step.phase
                    write_model(learner, folder)
                    check_written(learner, folder, recipe if step.phase == "quantise" else None)
                    shutil.rmtree(folder)  # never more than one of these models on disk

            title = "the packed file"
            _pack(student, workdir / "packed", recipe, batch)
        except (MemoryError, OSError):  # the machine's fault, not the family's
            raise
        except Exception as error:  # a family's own code may raise anything
            if "alloc" in str(error) or _is_disk_error(error):  # "alloc": torch is out of memory
                raise
            raise ModelError(_message(recipe, family, title, error, str(workdir))) from error


def _is_disk_error(error: BaseException | None) -> bool:
    """Return whether a full or failing disk caused the error; safetensors does not raise an OSError for that."""
    while error is not None:
        # ENOENT may be a file that the family itself failed to write.
        full = isinstance(error, OSError) and error.errno not in (None, errno.ENOENT)
        if full or (isinstance(error, SafetensorError) and "os error" in str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _random_encoder(name: str, task: Task, places: Places) -> Any:
    """Return an encoder of the model's shape with uniform random weights."""
    model = untrained_encoder(name, places.models_dir, task.num_labels)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-SPREAD, SPREAD)
    return model.train()


def _student(recipe: Recipe, teacher: Any, layers: Sequence[int], task: Task, places: Places) -> Any:
    """Return the student as ``Pipeline`` builds it before training, except that units are chosen by magnitude."""
    if recipe.start in ("teacher", "pretrained"):
        source = teacher
    else:
        source = _random_encoder(recipe.start, task, places)
        layers = layer_map(source.config.num_hidden_layers, len(layers))
    if recipe.ffn is not None:
        source = narrowed(source, kept_units(magnitudes(source), recipe.ffn))
    return reduced(source, layers)


def _start_low_bit(student: Any, teacher: Any, recipe: Recipe, batch: dict[str, Tensor], tokenizer: Any) -> None:
    """Make the student low-bit as ``low_bit_start`` does, trying each kind of start on a part of the model."""
    if recipe.word_start == "static":
        static_word_start(student, teacher, tokenizer, most=len(batch["input_ids"]))
    if recipe.weight_start == "least-squares":
        set_least_squares_weights(student, recipe, [batch], most_layers=1)
    make_low_bit(student, recipe)


def _one_step(objective: Objective, learner: Any, batch: dict[str, Tensor], labels: Tensor) -> None:
    """Take one step's losses, forward and backward; with an intervention, one step of each kind."""
    learner.train()
    standings: list[Standing | None] = [None]
    if objective.intervention > 0:
        standings += [Standing(mode, torch.tensor(0.5)) for mode in MODES]
    models = (objective.teacher, learner) if objective.reads_attention or HIDDEN in objective.terms else ()
    with hook_attention_scores(*(models if objective.reads_attention else ())):
        for model in models:
            _check_outputs(objective, model, batch)
        for standing in standings:
            losses = losses_of(objective, PLAIN_CPU, learner, dict(batch), labels, standing=standing)[1]
            torch.stack(list(losses.values())).sum().backward()
    for parameter in learner.parameters():
        parameter.grad = None


def _check_outputs(objective: Objective, model: Any, batch: dict[str, Tensor]) -> None:
    """Check that a model gives scores and states for each layer, and that each layer's attention passes through ours.

    The losses compare all of them layer by layer.
    """
    depth = model.config.num_hidden_layers
    tape = AttentionTape(Wanted())
    with torch.no_grad(), tape.recording():
        outputs = model(**batch, output_attentions=objective.reads_attention, output_hidden_states=True)
    checked = []
    if objective.reads_attention:
        checked.append(("attention scores", outputs.attentions, depth))
    if HIDDEN in objective.terms:
        checked.append(("hidden states", outputs.hidden_states, depth + 1))
    for what, values, expected in checked:
        given = 0 if values is None else sum(value is not None for value in values)
        if given == 0:
            raise _LossError(f"it returns no {what}, which the loss compares layer by layer")
        if given != expected:
            raise _LossError(f"it returns {given} {what} for {depth} layers, but the loss compares {expected}")
    if objective.reads_attention and tape.layers != depth:
        raise _LossError(
            f"it computes attention {tape.layers} times for {depth} layers, but the loss or the intervention takes "
            "one of each layer"
        )


def _pack(student: Any, folder: Path, recipe: Recipe, batch: dict[str, Tensor]) -> None:
    # Imported here: only a dry run needs the packed format.
    from xtc_study.packed.as_stored import rounded_student
    from xtc_study.packed.checkpoint import save_packed
    from xtc_study.packed.loading import load

    student.eval()
    save_packed(student, folder, rest=recipe.rest)
    with torch.no_grad():
        expected = rounded_student(student, recipe.rest)(**batch).logits
        loaded = load(folder, "torch")(**batch).logits
    if not torch.allclose(loaded, expected, rtol=1e-2, atol=1e-3):  # only the trained file must be bit-exact
        raise _DryRunError(
            f"the file's logits differ from the student's by {float((loaded - expected).abs().max()):g}"
        )


def _message(recipe: Recipe, family: str, title: str, error: Exception, workdir: str) -> str:
    reason = str(error) if isinstance(error, _DryRunError) else f"{type(error).__name__}: {one_line(error)}"
    if isinstance(error, IndexError):
        reason += " (an input is outside one of its tables of tokens, positions or token types)"
        advice = "Take tokenizer and encoder from one checkpoint"
    elif isinstance(error, _LossError):
        advice = f"Train it on labels alone (stages=0, reduce_stages=0), or choose {KNOWN}, which support every stage"
    else:
        advice = f"Choose another checkpoint; {KNOWN} are known to work"
    return (
        f"model={recipe.model!r}: {family} cannot be trained with this recipe; a dry run of one batch failed at "
        f"{title!r}: {reason.replace(workdir + '/', '')}. Nothing was trained. {advice}"
    )
