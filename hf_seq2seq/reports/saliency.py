"""Gradients x input of the rows that a report shows."""

from collections.abc import Mapping

import numpy as np

from hf_seq2seq.analysis.records import Heat, Row
from hf_seq2seq.decoding.generation import ONE_AT_A_TIME, evaluating
from hf_seq2seq.decoding.saliency import target_saliency
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.reports.attention import legible, one_source

LONGEST = 150
"""Output tokens of a row that are looked at, each by a backward pass; the page shows no more."""


def saliency_of(
    generator: TextGenerator, shown: Mapping[int, Row], why: Mapping[int, str]
) -> tuple[list[Heat], dict[int, float]]:
    """The shares of the source's tokens in each output token, and by row that of the output's earlier tokens.

    Args:
        generator: of the outputs.
        shown: the rows by number.
        why: why each is shown.
    """
    heats, prefixes = [], {}
    for number, row in shown.items():
        ids = row["ids"][:LONGEST]
        if not ids:
            continue
        with ONE_AT_A_TIME, evaluating(generator.model):
            _, names, batch = one_source(generator, row["source"])
            source, earlier = (np.abs(part) for part in target_saliency(generator.model, batch, ids))
        written = legible(ids, row["tokens"][: len(ids)], generator.tokenizers.target)
        weights = source / np.maximum(source.sum(1, keepdims=True), 1e-12)
        prefixes[number] = float(earlier.sum() / max(1e-12, earlier.sum() + source.sum()))
        heats.append(Heat(number, why[number], names, written, weights[None, None].astype(np.float32), ""))
    return heats, prefixes
