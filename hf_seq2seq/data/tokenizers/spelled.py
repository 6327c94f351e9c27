"""Special tokens spelled in a text: `</s>` in a user's text is text, and ends nothing.

Tokenizers trained here behave that way by default. Others have transformers' default, which parses them as special
tokens; for those, tokens that end, start or pad a sequence are still text if a user wrote them, while a mask, a
sentinel or a separator is intended, because users of such checkpoints write them on purpose.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hf_seq2seq.data.mapped.texts import containing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CONTROLS = ("bos_token", "eos_token", "pad_token", "unk_token", "cls_token")


def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """The tokens that start, end or pad a sequence, or stand for unknown text."""
    found = [getattr(tokenizer, role) for role in CONTROLS]
    return [token for token in dict.fromkeys(found) if token is not None]


def spells_control(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> list[bool]:
    """Whether each text spells a token that starts, ends or pads a sequence, and must therefore be read as text."""
    if tokenizer.split_special_tokens:  # all texts are
        return [False] * len(texts)
    controls = control_tokens(tokenizer)
    return [any(token in text for token in controls) for text in texts]


def read_as_text(tokenizer: "PreTrainedTokenizerBase", texts: Iterable[str]) -> None:
    """Makes a pretrained tokenizer read special tokens in texts as text, also after saving and loading.

    It is unchanged if a training text spells one that users write on purpose, such as a mask, or if it has a chat
    template, which contains them.

    Args:
        tokenizer: modified in place.
        texts: the texts of the training rows, and the prefix of sources.
    """
    controls = control_tokens(tokenizer)
    meant = [token for token in map(str, tokenizer.all_special_tokens) if token not in controls]
    if tokenizer.chat_template is None and next(containing(texts, meant), None) is None:
        tokenizer.split_special_tokens = tokenizer.init_kwargs["split_special_tokens"] = True


def describe_spelled(texts: Iterable[str], tokenizer: "PreTrainedTokenizerBase", side: str) -> list[str]:
    """A line that says how many texts spell special tokens that are read as text; empty if none do."""
    tokens = [str(token) for token in tokenizer.all_special_tokens]
    tokens = tokens if tokenizer.split_special_tokens else control_tokens(tokenizer)
    found = containing(texts, tokens)
    if (first := next(found, None)) is None:
        return []
    count, spelled = 1 + sum(1 for _ in found), re.findall("|".join(map(re.escape, tokens)), first)[0]
    return [f"{count:,} {side} texts spell special tokens, such as {spelled}, which are read as text"]
