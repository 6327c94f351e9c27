"""Words that no output may contain.

A word is a bad one by its text, however its tokens spell it, and not as part of a longer word. Its usual tokens are
kept from being completed; where characters or unusual tokens spell it, only a letter that makes it another word may
follow.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hf_seq2seq.decoding.forced_words import ForcedWords, Ids, find_word, is_letter
from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class BadWords:
    """A rule.

    Args:
        texts: the words, or phrases.
        tokenizer: of the outputs.
        prompt: tokens before an output.
        longest: maximum output length for each source, `(sources,)`.

    Raises:
        InputError: a word is not in the vocabulary.
    """

    def __init__(
        self, texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", prompt: int, longest: Tensor
    ) -> None:
        self.tokenizer, self.prompt, self.longest = tokenizer, prompt, longest.tolist()
        self.words = [find_word(text, tokenizer, self._decode, "--bad-words") for text in texts]
        self.spelling = ForcedWords(self.words, self._decode)

    def _decode(self, ids: Ids) -> str:
        known = [token for token in ids if token < len(self.tokenizer)]
        return str(self.tokenizer.decode(known, skip_special_tokens=True))

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`."""
        for row, ids in enumerate(prefixes.tokens[:, self.prompt :].tolist()):
            is_last = prefixes.length + 1 >= self.longest[int(prefixes.sources[row])]
            known = tuple(ids)
            text = self._decode(known)
            ends = [end for word in self.words for end in word.ends(text)]
            if ends:
                onward = self._onward.to(scores.device)
                onward = onward if min(ends) == len(text.rstrip()) else onward[:0]
                kept = scores[row, onward].clone()
                scores[row] = FORBIDDEN
                scores[row, onward] = kept
            scores[row, list(self._completing(known, is_last))] = FORBIDDEN
        return scores

    def _completing(self, ids: Ids, is_last: bool) -> Iterator[int]:
        """The tokens that would complete a word; of one spelled by characters, which may go on, only the last."""
        for word in self.words:
            for tokens in {word.inner, word.first} - {()}:
                before = ids[: len(ids) - len(tokens) + 1]
                by_characters = len(tokens) >= len(word.text) > 1
                matches = len(ids) >= len(tokens) - 1 and ids[len(before) :] == tokens[:-1]
                if matches and (is_last or not by_characters) and self.spelling.fits(word, tokens, before):
                    yield tokens[-1]

    @cached_property
    def _onward(self) -> Tensor:
        """The tokens that begin with a letter of the word before them, `(tokens,)`."""
        word = self.words[0].inner
        start = self._decode(word)
        texts = self.tokenizer.batch_decode(
            [[*word, token] for token in range(len(self.tokenizer))], skip_special_tokens=True
        )
        found = [
            token
            for token, text in enumerate(texts)
            if text.startswith(start) and is_letter(text[len(start) : len(start) + 1])
        ]
        return torch.tensor(found, dtype=torch.long)
