"""Start a student's word table from what a model makes of each token alone, as a static table does.

The outputs are the fine-tuned teacher's, and take the place of the pre-trained rows before the low-bit training. They
are not reduced by principal components: a row has the model's own width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from xtc_study.compress.static.vectors import around_a_text, token_outputs


def rows_from_outputs(outputs: Tensor, table: Tensor, special: Sequence[int]) -> Tensor:
    """Return the new rows: the outputs' deviations from their mean, brought to the table's mean and overall scale.

    The layers above were trained on rows about the table's mean. The outputs' own mean is common to all tokens and
    tells nothing of one. Scale is the root mean square of all deviations, one number for the whole table, so that
    tokens keep their sizes relative to one another. Rows of special tokens stay: they stand for no word.

    Args:
        outputs: (tokens, width).
        table: the rows so far, (tokens, width).
        special: ids of special tokens.
    """
    words = torch.ones(len(table), dtype=torch.bool, device=table.device)
    words[list(special)] = False
    outputs = outputs.to(table.device, torch.float32)
    mean = table[words].mean(0)
    spread, given = (table[words] - mean).square().mean().sqrt(), outputs[words] - outputs[words].mean(0)
    size = given.square().mean().sqrt()
    rows = table.clone()
    rows[words] = mean + given * (spread / torch.where(size > 0, size, 1.0))
    return rows


@torch.no_grad()
def static_word_start(student: Any, teacher: Any, tokenizer: Any, most: int | None = None) -> None:
    """Replace the rows of a student's word table in place.

    Args:
        student: in full precision, its word table as wide as the teacher's output.
        teacher: a sequence classifier, put into evaluation mode.
        tokenizer: gives the special tokens.
        most: only the first tokens, for a trial; None: all.
    """
    table = student.get_input_embeddings().weight
    size = min(len(table), most or len(table))
    body = getattr(teacher, teacher.base_model_prefix).eval()
    outputs = token_outputs(body, *around_a_text(tokenizer), size).clone()
    special = [token for token in tokenizer.all_special_ids if token < size]
    table[:size] = rows_from_outputs(outputs, table[:size], special)
