import numpy as np

from hf_seq2seq.noising.document_rotation import DocumentRotation


def test_rotation(split, rng, by_place, lists) -> None:
    for source, row in zip(
        lists(DocumentRotation()(by_place(split.tokens), rng).source), lists(by_place(split.tokens)), strict=True
    ):
        shift = row.index(source[0]) if row else 0
        assert source == row[shift:] + row[:shift]


def test_every_rotation_is_equally_likely(rng, equal_rows) -> None:
    first = DocumentRotation()(equal_rows(30_000, 5), rng).source.values[::5]
    assert abs(np.bincount(first) - 6_000).max() < 5 * 6_000**0.5
