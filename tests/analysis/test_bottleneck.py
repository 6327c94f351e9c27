"""Bits through a context: a source of 2^k equally likely strings has k, and few numbers pass no more than they hold."""

import itertools

import pytest
import torch

from hf_seq2seq.analysis.bottleneck import Fitting, Narrow, Sizes, bits_per_row, fit, padded, rounded

STRINGS = padded([list(letters) for letters in itertools.product((3, 4), repeat=4)])  # 16: 4 bits


def measured(width: int, bits: int, steps: int = 100) -> float:
    """I(X;c) of equally likely strings in bits: the entropy, which is known, minus a decoder's cross-entropy."""
    torch.manual_seed(1)
    model = Narrow(Sizes(5, 5, width, 24))
    fit(model, STRINGS, STRINGS, Fitting(steps, rate=2e-2))
    model.bits = bits
    codes = model.code(STRINGS)
    reader = Narrow(Sizes(5, 5, width, 24))
    reader.load_state_dict(model.state_dict())
    fit(reader, STRINGS, STRINGS, Fitting(steps // 2, rate=2e-2), codes)
    return 4 - bits_per_row(reader, STRINGS, STRINGS, codes)


def test_all_bits_of_equally_likely_strings_pass_a_wide_context() -> None:
    assert measured(8, 32) == pytest.approx(4, abs=0.05)


def test_few_numbers_of_few_bits_pass_no_more_than_they_hold() -> None:
    assert 1 < measured(1, 2) <= 2 + 1e-6


def test_rounding() -> None:
    values = torch.linspace(-1, 1, 101)
    assert rounded(values, 2).unique().tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    assert len(rounded(values, 4).unique()) == 16
    assert (rounded(values, 4) - values).abs().max() <= 1 / 15 + 1e-6
    assert rounded(values, 32) is values


def test_a_code_in_place_of_the_source_is_all_that_is_read() -> None:
    torch.manual_seed(1)
    model = Narrow(Sizes(5, 5, 3, 8)).eval()
    codes = model.code(STRINGS)
    assert codes.shape == (16, 3)
    torch.testing.assert_close(model.nats(STRINGS, STRINGS, codes), model.nats(STRINGS, STRINGS))
    torch.testing.assert_close(model.nats(STRINGS.flip(0), STRINGS, codes), model.nats(STRINGS, STRINGS))
    assert model.write(STRINGS, 6, codes) == model.write(STRINGS, 6)
