"""How many tokens of a text a packed folder reads: those that were trained and scored, and no more.

Beyond them a student meets positions it never learned, and its score does not hold. ``config.json`` has the number as
``xtc_max_length`` and the tokenizer as ``model_max_length``. Older folders have neither; their run or their card does.
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
    """Makes the tokenizer in ``folder``, if there is one, truncate at ``max_length``.

    And to pad on the right, as in training: encoders count positions from the first token.
    """
    path = folder / TOKENIZER_CONFIG
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8")) | {
            "model_max_length": max_length,
            "padding_side": "right",
        }
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def longest_text(folder: Path, model: Any, tokenizer: Any = None) -> int:
    """Tokens, special ones included, at which a text for this model is cut.

    Args:
        folder: the model's. What it records of its training counts before its tokenizer's length.
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
        except (OSError, ValueError, LookupError, TypeError):  # not there, or of other content
            continue
    return None


def _of_run(folder: Path) -> int:
    recipe = Recipe.of(**json.loads((folder.parent / "params.json").read_text(encoding="utf-8"))["recipe"])
    if recipe.run_id != folder.parent.name:
        raise ValueError("the folder lies in another run's")
    return recipe.max_length


def _of_card(folder: Path) -> int:
    text = (folder / "README.md").read_text(encoding="utf-8")
    return Recipe.of(**json.loads(text.split("## Recipe\n\n```json\n", 1)[1].split("\n```", 1)[0])).max_length
