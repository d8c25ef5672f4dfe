"""Create an untrained encoder for your own text, for use when no pre-trained one is available.

It has a vocabulary of the text but no knowledge of the language, so its scores show that everything runs, not what a
compressed model can achieve. With a pre-trained encoder (``--model``) everything else stays the same.
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
    """Train a WordPiece vocabulary on the texts, write it with a BERT of random weights, and return the folder.

    Args:
        folder: a new folder, for ``--model``.
        texts: the texts that the vocabulary is trained on.
        vocabulary: maximum number of tokens.
        seed: seed of the weights.
        shape: fields of ``BertConfig`` that replace the built-in encoder's (4 layers, width 64, 64 positions).

    Raises:
        ValueError: the folder exists, or there is no text.
    """
    from transformers import BertConfig, BertModel, set_seed

    from xtc_study.tasks.generated.vocabulary import toy_tokenizer

    if folder.exists():
        raise ValueError(f"{folder}: already exists; choose another folder or remove it")
    tokenizer = toy_tokenizer().train_new_from_iterator(list(texts), vocabulary)
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise ValueError("no text: give at least one text to train the vocabulary on")
    set_seed(seed)
    config = BertConfig(**{**BUILTIN_CONFIG, **shape}, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
