"""Check that models, tokenizer, text and finished steps are compatible, before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from xtc_study.chain import Step, chain
from xtc_study.compress.distillation.attention_scores import hook_attention_scores
from xtc_study.compress.encoder_parts import EncoderError, positions
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.reduction.layers import LayersError, reduced
from xtc_study.compress.reduction.width import WidthError, kept_units, magnitudes, narrowed
from xtc_study.model_source import ModelError
from xtc_study.recipe import Recipe
from xtc_study.runs.step_store import StepStore
from xtc_study.tasks.lengths import MOST_UNKNOWN
from xtc_study.tasks.task import Task
from xtc_study.training.objective import Objective
from xtc_study.training.pretrained import EncoderShape, load_with_head, untrained_encoder

if TYPE_CHECKING:
    from datasets import Dataset


def dry_run_on_meta(
    recipe: Recipe, teacher_layers: Sequence[int], layers: Sequence[int], models_dir: Path | None = None
) -> Any:
    """Build the recipe's student without weights, on the meta device, and return the encoder it was built from.

    Args:
        recipe: the recipe to train.
        teacher_layers: numbers of the encoder's layers that the teacher keeps.
        layers: numbers of the teacher's layers that the student keeps.
        models_dir: folder of models; None: the hub's cache.

    Raises:
        ModelError: the encoder's architecture is not supported, or these layers cannot form an encoder.
        ValueError: the group size does not divide a matrix, or (LayersError) no student layer learns from
            ``relation_layer``.
    """
    if recipe.relation_layer is not None and recipe.relation_layer not in layers:
        raise LayersError(
            f"relation_layer={recipe.relation_layer}: no student layer learns from this layer of the teacher; choose "
            f"{', '.join(map(str, layers[:-1]))}{' or ' if len(layers) > 1 else ''}{layers[-1]}, or null for the last"
        )
    with torch.device("meta"):
        if recipe.static is not None:
            return _read_only(recipe.static, untrained_encoder(recipe.model, models_dir))
        try:
            model = untrained_encoder(recipe.model, models_dir)
            student = reduced(model, [teacher_layers[layer] for layer in layers])
        except EncoderError as error:
            raise ModelError(
                f"model={recipe.model!r}: {error}; the study cuts and compresses encoders with one stack of layers "
                "and a linear classifier, such as BERT, RoBERTa, DistilBERT or ELECTRA"
            ) from None
        except RuntimeError as error:  # from load_state_dict: the layers of this family differ
            raise ModelError(
                f"model={recipe.model!r}: layers {list(layers)} of this encoder cannot form an encoder on their own: "
                f"{_unlike(error)}"
            ) from None

        if recipe.ffn is not None:
            try:
                student = narrowed(student, kept_units(magnitudes(student), recipe.ffn))
            except WidthError as error:
                raise ModelError(f"ffn={recipe.ffn!r}: model={recipe.model!r}: {error}") from None

        if recipe.word_start == "static":
            _check_word_width(recipe.model, student)
        try:
            if recipe.is_low_bit:
                make_low_bit(student, recipe)
            if any(Objective.of(step, recipe, None, layers).reads_attention for step in chain(recipe)):
                with hook_attention_scores(model):
                    pass
        except EncoderError as error:
            raise ModelError(
                f"model={recipe.model!r}: {error}; BERT, RoBERTa, DistilBERT and ELECTRA use it. This encoder can "
                "only be trained on labels: set stages=0, reduce_stages=0 and quantise_attention=false; or on logits "
                "and hidden states: set attention_weight=0, intervention=0 and quantise_attention=false"
            ) from None
    return model


def _check_word_width(name: str, student: Any) -> None:
    """Check that a student's word table is as wide as the encoder's output, whose values it gets.

    Raises:
        ModelError: it is not.
    """
    width, hidden = student.get_input_embeddings().embedding_dim, int(student.config.hidden_size)
    if width != hidden:
        raise ModelError(
            f"word_start='static': model={name!r}: its word table has {width} columns, the encoder's output {hidden}; "
            "set word_start='model', or choose a model whose tokens are as wide as its layers"
        )


def _read_only(width: int, model: Any) -> Any:
    """Return an encoder that gives a table of static vectors its values, after checking its width.

    Raises:
        ModelError: the table is wider than the encoder's output.
    """
    hidden = int(model.config.hidden_size)
    if width > hidden:
        raise ModelError(f"static={width}: the encoder's output has {hidden} numbers; choose a width up to {hidden}")
    return model


def _unlike(error: RuntimeError) -> str:
    """Return in plain words why ``load_state_dict`` failed for an encoder that cannot be cut, and what would work."""
    text = " ".join(str(error).split())
    whole = "use it at its full depth (layers and teacher_layers null), or choose another model"
    if sized := re.search(r"size mismatch for ([\w.]+)", text):
        return f"the size of its {sized[1]} depends on the number of layers; {whole}"
    if missing := re.search(r'Missing key\(s\) in state_dict: "([^"]+)"', text):
        return f"it has weights such as {missing[1]} whatever the number of layers; {whole}"
    unexpected = re.search(r'Unexpected key\(s\) in state_dict: "([^"]+)"', text)
    reason = f"not all have {unexpected[1]}" if unexpected else text[:200]
    return f"the layers of this family differ ({reason}): keep the first one, or choose another model"


def check_start(name: str, start: EncoderShape, teacher: EncoderShape, depth: int) -> None:
    """Check that a student can start from another checkpoint than the teacher's.

    Args:
        name: the checkpoint's name.
        start: the checkpoint's shape.
        teacher: the teacher's shape.
        depth: number of layers of the student.

    Raises:
        ModelError: the shapes differ, or the checkpoint has too few layers.
    """
    for field in ("hidden_size", "num_attention_heads", "vocab_size"):
        of_start, of_teacher = getattr(start, field), getattr(teacher, field)
        if of_start != of_teacher:
            raise ModelError(
                f"start={name!r}: its {field} is {of_start}, the teacher's is {of_teacher}; hidden states, attention "
                "scores and tokens are compared one to one, so choose a checkpoint of the same shape"
            )
    if start.num_hidden_layers < depth:
        raise ModelError(f"start={name!r}: it has {start.num_hidden_layers} layers, the student needs {depth}")


def check_head(recipe: Recipe, task: Task, models_dir: Path | None = None) -> None:
    """Check that a teacher that is not trained predicts the task's classes.

    Args:
        recipe: names the model and its epochs as the teacher.
        task: names the classes.
        models_dir: folder of models; None: the hub's cache.

    Raises:
        ModelError: teacher_epochs is 0, and the model's head does not match the task.
    """
    if recipe.teacher_epochs > 0:
        return
    head = load_with_head(recipe.model, task, recipe.seed, models_dir)[1]
    if head.kind != "matched":
        raise ModelError(
            f"teacher_epochs=0: model={recipe.model!r} cannot be the teacher without training: {head.text}. Give a "
            "model that was fine-tuned on this task and whose config.json names its classes as the task does, or set "
            "teacher_epochs above 0"
        )


def check_model_files(
    recipe: Recipe, steps: Sequence[Step], store: StepStore, model_files: Mapping[str, str | None]
) -> None:
    """Check that finished steps were trained from exactly these files; a step's address has only the folder's name.

    Args:
        recipe: names the models.
        steps: the recipe's chain.
        store: the store of the finished steps.
        model_files: hashes of the models' files, by the field that names the model; None for a hub model.

    Raises:
        ModelError: a step was trained from other files.
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
                    "restore those files, or use another folder or results folder for the new model"
                )


