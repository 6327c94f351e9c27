"""Words that must appear in an output: their tokens, and the progress of an output towards them.

Whether an output has a word is determined from its text, so any tokens that spell the word count, and a word does not
count as part of a longer one.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from hf_seq2seq.data.copying import decode_known
from hf_seq2seq.data.tokenizers.unicode_text import UNSPACED, character_class
from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = tuple[int, ...]
KEPT = 2**16  # outputs whose progress is cached: a candidate of one step is a hypothesis of the next
TRIED = 20  # characters that may precede a word
_UNSPACED_LETTER = f"[{character_class(UNSPACED)}]"
_LETTER = rf"(?!{_UNSPACED_LETTER})\w"


@dataclass(frozen=True)
class Word:
    """A word, or several consecutive ones.

    Attributes:
        text: as the vocabulary spells it.
        inner: its tokens after another word; without a space in between in scripts without spaces.
        first: its tokens at the beginning of a text, or after a mark such as a bracket; none where impossible.
        joins: whether `first` has no space before the word.
        others: other forms, any of which will do.
    """

    text: str
    inner: Ids
    first: Ids
    joins: bool = False
    others: tuple["Word", ...] = ()

    @property
    def forms(self) -> tuple["Word", ...]:
        """It, and the other forms that do as well."""
        return (self, *self.others)

    @property
    def size(self) -> int:
        """Tokens of the shortest form."""
        return min(len(form.inner) for form in self.forms)

    @property
    def unspaced(self) -> bool:
        """Whether it begins with a letter that follows others without a space."""
        return re.match(_UNSPACED_LETTER, self.text) is not None

    def ends(self, text: str) -> list[int]:
        """The end of the first occurrence of each of its forms that a text contains."""
        return [end for form in self.forms if (end := form.end(text)) is not None]

    def end(self, text: str) -> int | None:
        """The end of its own first occurrence in a text; None if the text does not contain it as a word."""
        before = rf"(?<!{_LETTER})" if re.match(_LETTER, self.text) else ""
        after = rf"(?!{_LETTER})" if re.match(_LETTER, self.text[-1]) else ""
        found = re.search(before + re.escape(self.text) + after, text)
        return None if found is None else found.end()


def is_letter(character: str) -> bool:
    """Whether a character continues a word of a script with spaces."""
    return re.match(_LETTER, character) is not None


class Progress(NamedTuple):
    """The progress of an output.

    Attributes:
        tokens: number of tokens of its complete words and of the one that it has begun.
        onward: tokens that would continue a word.
        complete: whether it has all words.
        fresh: whether it ends with a word, which another letter would make part of a longer one.
    """

    tokens: int
    onward: frozenset[int]
    complete: bool
    fresh: bool


class ForcedWords:
    """Words that every output must contain.

    Args:
        words: at least one.
        decode: turns ids into text.
    """

    def __init__(self, words: Sequence[Word], decode: Callable[[Ids], str]) -> None:
        self.words, self._decode = words, lru_cache(KEPT)(decode)
        self.size = sum(word.size for word in words)
        self.progress = lru_cache(KEPT)(self._progress)

    def _progress(self, ids: Ids) -> Progress:
        """The progress of an output of these tokens."""
        text = self._decode(ids)
        ends = [word.ends(text) for word in self.words]
        unmet = [word for word, found in zip(self.words, ends, strict=True) if not found]
        begun = [(token, min(size, word.size)) for word in unmet for token, size in self._begun(word, ids)]
        whole = self.size - sum(word.size for word in unmet)
        partial = max((size for _, size in begun), default=0)
        fresh = any(len(text) in found for found in ends)
        return Progress(whole + partial, frozenset(token for token, _ in begun), not unmet, fresh)

    def _begun(self, word: Word, ids: Ids) -> Iterator[tuple[int, int]]:
        """Tokens that would continue a word, each with how many tokens of the word the output ends with."""
        for form in word.forms:
            for tokens in {form.inner, form.first}:
                for size in range(min(len(tokens), len(ids) + 1)):
                    before = ids[: len(ids) - size]
                    if ids[len(before) :] == tokens[:size] and self.fits(form, tokens, before):
                        yield tokens[size], size

    def fits(self, word: Word, tokens: Ids, before: Ids) -> bool:
        """Whether a word may be spelled like this after these tokens."""
        if word.inner == word.first and (word.unspaced or not word.joins):
            return True
        text = self._decode(before)
        if tokens == word.inner != word.first:
            return bool(text)
        return not text or not (word.unspaced or re.match(_LETTER, text[-1]))


def find_words(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", longest: int) -> ForcedWords | None:
    """The tokens of words that must appear; None where there are none.

    Args:
        texts: the words, each with its alternatives after "|".
        tokenizer: of the outputs.
        longest: maximum output length in tokens.

    Raises:
        InputError: a word is not in the vocabulary, the words need more than `longest` tokens and EOS, or they need a
            space that the vocabulary lacks.
    """
    decode = partial(decode_known, tokenizer=tokenizer)
    found = {frozenset(f.text for f in word.forms): word for word in (_find_forms(t, tokenizer, decode) for t in texts)}
    words = [word for word in found.values() if not any(_is_in(word, other) for other in found.values())]
    if not words:
        return None
    alone = [word.text for word in words if all(f.joins and not f.unspaced and f.inner == f.first for f in word.forms)]
    if len(alone) > 1:
        raise InputError(f"--force-words: {', '.join(alone)}: the vocabulary has no space to put between them")
    # One word may begin the output; if none can, another token does.
    starts = [(word.size, [len(form.first) for form in word.forms if form.first]) for word in words]
    saved = max([size - min(lengths) for size, lengths in starts if lengths], default=-1)
    needed = sum(word.size for word in words) - saved + 1
    if needed > longest:
        raise InputError(
            f"--force-words: {', '.join(texts)} and the end need {needed} tokens; the longest output has {longest} "
            "(--max-new-tokens)"
        )
    return ForcedWords(words, decode)


def _is_in(word: Word, other: Word) -> bool:
    """Whether a text with any form of another word also has this one."""
    return other is not word and all(any(form.end(each.text) for form in word.forms) for each in other.forms)


def _find_forms(text: str, tokenizer: "PreTrainedTokenizerBase", decode: Callable[[Ids], str]) -> Word:
    """A word with its alternatives, as far as the vocabulary has them; it must have one.

    Raises:
        InputError: it has none.
    """
    forms, errors = [], []
    for form in filter(None, (part.strip() for part in text.split("|"))):
        try:
            forms.append(find_word(form, tokenizer, decode))
        except InputError as error:
            errors.append(error)
    if not forms:
        raise errors[0] if errors else InputError(f"--force-words: {text!r} is not in the vocabulary")
    return replace(forms[0], others=tuple(forms[1:]))


def find_word(
    text: str, tokenizer: "PreTrainedTokenizerBase", decode: Callable[[Ids], str], option: str = "--force-words"
) -> Word:
    """The tokens of a word at the beginning of a text, and after another word: itself, which can be spelled.

    Raises:
        InputError: it is not in the vocabulary; names the option.
    """
    first, twice = (_ids(each, tokenizer) for each in (text, f"{text} {text}"))
    unknown = tokenizer.unk_token_id
    if unknown in first and re.match(_UNSPACED_LETTER, text):  # a word piece may exist only as a continuation
        inner = _joined(text, text, tokenizer, decode)
        if inner is not None:
            return Word(text, inner, ())
    spelled = decode(first).strip()
    if not spelled or unknown in first:
        raise InputError(f"{option}: {text!r} is not in the vocabulary")
    word = Word(spelled, first, first, joins=decode(first + first).strip() == spelled * 2)
    inner = _joined(text, spelled, tokenizer, decode) if word.unspaced else None
    if inner is None and twice[: len(first)] == first and unknown not in twice:
        inner = twice[len(first) :]
    return word if inner is None else replace(word, inner=inner)


def _joined(text: str, spelled: str, tokenizer: "PreTrainedTokenizerBase", decode: Callable[[Ids], str]) -> Ids | None:
    """The tokens of a word after others without a space; None if the vocabulary cannot spell it so.

    The preceding text is the word itself or, if that is unknown or its end merges with what follows, a character.
    """
    characters = sorted(token for token in tokenizer.get_vocab() if len(token) == 1)
    for before in (text, "。", *characters[-TRIED:]):
        start, both = _ids(before, tokenizer), _ids(before + text, tokenizer)
        tail = both[len(start) :]
        if both[: len(start)] == start and tokenizer.unk_token_id not in tail and decode(tail).endswith(spelled):
            return tail
    return None


def _ids(text: str, tokenizer: "PreTrainedTokenizerBase") -> Ids:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
