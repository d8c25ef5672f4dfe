"""An untrained encoder for text of your own, where no pre-trained one can be got.

It knows the tokens of its text and nothing of the language, so its scores show that everything runs, not how well
a compressed model can do. With a pre-trained encoder (``--model``) everything else stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xtc_study.model_source import BUILTIN_CONFIG

VOCABULARY = 4000


def write_untrained_encoder(
    folder: Path, texts: Iterable[str], vocabulary: int = VOCABULARY, seed: int = 0, **shape: Any
) -> Path:
    """Trains a WordPiece vocabulary on the texts, and writes it with a BERT of random weights; returns the folder.

    Args:
        folder: a new one; give it to ``--model``.
        vocabulary: tokens, at most.
        shape: fields of ``BertConfig`` in place of the built-in encoder's (4 layers, 64 wide, 64 positions).

    Raises:
        ValueError: the folder is there already, or there is no text.
    """
    from transformers import BertConfig, BertModel, set_seed

    from xtc_study.tasks.generated.vocabulary import toy_tokenizer

    if folder.exists():
        raise ValueError(f"{folder}: is there already; choose another folder or remove it")
    tokenizer = toy_tokenizer().train_new_from_iterator(list(texts), vocabulary)
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise ValueError("no text: a vocabulary cannot be trained on nothing")
    set_seed(seed)
    config = BertConfig(**{**BUILTIN_CONFIG, **shape}, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
