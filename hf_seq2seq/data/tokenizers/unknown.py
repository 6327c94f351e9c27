"""Unknown tokens, and texts that are unsuitable for a word tokenizer."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from hf_seq2seq.data.tokenizers.unicode_text import IDEOGRAMS, character_class, valid_text

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerBase

LONG_WORD = 12
"""Average word length from which a text is considered to have no spaces between words; German has 6, Finnish 8."""
LETTERS_OF_IDEOGRAM = 3
READ = 2_000  # texts
SPACE = "▁"  # prepended to every text by SentencePiece's vocabularies
TOO_LOW = (
    "Loss, perplexity and bits per byte do not count what they stand for: do not compare them across vocabularies."
)
"""The effect of unknown tokens on likelihoods."""
_IDEOGRAM = re.compile(f"[{character_class(IDEOGRAMS)}]")


@dataclass(frozen=True)
class Unknown:
    """The number of unknown tokens.

    Attributes:
        tokens: number of unknown tokens.
        of: number of all tokens of text, without special tokens.
    """

    tokens: int = 0
    of: int = 0

    @property
    def share(self) -> float:
        """The share in percent."""
        return 100 * self.tokens / max(1, self.of)

    def __add__(self, other: "Unknown") -> "Unknown":
        return Unknown(self.tokens + other.tokens, self.of + other.of)

    def __str__(self) -> str:
        """The share as text, never shown as zero if there are any."""
        return percent(self.share)


def percent(share: float) -> str:
    """A share in percent, with enough decimals to distinguish it from 0."""
    return f"{share:.1f}%" if share == 0 or share >= 0.05 else f"{share:.1g}%"


def unknown_id(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """The unknown token.

    None if no text can contain it, as in a byte-level vocabulary, whose end of text has the same name.
    """
    others = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.cls_token_id)
    found: int | None = tokenizer.unk_token_id
    return None if found in others else found


def count_unknown(ids: "np.ndarray", tokenizer: "PreTrainedTokenizerBase") -> Unknown:
    """Counts the unknown tokens among ids."""
    import numpy as np

    unknown = unknown_id(tokenizer)
    special = [number for number in tokenizer.all_special_ids if number != unknown]
    found = 0 if unknown is None else int((ids == unknown).sum())
    return Unknown(found, int((~np.isin(ids, special)).sum()))


def reads_words(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether tokens are whole words, separated by spaces."""
    from tokenizers.models import WordLevel

    if not tokenizer.is_fast:
        return False
    rust = tokenizer.backend_tokenizer
    return isinstance(rust.model, WordLevel) and "WhitespaceSplit" in repr(rust.pre_tokenizer)


def lacks_spaces(texts: Iterable[str]) -> bool:
    """Whether texts have no spaces between words: Chinese, Thai, DNA; judged by the first few thousand."""
    words = [word for text in islice(texts, READ) for word in text.split()]
    letters = sum(len(word) + (LETTERS_OF_IDEOGRAM - 1) * len(_IDEOGRAM.findall(word)) for word in words)
    return letters >= LONG_WORD * len(words) > 0


def no_spaces(side: str) -> str:
    """A warning about a word tokenizer for such texts."""
    return (
        f"warning: the {side} texts have no spaces between words, so that a word tokenizer treats whole sentences as "
        "words; --tokenizer-type unigram or char does not"
    )


def learned_whole(texts: Iterable[str], tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether a vocabulary consists of whole texts: most are one word and one token, and make up a tenth of it."""
    read = set(islice(texts, READ))
    words = {text for text in read if len(text) > 1 and text.split() == [text]}
    if 2 * len(words) <= len(read) or 10 * len(words) < len(tokenizer):
        return False
    found = tokenizer(sorted(words), add_special_tokens=False, verbose=False)["input_ids"]
    whole = sum(len(ids) == 1 for ids in found)
    return 2 * whole > len(read) and 10 * whole >= len(tokenizer)


def whole_texts(side: str) -> str:
    """A warning about such a vocabulary."""
    return (
        f"warning: most {side} texts are one word and one token each, so that nothing learned about one applies to "
        "another; --tokenizer-type char splits words into characters"
    )


def lost_characters(texts: Iterable[str], tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Letters, digits, marks and symbols of the first few thousand texts for which a tokenizer has no token at all.

    They vanish from a text silently, as with a vocabulary with neither bytes nor an unknown token.
    """
    characters = sorted(set().union(*islice(map(valid_text, texts), READ)))
    visible = [character for character in characters if unicodedata.category(character)[0] in "LNPS"]
    if not visible:
        return []
    found = tokenizer(visible, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    pieces = [set(tokenizer.convert_ids_to_tokens(ids)) - {SPACE} for ids in found]
    return [character for character, rest in zip(visible, pieces, strict=True) if not rest and character != SPACE]


def vanishing(side: str, characters: Sequence[str]) -> str:
    """A warning about them."""
    return (
        f"warning: {len(characters)} characters of the {side} texts vanish, such as {characters[0]}: "
        "the vocabulary has no token for them, not even an unknown one"
    )
