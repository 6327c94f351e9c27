"""The attention on the source of the rows that a report shows, by layer and head."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from hf_seq2seq.analysis.records import Heat, Row
from hf_seq2seq.decoding.alignment import align, pharaoh, words_of
from hf_seq2seq.decoding.decoder import batch_of
from hf_seq2seq.decoding.generation import ONE_AT_A_TIME, evaluating
from hf_seq2seq.decoding.scoring import attention_weights
from hf_seq2seq.decoding.text_generator import TextGenerator

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def attention_of(generator: TextGenerator, shown: Mapping[int, Row], why: Mapping[int, str]) -> list[Heat]:
    """The attention of the rows that have an output; `shown` and `why` are by number."""
    found, reader, target = [], generator.reader, generator.tokenizers.target
    for number, row in shown.items():
        if not row["ids"]:
            continue
        with ONE_AT_A_TIME, evaluating(generator.model):
            source, names, batch = one_source(generator, row["source"])
            weights = attention_weights(generator.model, batch, row["ids"])
        known = [token if token < len(target) else target.unk_token_id for token in row["ids"]]
        links = align(weights.mean((0, 1)), reader.source_words(source), words_of(known, target))
        written = legible(row["ids"], row["tokens"], target)
        found.append(Heat(number, why[number], names, written, weights, pharaoh(links)))
    return found


def one_source(generator: TextGenerator, text: Any) -> tuple[Any, list[str], dict[str, Tensor]]:
    """A source as the model reads it: its ids, its tokens as text, and a batch of it on the model's device."""
    sources, unknown, _ = generator.read_sources([text])
    names = generator.reader.source_tokens(sources[0], unknown[0] if unknown else ())
    names = legible(sources[0], names, generator.tokenizers.source)
    pad = generator.tokenizers.source.pad_token_id or 0
    return sources[0], names, batch_of(generator.model, sources, np.array([0]), pad)


def legible(ids: Sequence[int] | np.ndarray, tokens: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Tokens as the text they stand for, with a dot for a space before it; special and partial ones as they are."""
    special, found = set(tokenizer.all_special_ids), []
    for number, token in zip(map(int, ids), tokens, strict=True):
        text = "" if number >= len(tokenizer) or number in special else str(tokenizer.decode([number]))
        spaced = token[:1] in ("Ġ", "▁")
        found.append(f"{'·' if spaced else ''}{text.strip()}" if text.strip() and "\ufffd" not in text else token)
    return found
