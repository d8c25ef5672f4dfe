"""Compute a model's size by the paper's convention. Real bytes are measured on the file."""

from __future__ import annotations

from typing import Any

from torch import nn

from xtc_study.compress.encoder_parts import encoder_parts

STATIC = "xtc-static"
"""``model_type`` of a static table (``compress.static.config``)."""


def matrix_parameters(model: Any) -> int:
    """Count the elements of all weight matrices and embedding tables, without classifier, biases, norms and scales."""
    classifier = encoder_parts(model).classifier
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and not name.startswith(f"{classifier}.")
    )


def paper_size_bytes(model: Any, bits: int, table_bits: int | None = None) -> int:
    """Return the bytes of all matrices at ``bits`` bits per weight, and of nothing else.

    BERT-base at 1 bit is 13.04 MiB, with 6 of its layers 7.97 MiB. The XTC paper's 52x and 8 MB are computed this way;
    no file has this size.

    Args:
        model: an encoder with a classifier, or a static table.
        bits: bits per weight.
        table_bits: bits per weight of the embedding tables; None: ``bits``.
    """
    if model.config.model_type == STATIC:  # a table, and a head, which is not counted
        return int(model.get_input_embeddings().weight.numel()) * (table_bits or bits) // 8
    extra = 0 if table_bits is None else table_bits - bits
    return (matrix_parameters(model) * bits + _table_parameters(model) * extra) // 8


def _table_parameters(model: Any) -> int:
    """Elements of the embedding tables outside the stack of layers: words, positions, types."""
    stack = encoder_parts(model).layers
    return sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and not name.startswith(f"{stack}.")
    )
