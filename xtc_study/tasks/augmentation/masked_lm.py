"""Replacements from a masked language model: what the pre-trained encoder itself would write in a word's place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from xtc_study.tasks.augmentation.synonyms import SynonymTable
from xtc_study.tasks.augmentation.words import Slot, Word, replaceable, written_as

if TYPE_CHECKING:
    from torch import Tensor

BATCH_PIECES = 8192
"""Word pieces a forward pass holds, padding included."""

MASKED_PIECES = 512
"""An input that is longer is cut, as in TinyBERT; BERT knows no more positions."""


class _Masked(NamedTuple):
    """One word of one sentence, masked: an input of the model and the place of its mask."""

    sentence: int
    word: Word
    pieces: dict[str, list[int]]
    mask: int


class MaskedWords:
    """For each word of a single piece, the whole words the model finds likeliest in its place (TinyBERT, section 3.3).

    The model reads the pair "sentence with the word masked, sentence itself". It therefore sees the word it replaces,
    which is often its own first choice: then the word stays. Words of several pieces are left to the synonym table.

    Args:
        model: has a masked-LM head; moved to ``device``. tokenizer: a fast one, with a mask.
        most: words drawn from, at most (TinyBERT's M). positions: word pieces the model reads, at most.
        synonyms: for words of several pieces; None: those stay.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        most: int,
        device: str,
        positions: int,
        synonyms: SynonymTable | None = None,
    ) -> None:
        import torch

        self.model, self.tokenizer, self.device = model.eval(), tokenizer, device
        self.synonyms = synonyms
        self.words = whole_words(tokenizer)
        self.ids = torch.tensor(list(self.words))
        self.most = min(most, len(self.words))
        self.longest = min(MASKED_PIECES, tokenizer.model_max_length, positions)

    def slots(self, sentences: Sequence[str]) -> list[list[Slot]]:
        found: list[list[Slot]] = [[] for _ in sentences]
        masked = []
        encoded = self.tokenizer(list(sentences), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        for number, (sentence, offsets) in enumerate(zip(sentences, encoded["offset_mapping"], strict=True)):
            whole = set(map(tuple, offsets))
            for word in replaceable(sentence):
                if (word.start, word.end) in whole:
                    masked.append((number, word))
                elif slot := self._synonym_slot(word):
                    found[number].append(slot)
        inputs = self._inputs(sentences, masked)
        inputs.sort(key=lambda item: len(item.pieces["input_ids"]))
        self.model.to(self.device)
        for batch in _batches(inputs):
            for item, ids in zip(batch, self._likeliest(batch), strict=True):
                start, end, text = item.word
                words = dict.fromkeys(written_as(self.words[piece], text) for piece in ids)
                found[item.sentence].append(Slot(start, end, tuple(words)))
        return [sorted(slots) for slots in found]

    def _synonym_slot(self, word: Word) -> Slot | None:
        words = self.synonyms.candidates(word.text) if self.synonyms is not None else ()
        return Slot(word.start, word.end, words) if words else None

    def _inputs(self, sentences: Sequence[str], masked: Sequence[tuple[int, Word]]) -> list[_Masked]:
        """The model's inputs; a word whose mask would lie beyond the longest input has none."""
        if not masked:
            return []
        first, second = [], []
        for number, word in masked:
            sentence = sentences[number]
            first.append(sentence[: word.start] + self.tokenizer.mask_token + sentence[word.end :])
            second.append(sentence)
        # Cut here and not by the tokenizer: the second sentence may vanish, but the mask must not be cut before it.
        encoded = self.tokenizer(first, second, verbose=False)
        found = []
        for place, (number, word) in enumerate(masked):
            pieces = {key: values[place][: self.longest] for key, values in encoded.items()}
            if self.tokenizer.mask_token_id in pieces["input_ids"]:
                mask = pieces["input_ids"].index(self.tokenizer.mask_token_id)
                found.append(_Masked(number, word, pieces, mask))
        return found

    def _likeliest(self, batch: Sequence[_Masked]) -> list[list[int]]:
        """Ids of the likeliest whole words at each mask, best first."""
        import torch

        # On the right, whatever the tokenizer likes: encoders count positions from the first piece.
        padded = self.tokenizer.pad([item.pieces for item in batch], return_tensors="pt", padding_side="right")
        inputs = padded.to(self.device)
        places = [item.mask for item in batch]
        with torch.inference_mode(), _only_at(self.model, torch.tensor(places, device=self.device)):
            logits = self.model(**inputs).logits[:, 0].float().cpu()
        best = logits[:, self.ids].topk(self.most).indices
        chosen: list[list[int]] = self.ids[best].tolist()
        return chosen


def whole_words(tokenizer: Any) -> dict[int, str]:
    """The pieces of the vocabulary that are whole words of plain letters, lower-cased, by id.

    A piece is a whole word if it does not continue one: no '##' before it in a WordPiece vocabulary, a space before
    it in a byte-level or SentencePiece one.
    """
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    # A WordPiece vocabulary may hold these characters too, as pieces of their own.
    marks = [mark for mark in ("Ġ", "▁") if sum(piece.startswith(mark) for piece, _ in pieces) > len(pieces) / 10]
    special = set(tokenizer.all_special_ids)
    found: dict[int, str] = {}
    for piece, number in pieces:
        if marks and piece[:1] not in marks:
            continue
        word = (piece[1:] if marks else piece).lower()
        # The letters i and a are words too, but a vocabulary holds every letter, and most are none.
        if re.fullmatch(r"[a-z]{2,}", word) and number not in special:
            found[number] = word
    return found


def _batches(inputs: Sequence[_Masked]) -> Iterator[Sequence[_Masked]]:
    """Neighbours that, padded to the last one (the longest), hold at most BATCH_PIECES."""
    start = 0
    for end in range(1, len(inputs) + 1):
        if end == len(inputs) or len(inputs[end].pieces["input_ids"]) * (end + 1 - start) > BATCH_PIECES:
            yield inputs[start:end]
            start = end


@contextmanager
def _only_at(model: Any, places: Tensor) -> Iterator[None]:
    """The model's output layer is computed at one place of each row only, or the logits of one batch of a real
    vocabulary would fill a gigabyte; they then have the shape (batch, 1, vocabulary).
    """

    def keep(layer: Any, arguments: tuple[Tensor]) -> tuple[Tensor]:
        states = arguments[0]
        rows = places.new_tensor(range(len(places)))
        return (states[rows, places].unsqueeze(1),)

    handle = model.get_output_embeddings().register_forward_pre_hook(keep)
    try:
        yield
    finally:
        handle.remove()
