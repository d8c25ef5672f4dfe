"""Convert a full-precision student to low-bit layers in place, according to its recipe."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import nn

from xtc_study.compress.encoder_parts import encoder_parts
from xtc_study.compress.quantization.activations import ActivationFormat
from xtc_study.compress.quantization.attention import quantize_attention
from xtc_study.compress.quantization.input_norm import RMS, InputNorm
from xtc_study.compress.quantization.layers import LowBitEmbedding, LowBitLinear
from xtc_study.compress.quantization.quantizers import WeightFormat, grouped
from xtc_study.compress.quantization.shared_input import share_inputs
from xtc_study.recipe import Recipe
from xtc_study.recipe_xtc import FULL_PRECISION

WORD_TABLE = "word_embeddings"
"""Name of the table of a static model."""


def weight_format(recipe: Recipe) -> WeightFormat | None:
    """Return how the recipe quantises the weights of linears; None for full precision."""
    if recipe.weight_bits == FULL_PRECISION:
        return None
    learned = recipe.weight_scale == "learned"
    return WeightFormat(recipe.weight_bits, recipe.granularity, recipe.weight_clip, recipe.two_bit_levels, learned)


def embedding_format(recipe: Recipe) -> WeightFormat | None:
    """Return how the recipe quantises word embeddings: always one scale per row (TernaryBERT, XTC).

    The rows' scales are learned where those of the linears are: one number a row.
    """
    if recipe.embedding_bits_used == FULL_PRECISION:
        return None
    learned = recipe.weight_scale == "learned"
    return WeightFormat(recipe.embedding_bits_used, "row", None, recipe.two_bit_levels, learned)


def activation_format(recipe: Recipe) -> ActivationFormat | None:
    """Return how the recipe quantises the inputs of linears; None for full precision."""
    if recipe.activation_bits == FULL_PRECISION:
        return None
    return ActivationFormat(recipe.activation_bits, recipe.activation_scale, recipe.activation_range == "static")


def make_low_bit(model: Any, recipe: Recipe) -> None:
    """Replace the encoder's linears, its dense layers outside the stack and the word embeddings with low-bit layers.

    As in XTC, position and type embeddings (unless ``quantise_tables``), LayerNorms, biases and the classifier stay in
    full precision.

    A static table has nothing but its vectors to quantise.

    Raises:
        ValueError: the recipe's groups do not divide a matrix; nothing has been replaced then.
    """
    if recipe.static is not None:
        if (vectors := embedding_format(recipe)) is not None:
            replace(model, WORD_TABLE, LowBitEmbedding(model.get_input_embeddings(), vectors))
        return
    parts = encoder_parts(model)
    names = parts.layer_linears + (parts.head_linears if recipe.quantise_pooler else ())
    weights, activations, table = weight_format(recipe), activation_format(recipe), embedding_format(recipe)

    # Groups that do not divide a matrix raise here, before anything is replaced.
    if weights is not None:
        for name in names:
            grouped(model.get_submodule(name).weight, weights.granularity)

    # Linears; several under one parent (queries, keys and values) read the same input.
    if weights is not None or activations is not None:
        norm = InputNorm() if recipe.input_norm == RMS else None
        for name in names:
            replace(model, name, LowBitLinear(model.get_submodule(name), weights, activations, norm))
        for parent, count in Counter(name.rpartition(".")[0] for name in names).items():
            if count > 1:
                share_inputs(model.get_submodule(parent))

    # Embedding tables.
    if table is not None:
        replace(model, parts.word_embeddings, LowBitEmbedding(model.get_input_embeddings(), table))
        if recipe.quantise_tables:
            for name, module in list(model.named_modules()):
                if type(module) is nn.Embedding and not name.startswith(f"{parts.layers}."):
                    replace(model, name, LowBitEmbedding(module, table))

    if recipe.quantise_attention:
        quantize_attention(model, recipe.activation_bits)


def replace(model: nn.Module, name: str, module: nn.Module) -> None:
    """Replace the submodule ``name`` with ``module``."""
    parent, _, child = name.rpartition(".")
    module.train(model.training)
    setattr(model.get_submodule(parent), child, module)