def check_tokens(
    name: str, model: Any, tokenizer: Any, task: Task, splits: Mapping[str, Dataset], max_length: int
) -> None:
    """Check that the tokenizer knows the text, and that the model can read the tokenizer's tokens and rows.

    Args:
        name: the model's name, for messages.
        model: has the encoder's shape; its weights are not read.
        tokenizer: the tokenizer that encoded the rows.
        task: names the text fields.
        splits: tokenised rows by split, ``train`` among them.
        max_length: maximum tokens of a row.

    Raises:
        ModelError: too many unknown tokens, a token or token type that the encoder lacks, or a row that is too long.
    """
    import pyarrow.compute as pc

    # Tokens and token types need a row each in the encoder's tables.
    flat = {split: pc.list_flatten(rows.data.column("input_ids")) for split, rows in splits.items()}
    largest, known = max(pc.max(tokens).as_py() or 0 for tokens in flat.values()), int(model.config.vocab_size)
    if largest >= known:
        raise ModelError(
            f"model={name!r}: its tokenizer gives token {largest}, but the encoder has only {known:,} tokens; these "
            "files do not belong together: take both from one checkpoint"
        )
    _check_types(name, model, splits)

    # The share of unknown tokens, without special ones, which are always known.
    if tokenizer.unk_token_id is not None:
        tokens, rows = flat["train"], splits["train"]
        words = len(tokens) - len(rows) * tokenizer.num_special_tokens_to_add(pair=len(task.text_fields) == 2)
        share = pc.sum(pc.equal(tokens, tokenizer.unk_token_id)).as_py() / max(words, 1)
        if share > MOST_UNKNOWN:
            raise ModelError(
                f"model={name!r}: {share:.0%} of the tokens of task {task.name!r} are unknown to its tokenizer; "
                "choose a model that was trained on this language (builtin:tiny knows only the words of the generated "
                "tasks; xtc_study.training.untrained creates an untrained encoder for any text)"
            )

    # No row may be longer than the model reads.
    most = positions(model)
    for split, rows in splits.items():
        longest = max(rows["length"][:], default=0)
        if longest > most:
            raise ModelError(
                f"model={name!r}: reads at most {most} tokens, but a row of task {task.name!r} ({split}) has "
                f"{longest}; lower max_length from {max_length} to {most} or less (--set max_length={most})"
            )


def _check_types(name: str, model: Any, splits: Mapping[str, Dataset]) -> None:
    """Check that the encoder has each token type that its tokenizer gives; an encoder without types ignores them.

    Raises:
        ModelError: the encoder lacks a token type.
    """
    import pyarrow.compute as pc

    known = getattr(model.config, "type_vocab_size", None)
    columns = [rows.data.column("token_type_ids") for rows in splits.values() if "token_type_ids" in rows.column_names]
    if not known or not columns:
        return
    largest = max(pc.max(pc.list_flatten(column)).as_py() or 0 for column in columns)
    if largest >= known:
        raise ModelError(
            f"model={name!r}: its tokenizer gives token types 0 to {largest}, but the encoder has only {known} "
            f"(type_vocab_size); these files do not belong together: take both from one checkpoint, or, if the "
            'encoder was trained without types, add "model_input_names": ["input_ids", "attention_mask"] to its '
            "tokenizer_config.json"
        )
