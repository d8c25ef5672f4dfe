"""The two steps of a static table: an encoder's vectors, made once, and a task's table with its head."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from xtc_study.compress.encoder_parts import positions
from xtc_study.compress.quantization.lowbit import make_low_bit
from xtc_study.compress.static.config import StaticConfig
from xtc_study.compress.static.head import fit_classes, fit_regression
from xtc_study.compress.static.model import StaticForSequenceClassification
from xtc_study.compress.static.vectors import around_a_text, static_vectors, token_outputs
from xtc_study.model_source import ModelError
from xtc_study.recipe import Recipe
from xtc_study.tasks.batches import Padding
from xtc_study.tasks.task import Task
from xtc_study.training.heads import name_classes
from xtc_study.training.predict import in_batches


def vectors_model(encoder: Any, tokenizer: Any) -> Any:
    """Return a table as wide as the encoder with the encoder's output for every token alone, and a head of zeros.

    Args:
        encoder: a sequence classifier, of which only the encoder is used; in any mode.
        tokenizer: gives the special tokens around a text.
    """
    body = getattr(encoder, encoder.base_model_prefix).eval()
    size = int(encoder.config.vocab_size)
    outputs = token_outputs(body, *around_a_text(tokenizer), size)
    config = StaticConfig(size, outputs.shape[1], max_position_embeddings=min(positions(encoder), 2**31 - 1))
    return _filled(StaticForSequenceClassification(config), outputs)


def static_model(recipe: Recipe, vectors: Any, tokenizer: Any, task: Task, rows: Any, padding: Padding) -> Any:
    """Return the recipe's table with a head fitted on the task's training rows.

    The head is fitted on the quantised vectors. ``config.xtc_regularisation`` is the strength that was chosen.

    Args:
        recipe: width and bits of the table.
        vectors: what ``vectors_model`` returned.
        tokenizer: names the special tokens.
        task: the labels, and whether two texts are rated for similarity.
        rows: encoded training rows.
        padding: collates rows into a batch.

    Raises:
        ModelError: the width exceeds the encoder's, or the tokenizer does not separate two texts.
    """
    assert recipe.static is not None
    pairs = len(task.text_fields) == 2
    if pairs and tokenizer.sep_token_id is None:
        raise ModelError(
            f"model={recipe.model!r}: its tokenizer puts no separator between two texts, so a table cannot tell them "
            "apart; choose another model"
        )
    source = vectors.get_input_embeddings().weight.detach().cpu()
    special = [token for token in tokenizer.all_special_ids if token < len(source)]
    try:
        table = static_vectors(source, recipe.static, special)
    except ValueError as error:
        raise ModelError(f"model={recipe.model!r}: {error}") from None
    config = StaticConfig(
        len(table),
        recipe.static,
        pairs=pairs,
        similarity=pairs and task.is_regression,
        max_position_embeddings=vectors.config.max_position_embeddings,
        sep_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=task.num_labels,
    )
    name_classes(config, task)
    model = _filled(StaticForSequenceClassification(config), table)
    make_low_bit(model, recipe)
    model.eval()

    # The head, in the unit in which labels are learned.
    features = in_batches(_Features(model), rows["length"], lambda chosen: _inputs(padding, rows, chosen))
    labels = np.asarray(rows["labels"][:])
    if task.is_regression:
        fitted = fit_regression(features.astype(np.float64), np.asarray(padding.standard(labels.tolist())))
    else:
        matthews = task.primary_metric == "matthews"
        fitted = fit_classes(features.astype(np.float64), labels.astype(np.int64), task.num_labels, matthews)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(fitted.weight).float())
        model.classifier.bias.copy_(torch.from_numpy(fitted.bias).float())
    config.xtc_regularisation = fitted.chosen
    return model


def _inputs(padding: Padding, rows: Any, chosen: list[int]) -> dict[str, Any]:
    batch = padding([rows[row] for row in chosen])
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


def _filled(model: Any, table: torch.Tensor) -> Any:
    with torch.no_grad():
        model.word_embeddings.weight.copy_(table)
        model.classifier.weight.zero_()
        model.classifier.bias.zero_()
    return model


class _Features(nn.Module):
    """Gives a model's features where ``in_batches`` expects logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        from transformers.modeling_outputs import SequenceClassifierOutput

        return SequenceClassifierOutput(logits=self.model.features(input_ids, attention_mask))
