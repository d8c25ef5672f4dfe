"""The maximum number of tokens that a packed model reads: the length at which it was trained and scored.

Beyond it are positions that the student never learned, and its score does not apply. ``config.json`` records the
number as ``xtc_max_length`` and the tokenizer as ``model_max_length``. Older folders have neither; there the run or
the model card records it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xtc_study.compress.encoder_parts import positions
from xtc_study.recipe import Recipe

FIELD = "xtc_max_length"
TOKENIZER_CONFIG = "tokenizer_config.json"


def write_length(folder: Path, max_length: int) -> None:
    """Make the tokenizer in ``folder``, if there is one, truncate at ``max_length`` and pad on the right.

    Padding is on the right as in training, because encoders count positions from the first token.
    """
    path = folder / TOKENIZER_CONFIG
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8")) | {
            "model_max_length": max_length,
            "padding_side": "right",
        }
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def longest_text(folder: Path, model: Any, tokenizer: Any = None) -> int:
    """Return the number of tokens, special ones included, at which texts for this model are truncated.

    Args:
        folder: of the model. The length that it records takes precedence over the tokenizer's.
        model: limits the length by its positions.
        tokenizer: used if the folder records no length; None: the model's positions.
    """
    recorded = _recorded(folder, model.config)
    if recorded is None:
        recorded = int(getattr(tokenizer, "model_max_length", positions(model)))
    return min(recorded, positions(model))


def _recorded(folder: Path, config: Any) -> int | None:
    recorded = getattr(config, FIELD, None)
    if type(recorded) is int and recorded > 0:
        return recorded
    for read in (_of_run, _of_card):
        try:
            return read(folder.absolute())
        except (OSError, ValueError, LookupError, TypeError):  # missing, or with other content
            continue
    return None


def _of_run(folder: Path) -> int:
    recipe = Recipe.of(**json.loads((folder.parent / "params.json").read_text(encoding="utf-8"))["recipe"])
    if recipe.run_id != folder.parent.name:
        raise ValueError("the folder is in another run's folder")
    return recipe.max_length


def _of_card(folder: Path) -> int:
    text = (folder / "README.md").read_text(encoding="utf-8")
    return Recipe.of(**json.loads(text.split("## Recipe\n\n```json\n", 1)[1].split("\n```", 1)[0])).max_length
