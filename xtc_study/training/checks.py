"""Whether models, tokenizer, text and finished steps suit each other: checked before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from xtc_study.chain import Step, chain
from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.distillation.losses import ATTENTION
from xtc_study.compress.encoder_parts import EncoderError, positions
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.reduction.layers import reduced
from xtc_study.compress.reduction.width import WidthError, kept_units, magnitudes, narrowed
from xtc_study.model_source import ModelError
from xtc_study.recipe import Recipe
from xtc_study.runs.step_store import StepStore
from xtc_study.tasks.lengths import MOST_UNKNOWN
from xtc_study.tasks.task import Task
from xtc_study.training.pretrained import EncoderShape, load_with_head, untrained_encoder

if TYPE_CHECKING:
    from datasets import Dataset


def dry_run_on_meta(
    recipe: Recipe, teacher_layers: Sequence[int], layers: Sequence[int], models_dir: Path | None = None
) -> Any:
    """Makes the recipe's student without its weights, on the meta device, and returns the encoder it was made of.

    Args:
        recipe: what is to be trained.
        teacher_layers: numbers of the encoder's layers that the teacher has.
        layers: numbers of the teacher's layers that the student has.
        models_dir: folder of models; None: the hub's cache.

    Raises:
        ModelError: an encoder that is built otherwise than the study needs, or layers that cannot stand alone.
        ValueError: groups that do not divide a matrix.
    """
    with torch.device("meta"):
        try:
            model = untrained_encoder(recipe.model, models_dir)
            student = reduced(model, [teacher_layers[layer] for layer in layers])
        except EncoderError as error:
            raise ModelError(
                f"model={recipe.model!r}: {error}; the study cuts and compresses encoders with one stack of layers "
                "and a linear classifier, such as BERT, RoBERTa, DistilBERT or ELECTRA"
            ) from None
        except RuntimeError as error:  # of load_state_dict: this family's layers are not alike
            raise ModelError(
                f"model={recipe.model!r}: layers {list(layers)} of this encoder make no encoder: {_unlike(error)}"
            ) from None

        if recipe.ffn is not None:
            try:
                student = narrowed(student, kept_units(magnitudes(student), recipe.ffn))
            except WidthError as error:
                raise ModelError(f"ffn={recipe.ffn!r}: model={recipe.model!r}: {error}") from None

        try:
            if recipe.is_low_bit:
                make_low_bit(student, recipe)
            if any(ATTENTION in step.terms for step in chain(recipe)):
                with hook_attention_scores(model):
                    pass
        except EncoderError as error:
            raise ModelError(
                f"model={recipe.model!r}: {error}; BERT, RoBERTa, DistilBERT and ELECTRA do use it. This encoder can "
                "only be trained on labels alone: stages=0, reduce_stages=0 and quantise_attention=false"
            ) from None
    return model


def _unlike(error: RuntimeError) -> str:
    """The error of ``load_state_dict`` for an encoder that cannot be cut, in plain words, and what would work."""
    text = " ".join(str(error).split())
    whole = "use it at its full depth (layers and teacher_layers null), or choose another model"
    if sized := re.search(r"size mismatch for ([\w.]+)", text):
        return f"the size of its {sized[1]} depends on the number of layers; {whole}"
    if missing := re.search(r'Missing key\(s\) in state_dict: "([^"]+)"', text):
        return f"it has {missing[1]} and the like whatever the number of layers is; {whole}"
    unexpected = re.search(r'Unexpected key\(s\) in state_dict: "([^"]+)"', text)
    reason = f"not all have {unexpected[1]}" if unexpected else text[:200]
    return f"its layers are not alike ({reason}): keep the first one, or choose another model"


def check_start(name: str, start: EncoderShape, teacher: EncoderShape, depth: int) -> None:
    """Checks that a student can start from another checkpoint than the teacher's.

    Args:
        name: the checkpoint's.
        start: its shape.
        teacher: the teacher's shape.
        depth: layers of the student.

    Raises:
        ModelError: another shape, or too few layers.
    """
    for field in ("hidden_size", "num_attention_heads", "vocab_size"):
        ours, theirs = getattr(start, field), getattr(teacher, field)
        if ours != theirs:
            raise ModelError(
                f"start={name!r}: its {field} is {ours}, the teacher's is {theirs}; hidden states, attention scores "
                "and tokens are compared one to one, so choose a checkpoint of the same shape"
            )
    if start.num_hidden_layers < depth:
        raise ModelError(f"start={name!r}: it has {start.num_hidden_layers} layers, the student needs {depth}")


def check_head(recipe: Recipe, task: Task, models_dir: Path | None = None) -> None:
    """Checks that a teacher which is not trained predicts the task's classes.

    Raises:
        ModelError: teacher_epochs is 0, and the model's head is not the task's.
    """
    if recipe.teacher_epochs > 0:
        return
    head = load_with_head(recipe.model, task, recipe.seed, models_dir)[1]
    if head.kind != "matched":
        raise ModelError(
            f"teacher_epochs=0: model={recipe.model!r} cannot be the teacher as it is: {head.text}. Give a model that "
            "was fine-tuned on this task and whose config.json names its classes as the task does, or teacher_epochs "
            "above 0"
        )


def check_model_files(
    recipe: Recipe, steps: Sequence[Step], store: StepStore, model_files: Mapping[str, str | None]
) -> None:
    """Checks that finished steps came from these very files: an address holds a folder's name alone.

    Args:
        recipe: names the models.
        steps: its chain.
        store: of the finished steps.
        model_files: hashes of the models' files, by the field that names the model; None for one of the hub.

    Raises:
        ModelError: a step that was trained from other files.
    """
    for step in steps:
        if not store.is_done(step.address):
            continue
        recorded = store.record(step.address).get("model_files", {})
        for field, now in model_files.items():
            then = recorded.get(field)
            if now is not None and then is not None and now != then:
                raise ModelError(
                    f"{field}={getattr(recipe, field)!r}: the folder's config, tokenizer or weights are not those "
                    f"that {store.folder(step.address)} was trained from (sha256 {now[:12]}, expected {then[:12]}); "
                    "put these back, or give the other model a folder or results of its own"
                )


def check_tokens(
    name: str, model: Any, tokenizer: Any, task: Task, splits: Mapping[str, Dataset], max_length: int
) -> None:
    """Checks that the tokenizer knows the text, and the model the tokenizer's tokens and their number.

    Args:
        name: the model's, for messages.
        model: of the encoder's shape; weights are not looked at.
        tokenizer: the one that made the rows.
        task: names the text fields.
        splits: tokenised rows, ``train`` among them.
        max_length: tokens of a row, at most.

    Raises:
        ModelError: tokens or rows that do not fit; the message has their number and what to do.
    """
    import pyarrow.compute as pc

    flat = {split: pc.list_flatten(rows.data.column("input_ids")) for split, rows in splits.items()}
    largest, known = max(pc.max(pieces).as_py() or 0 for pieces in flat.values()), int(model.config.vocab_size)
    if largest >= known:
        raise ModelError(
            f"model={name!r}: its tokenizer gives token {largest}, the encoder knows {known:,} of them; these "
            "files do not belong together: take both from one checkpoint"
        )
    _check_types(name, model, splits)

    # The share of real tokens alone: special ones are always known.
    if tokenizer.unk_token_id is not None:
        pieces, rows = flat["train"], splits["train"]
        words = len(pieces) - len(rows) * tokenizer.num_special_tokens_to_add(pair=len(task.text_fields) == 2)
        share = pc.sum(pc.equal(pieces, tokenizer.unk_token_id)).as_py() / max(words, 1)
        if share > MOST_UNKNOWN:
            raise ModelError(
                f"model={name!r}: {share:.0%} of the tokens of task {task.name!r} are unknown to its tokenizer; "
                "choose a model that was made for this language (builtin:tiny knows the words of the generated tasks "
                "and no others; xtc_study.training.untrained makes an untrained encoder for any text)"
            )

    most = positions(model)
    for split, rows in splits.items():
        longest = max(rows["length"], default=0)
        if longest > most:
            raise ModelError(
                f"model={name!r}: reads at most {most} tokens, a row of task {task.name!r} ({split}) has "
                f"{longest}; lower max_length from {max_length} to {most} or less (--set max_length={most})"
            )


def _check_types(name: str, model: Any, splits: Mapping[str, Dataset]) -> None:
    """Checks that the encoder has a row for each token type that its tokenizer gives; one without types takes none.

    Raises:
        ModelError: a token type without a row.
    """
    import pyarrow.compute as pc

    known = getattr(model.config, "type_vocab_size", None)
    columns = [rows.data.column("token_type_ids") for rows in splits.values() if "token_type_ids" in rows.column_names]
    if not known or not columns:
        return
    largest = max(pc.max(pc.list_flatten(column)).as_py() or 0 for column in columns)
    if largest >= known:
        raise ModelError(
            f"model={name!r}: its tokenizer gives token types 0 to {largest}, the encoder knows {known} "
            f"(type_vocab_size); these files do not belong together: take both from one checkpoint, or, if the "
            'encoder was trained without types, put "model_input_names": ["input_ids", "attention_mask"] into its '
            "tokenizer_config.json"
        )
