"""Words that no output may contain.

A word is a bad one by its text, however its tokens spell it, and not as part of a longer word. Its usual tokens are
kept from being completed; where characters or unusual tokens spell it, only a letter that makes it another word may
follow.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hf_seq2seq.data.copying import decode_known
from hf_seq2seq.decoding.forced_words import ForcedWords, Ids, find_word, is_letter
from hf_seq2seq.decoding.rules import FORBIDDEN, Prefixes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class BadWords:
    """The words in terms of a vocabulary.

    Args:
        texts: the words, or phrases.
        tokenizer: of the outputs.

    Raises:
        InputError: a word is not in the vocabulary.
    """

    def __init__(self, texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> None:
        self.tokenizer, self.decode = tokenizer, partial(decode_known, tokenizer=tokenizer)
        self.words = [find_word(text, tokenizer, self.decode, "--bad-words") for text in texts]
        self.spelling = ForcedWords(self.words, self.decode)

    def completing(self, ids: Ids, is_last: bool) -> Iterator[int]:
        """The tokens that would complete a word; of one spelled by characters, which may go on, only the last."""
        for word in self.words:
            for tokens in {word.inner, word.first} - {()}:
                before = ids[: len(ids) - len(tokens) + 1]
                by_characters = len(tokens) >= len(word.text) > 1
                matches = len(ids) >= len(tokens) - 1 and ids[len(before) :] == tokens[:-1]
                if matches and (is_last or not by_characters) and self.spelling.fits(word, tokens, before):
                    yield tokens[-1]

    @cached_property
    def onward(self) -> Tensor:
        """The tokens that begin with a letter of the word before them, `(tokens,)`."""
        word = self.words[0].inner
        start = self.decode(word)
        texts = self.tokenizer.batch_decode(
            [[*word, token] for token in range(len(self.tokenizer))], skip_special_tokens=True
        )
        found = [
            token
            for token, text in enumerate(texts)
            if text.startswith(start) and is_letter(text[len(start) : len(start) + 1])
        ]
        return torch.tensor(found, dtype=torch.long)


class NoBadWords:
    """A rule that keeps the words out of outputs.

    Args:
        bad: the words.
        longest: maximum output length for each source, `(sources,)`.
    """

    def __init__(self, bad: BadWords, longest: Tensor) -> None:
        self.bad, self.longest = bad, longest.tolist()

    def __call__(self, prefixes: Prefixes, scores: Tensor) -> Tensor:
        """See `Rule`."""
        for row, ids in enumerate(prefixes.outputs()):
            is_last = len(ids) + 1 >= self.longest[int(prefixes.sources[row])]
            text = self.bad.decode(ids)
            ends = [end for word in self.bad.words for end in word.ends(text)]
            if ends:
                onward = self.bad.onward.to(scores.device)
                onward = onward if min(ends) == len(text.rstrip()) else onward[:0]
                kept = scores[row, onward].clone()
                scores[row] = FORBIDDEN
                scores[row, onward] = kept
            scores[row, list(self.bad.completing(tuple(ids), is_last))] = FORBIDDEN
        return scores
