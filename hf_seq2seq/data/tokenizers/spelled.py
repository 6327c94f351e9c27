"""Special tokens that a text spells: `</s>` in what a user wrote is text, and ends nothing.

A tokenizer that is trained here reads them so by itself. Others come with transformers' default, which reads them as
special tokens; of those, what ends, starts or fills a sequence is still text where a user wrote it, while a mask, a
sentinel or a separator is meant, as users of such checkpoints write them on purpose.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CONTROLS = ("bos_token", "eos_token", "pad_token", "unk_token", "cls_token")


def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """The tokens that start, end or fill a sequence, or stand for what is unknown."""
    found = [getattr(tokenizer, role) for role in CONTROLS]
    return [token for token in dict.fromkeys(found) if token is not None]


def spells_control(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> list[bool]:
    """Whether each text spells a token that starts, ends or fills a sequence, and is to be read as text for it."""
    if tokenizer.split_special_tokens:  # all texts are
        return [False] * len(texts)
    controls = control_tokens(tokenizer)
    return [any(token in text for token in controls) for text in texts]


def read_as_text(tokenizer: "PreTrainedTokenizerBase", texts: Iterable[str]) -> None:
    """Lets a ready tokenizer read special tokens in texts as text, wherever it is loaded after it was saved.

    It is left alone where a training text spells one that users write on purpose, such as a mask, and where a chat
    template writes them.

    Args:
        tokenizer: changed in place.
        texts: of the training rows, and the prefix of sources.
    """
    controls = control_tokens(tokenizer)
    meant = [token for token in map(str, tokenizer.all_special_tokens) if token not in controls]
    if tokenizer.chat_template is None and not (meant and _any_spells(texts, meant)):
        tokenizer.split_special_tokens = tokenizer.init_kwargs["split_special_tokens"] = True


def describe_spelled(texts: Iterable[str], tokenizer: "PreTrainedTokenizerBase", side: str) -> list[str]:
    """A line that says how many texts spell special tokens that are read as text; none where none does."""
    tokens = [str(token) for token in tokenizer.all_special_tokens]
    tokens = tokens if tokenizer.split_special_tokens else control_tokens(tokenizer)
    pattern = _pattern(tokens)
    found = [match[0] for text in texts if (match := pattern.search(text))] if tokens else []
    if not found:
        return []
    return [f"{len(found):,} {side} texts spell special tokens, such as {found[0]}, which are read as text"]


def _any_spells(texts: Iterable[str], tokens: Sequence[str]) -> bool:
    pattern = _pattern(tokens)
    return any(pattern.search(text) for text in texts)


def _pattern(tokens: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, tokens)))
