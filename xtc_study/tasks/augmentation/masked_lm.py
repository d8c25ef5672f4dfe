"""Find replacements with a masked language model: what the pre-trained encoder itself predicts for a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from xtc_study.tasks.augmentation.synonyms import SynonymTable
from xtc_study.tasks.augmentation.words import Slot, Word, replaceable, written_as

if TYPE_CHECKING:
    from torch import Tensor

BATCH_TOKENS = 8192
"""Maximum number of tokens in a forward pass, padding included."""

MASKED_TOKENS = 512
"""Longer inputs are truncated, as in TinyBERT; BERT has no more positions."""


class _Masked(NamedTuple):
    """One word of one sentence, masked: an input of the model and the position of its mask."""

    sentence: int
    word: Word
    inputs: dict[str, list[int]]
    mask: int


class MaskedWords:
    """Finds for each word of a single token the whole words the model finds likeliest there (TinyBERT, section 3.3).

    The model reads the pair "sentence with the word masked, sentence itself". It therefore sees the word it replaces,
    which is often its own first choice: then the word stays. Words of several tokens are left to the synonym table.

    Args:
        model: has a masked-LM head; it is moved to ``device``.
        tokenizer: a fast one, with a mask token.
        most: maximum number of candidates per word (TinyBERT's M).
        device: where the model computes.
        positions: maximum number of tokens the model reads.
        synonyms: used for words of several tokens; None leaves those words as they are.
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
        self.longest = min(MASKED_TOKENS, tokenizer.model_max_length, positions)

    def slots(self, sentences: Sequence[str]) -> list[list[Slot]]:
        slots: list[list[Slot]] = [[] for _ in sentences]
        masked = []

        # Words of one token are masked; other words get their synonyms at once.
        encoded = self.tokenizer(list(sentences), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        for number, (sentence, offsets) in enumerate(zip(sentences, encoded["offset_mapping"], strict=True)):
            token_spans = set(map(tuple, offsets))
            for word in replaceable(sentence):
                if (word.start, word.end) in token_spans:
                    masked.append((number, word))
                elif slot := self._synonym_slot(word):
                    slots[number].append(slot)

        # The model fills the masks, shortest inputs first, so that batches hold little padding.
        inputs = self._inputs(sentences, masked)
        inputs.sort(key=lambda item: len(item.inputs["input_ids"]))
        self.model.to(self.device)
        for batch in _batches(inputs):
            for item, ids in zip(batch, self._likeliest(batch), strict=True):
                start, end, text = item.word
                words = dict.fromkeys(written_as(self.words[token], text) for token in ids)
                slots[item.sentence].append(Slot(start, end, tuple(words)))
        return [sorted(of_sentence) for of_sentence in slots]

    def _synonym_slot(self, word: Word) -> Slot | None:
        words = self.synonyms.candidates(word.text) if self.synonyms is not None else ()
        return Slot(word.start, word.end, words) if words else None

    def _inputs(self, sentences: Sequence[str], masked: Sequence[tuple[int, Word]]) -> list[_Masked]:
        """The model's inputs; a word whose mask would lie beyond the longest input gets none."""
        if not masked:
            return []
        with_mask, originals = [], []
        for number, word in masked:
            sentence = sentences[number]
            with_mask.append(sentence[: word.start] + self.tokenizer.mask_token + sentence[word.end :])
            originals.append(sentence)

        # Truncated here, not by the tokenizer: it must drop the second sentence before it drops the mask.
        encoded = self.tokenizer(with_mask, originals, verbose=False)
        items = []
        for place, (number, word) in enumerate(masked):
            inputs = {key: values[place][: self.longest] for key, values in encoded.items()}
            if self.tokenizer.mask_token_id in inputs["input_ids"]:
                mask = inputs["input_ids"].index(self.tokenizer.mask_token_id)
                items.append(_Masked(number, word, inputs, mask))
        return items

    def _likeliest(self, batch: Sequence[_Masked]) -> list[list[int]]:
        """Ids of the likeliest whole words at each mask, best first."""
        import torch

        # Always on the right, whatever the tokenizer's default: encoders count positions from the first token.
        padded = self.tokenizer.pad([item.inputs for item in batch], return_tensors="pt", padding_side="right")
        inputs = padded.to(self.device)
        places = [item.mask for item in batch]
        with torch.inference_mode(), _only_at(self.model, torch.tensor(places, device=self.device)):
            logits = self.model(**inputs).logits[:, 0].float().cpu()
        best = logits[:, self.ids].topk(self.most).indices
        likeliest: list[list[int]] = self.ids[best].tolist()
        return likeliest


def whole_words(tokenizer: Any) -> dict[int, str]:
    """Return the tokens that are whole words of plain letters, lower-cased, by id.

    A token is a whole word if it does not continue one: it has no '##' before it in a WordPiece vocabulary, or a space
    before it in a byte-level or SentencePiece one.
    """
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])

    # A WordPiece vocabulary may contain these characters too, as tokens of their own.
    marks = [mark for mark in ("Ġ", "▁") if sum(token.startswith(mark) for token, _ in tokens) > len(tokens) / 10]

    special = set(tokenizer.all_special_ids)
    words: dict[int, str] = {}
    for token, number in tokens:
        if marks and token[:1] not in marks:
            continue
        word = (token[1:] if marks else token).lower()
        # The letters i and a are words, but a vocabulary contains every letter, and most letters are not.
        if re.fullmatch(r"[a-z]{2,}", word) and number not in special:
            words[number] = word
    return words


def _batches(inputs: Sequence[_Masked]) -> Iterator[Sequence[_Masked]]:
    """Cut sorted inputs into batches that, padded to their last and longest, hold at most BATCH_TOKENS."""
    start = 0
    for end in range(1, len(inputs) + 1):
        if end == len(inputs) or len(inputs[end].inputs["input_ids"]) * (end + 1 - start) > BATCH_TOKENS:
            yield inputs[start:end]
            start = end


@contextmanager
def _only_at(model: Any, places: Tensor) -> Iterator[None]:
    """Compute the model's output layer at only one position per row: its logits are then (batch, 1, vocabulary).

    With a real vocabulary, the logits of a whole batch would fill a gigabyte.
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
