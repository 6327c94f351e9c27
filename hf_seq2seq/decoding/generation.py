"""Generates text for encoded sources in batches of similar lengths, with results in input order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.batches import cut, length_order, ordered_batches
from hf_seq2seq.data.copying import Words, spell
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.decoder import batch_of
from hf_seq2seq.decoding.float32 import quick_float32
from hf_seq2seq.decoding.hypothesis import Hypothesis
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.ragged import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Advance = Callable[[int], None]
ONE_AT_A_TIME = RLock()
"""Held while computing, because settings of model and torch that all threads share are changed temporarily."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Runner:
    """Where a model computes: here in the calling thread, one call at a time."""

    def decode(
        self,
        searcher: Searcher,
        sources: Ragged,
        tokenizer: "PreTrainedTokenizerBase",
        advance: Advance | None,
        numbers: Sequence[int],
    ) -> list[list[Hypothesis]]:
        """As `generate_hypotheses`."""
        with ONE_AT_A_TIME:
            return generate_hypotheses(searcher, sources, tokenizer, advance, numbers)

    def call(self, work: Callable[[], Result]) -> Result:
        """Lets a function compute while nothing else does."""
        with ONE_AT_A_TIME:
            return work()

    def each(self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
        """Lets a function compute the results of items, perhaps a few at a time."""
        return self.call(lambda: work(items))


HERE = Runner()


def generate_texts(
    model: "PreTrainedModel",
    tokenizers: Tokenizers,
    sources: Ragged,
    decoding: Decoding,
    max_new_tokens: int,
    advance: Advance | None = None,
    unknown: Sequence[Words] | None = None,
) -> list[str]:
    """Generates a text for every source, in order; batches contain sources of similar lengths.

    Args:
        model: an encoder-decoder or decoder-only model; it is put in evaluation mode while it generates.
        tokenizers: they encoded the sources and decode the targets.
        sources: ids of every source, special tokens included.
        decoding: search options, and rows per batch.
        max_new_tokens: longest target in tokens, EOS counted.
        advance: called with the number of finished rows after every batch.
        unknown: unknown words of every source that ids beyond the vocabulary stand for; None if there are none.
    """
    searcher = Searcher(model, as_search(decoding), max_new_tokens, tokenizer=tokenizers.target)
    found = [
        outputs[0].ids if outputs else []
        for outputs in generate_hypotheses(searcher, sources, tokenizers.source, advance)
    ]
    return texts_of(found, tokenizers, unknown)


def as_search(decoding: Decoding) -> Search:
    """The search options for the few settings of a run."""
    return decoding if isinstance(decoding, Search) else Search(**vars(decoding))


def texts_of(ids: Sequence[list[int]], tokenizers: Tokenizers, unknown: Sequence[Words] | None = None) -> list[str]:
    """The texts of outputs; `unknown` as for `generate_texts`."""
    if unknown is None:  # for no ids `batch_decode` returns one text
        return tokenizers.target.batch_decode(list(ids), skip_special_tokens=True) if ids else []
    return [spell(*pair, tokenizers.target) for pair in zip(ids, unknown, strict=True)]


def generate_hypotheses(
    searcher: Searcher,
    sources: Ragged,
    tokenizer: "PreTrainedTokenizerBase",
    advance: Advance | None = None,
    numbers: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Outputs of every source, in order, best first.

    Args:
        searcher: the model, which is put in evaluation mode while it generates, and the search options.
        sources: ids of every source, special tokens included.
        tokenizer: the tokenizer that encoded them.
        advance: called with the number of finished rows after every batch.
        numbers: indices of the sources in a longer input, which seed the sampling of each row; None counts from 0.
    """
    found: list[list[Hypothesis]] = [[] for _ in range(len(sources))]
    model, pad = searcher.model, tokenizer.pad_token_id or 0
    longest = int(sources.lengths.max(initial=0)) + searcher.max_new_tokens
    with evaluating(model), quick_float32(longest) if model.device.type == "cpu" else nullcontext():
        # Longest first: a batch that does not fit in memory fails immediately.
        for rows in reversed(batches(sources.lengths, searcher.search)):
            known = [int(row) if numbers is None else numbers[row] for row in rows]
            outputs = searcher(batch_of(model, sources, rows, pad), known)
            for row, hypotheses in zip(rows, outputs, strict=True):
                found[row] = hypotheses
            if advance:
                advance(len(rows))
    return found


def batches(lengths: np.ndarray, search: Search) -> list[np.ndarray]:
    """All rows once, in batches of similar lengths, from short to long."""
    if search.max_tokens_per_batch is None:
        return ordered_batches(lengths[:, None], search.per_device_eval_batch_size)
    order = length_order(lengths[:, None])
    rows = max(search.num_beams, search.num_return_sequences)
    boundaries = cut(lengths[order, None] * rows, len(order), search.max_tokens_per_batch)
    return [order[start:end] for start, end in pairwise(boundaries)]


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Context manager that puts a model in evaluation mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
