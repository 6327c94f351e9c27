"""Outputs that grow: what is new in the text after each step."""

from collections.abc import Sequence
from typing import Any


class GrowingText:
    """The text of tokens that are still being generated.

    Args:
        tokenizer: of the outputs.

    Attributes:
        sent: the text whose parts were returned.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.sent = tokenizer, ""

    def part(self, ids: Sequence[int]) -> str:
        """What the text of these tokens has beyond `sent`; nothing while a character is incomplete."""
        text = text_of(self.tokenizer, ids)
        return self.rest(text.removesuffix("\ufffd")) if text else ""

    def rest(self, text: str) -> str:
        """What a text has beyond `sent`; nothing where it does not begin with it."""
        if not text.startswith(self.sent):
            return ""
        part, self.sent = text[len(self.sent) :], text
        return part


def text_of(tokenizer: Any, ids: Sequence[int]) -> str | None:
    """The text of tokens so far; None where they stand for words outside the vocabulary."""
    if any(token >= len(tokenizer) for token in ids):
        return None
    (text,) = tokenizer.batch_decode([list(ids)], skip_special_tokens=True)
    return str(text)
