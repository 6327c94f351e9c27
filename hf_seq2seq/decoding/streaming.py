"""Long inputs: windows of rows are sorted by length and generated, so memory does not grow with the input."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.copying import name_source_words
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.ragged import Ragged
from hf_seq2seq.data.vocabulary import Tokenizers
from hf_seq2seq.decoding.generation import Advance, generate_texts
from hf_seq2seq.decoding.settings import UNBOUNDED

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Row = TypeVar("Row")
Result = TypeVar("Result")
WINDOW = 4096


@dataclass
class TextGenerator:
    """Generates for many texts.

    Attributes:
        model: an encoder-decoder, or a decoder alone, in evaluation mode.
        tokenizers: its tokenizers.
        decoding: how to search, and rows a batch.
        max_new_tokens: longest target in tokens, EOS counted.
        max_source_length: longer sources are cut to so many tokens; None cuts nothing.
        prefix: put before every text.
        advance: told the number of rows done after every batch.
        truncated: sources that were cut so far.
    """

    model: "PreTrainedModel"
    tokenizers: Tokenizers
    decoding: Decoding
    max_new_tokens: int
    max_source_length: int | None = None
    prefix: str = ""
    advance: Advance | None = None
    truncated: int = field(default=0, init=False)

    def encode(self, rows: list[Any]) -> Ragged:
        """Encodes texts with the prefix, and counts those that were cut."""
        limit = self.max_source_length or UNBOUNDED
        sources, cut = encode_texts([self.prefix + text for text in rows], self.tokenizers.source, limit)
        self.truncated += cut
        return sources

    def __call__(self, texts: list[Any]) -> list[str]:
        """Generates a text for each of a few thousand; an empty text gives an empty one."""
        asked = [row for row, text in enumerate(texts) if not isinstance(text, str) or text.strip()]
        found = [""] * len(texts)
        if asked:
            chosen = [texts[row] for row in asked]
            sources, unknown = self.encode(chosen), None
            if room := getattr(self.model.config, "copy_vocab_size", 0):
                prefixed = [self.prefix + text for text in chosen]
                sources, unknown = name_source_words(sources, prefixed, self.tokenizers.source, room)
            results = generate_texts(
                self.model, self.tokenizers, sources, self.decoding, self.max_new_tokens, self.advance, unknown
            )
            for row, text in zip(asked, results, strict=True):
                found[row] = text
        return found


def in_windows(
    rows: Iterable[Row], work: Callable[[list[Row]], list[Result]], window: int = WINDOW
) -> Iterator[tuple[Row, Result]]:
    """Pairs every row with its result, in order; at most `window` rows are read ahead of what was yielded."""
    remaining = iter(rows)
    while block := list(islice(remaining, window)):
        yield from zip(block, work(block), strict=True)
