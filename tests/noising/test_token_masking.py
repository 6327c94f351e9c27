import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.token_masking import TokenMasking
from hf_seq2seq.ragged import Ragged


def test_masking(split, rng, mask: int) -> None:
    found = TokenMasking(mask)(split.tokens, rng)
    assert found.target is split.tokens
    masked = found.source.values == mask
    assert np.array_equal(np.where(masked, found.target.values, found.source.values), split.tokens.values)
    for row, length in enumerate(split.tokens.lengths.tolist()):
        assert (found.source[row] == mask).sum() == min(max(round(0.15 * length), 1), length)


def test_masking_in_berts_style(rng, mask: int) -> None:
    tokens = Ragged(np.full(200_000, 7, dtype=np.int32), np.array([0, 100_000, 200_000]))
    values = TokenMasking(mask, random_share=0.1, ordinary=(20, 21))(tokens, rng).source.values
    assert set(values.tolist()) == {7, mask, 20, 21}
    assert (values != 7).sum() == 30_000
    assert abs((values == 20).sum() - 1_500) < 5 * 1_500**0.5
    assert abs((values == 21).sum() - 1_500) < 5 * 1_500**0.5
    with pytest.raises(InputError, match="no ids to draw them from"):
        TokenMasking(mask, random_share=0.1)
