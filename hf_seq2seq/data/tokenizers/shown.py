"""Human-readable tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKS = str.maketrans({" ": "Ġ", "\n": "Ċ", "\t": "ĉ", "\r": "č"})
UNDECODED = "\N{REPLACEMENT CHARACTER}"


def readable_pieces(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> list[str]:
    """The tokens of ids; those of a byte-level vocabulary are decoded to text.

    Such a vocabulary spells `Männer` as `MÃ¤nner`, one letter per byte. White space keeps the vocabulary's marks (Ġ for
    a space), and a token with an incomplete character keeps the vocabulary's spelling.
    """
    from tokenizers.decoders import ByteLevel

    pieces = [str(tokenizer.convert_ids_to_tokens(number)) for number in ids]
    decoder = tokenizer.backend_tokenizer.decoder if tokenizer.is_fast else None
    if not isinstance(decoder, ByteLevel):
        return pieces
    texts = [decoder.decode([piece]) for piece in pieces]
    return [piece if UNDECODED in text else text.translate(MARKS) for piece, text in zip(pieces, texts, strict=True)]
