"""Ends of texts and counts of tokens, as OpenAI's answers have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hf_seq2seq.decoding.outputs import Output
from hf_seq2seq.serving.refusals import Refusal

MOST_STOPS = 4


@dataclass(frozen=True)
class Stops:
    """Strings at which a text ends.

    Attributes:
        strings: the strings, none of them empty.
    """

    strings: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Any) -> "Stops":
        """From the field `stop`: a text, a list of texts, or nothing.

        Raises:
            Refusal: it is something else.
        """
        strings = [] if given is None else [given] if isinstance(given, str) else given
        if not isinstance(strings, list) or not all(isinstance(each, str) and each for each in strings):
            raise Refusal(400, "stop: neither a text nor a list of texts", "stop")
        if len(strings) > MOST_STOPS:
            raise Refusal(400, f"stop: {len(strings)} texts are too many; the maximum is {MOST_STOPS}", "stop")
        return cls(tuple(strings))

    def cut(self, text: str) -> str:
        """The text before the first of the strings."""
        places = [place for each in self.strings if (place := text.find(each)) >= 0]
        return text[: min(places, default=len(text))]

    def safe(self, text: str) -> str:
        """The part of a growing text that no string can take back any more."""
        cut = self.cut(text)
        if len(cut) < len(text):
            return cut
        begun = (size for each in self.strings for size in range(len(each) - 1, 0, -1) if text.endswith(each[:size]))
        return text[: len(text) - max(begun, default=0)]


def finish(output: Output, stops: Stops) -> tuple[str, str]:
    """The text of an output up to where it stops, and why it ended there."""
    cut = stops.cut(output.text)
    return cut, "stop" if len(cut) < len(output.text) or not output.unended else "length"


def usage_of(tokenizers: Any, sources: Sequence[Any], texts: Sequence[str]) -> dict[str, int]:
    """Tokens read and written."""
    read = [
        source if isinstance(source, str) else "\n".join(message["content"] for message in source) for source in sources
    ]
    prompt = sum(len(tokenizers.source.tokenize(text)) for text in read)
    written = sum(len(tokenizers.target.tokenize(text)) for text in texts)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
