"""A search as a sequence of steps, so that several searches can share the passes of one model."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from hf_seq2seq.decoding.decoder import Decoder
from hf_seq2seq.decoding.hypothesis import Hypothesis


@dataclass(frozen=True)
class Step:
    """What a search wants a model to read next.

    Attributes:
        rows: the current row that each new row continues; the rows of a source are adjacent.
        sources: the current sources that remain; None if all do, with as many rows as before.
        tokens: the token that each new row reads, `(rows,)`.
    """

    rows: Tensor
    sources: Tensor | None
    tokens: Tensor


@dataclass(frozen=True)
class Prediction:
    """What a model answers.

    Attributes:
        logits: of the next token, `(rows, vocabulary)` float32; of the first token, one row per source.
        attention: of the last token on the source, `(rows, source)`, -1 at padding; None unless requested.
    """

    logits: Tensor
    attention: Tensor | None = None


Steps = Generator[Step, Prediction, list[list[Hypothesis]]]
"""A search that has the prediction of the first token.

It yields steps, is sent what the model predicts after each, and returns the outputs of every source, best first.
"""


def proceed(steps: Steps, prediction: Prediction | None = None) -> Step | list[list[Hypothesis]]:
    """Sends a search the prediction that it asked for, none at first; returns its next step, or its outputs."""
    try:
        return next(steps) if prediction is None else steps.send(prediction)
    except StopIteration as end:
        found: list[list[Hypothesis]] = end.value
        return found


@torch.inference_mode()
def alone(decoder: Decoder, search: Callable[[Prediction], Steps]) -> list[list[Hypothesis]]:
    """Runs a search, given what it makes of the first prediction, that has a decoder to itself."""
    steps = search(Prediction(decoder.start(), decoder.attention))
    found = proceed(steps)
    while isinstance(found, Step):
        decoder.keep(found.rows, found.sources)
        found = proceed(steps, Prediction(decoder.step(found.tokens), decoder.attention))
    return found
