import math

import pytest

from hf_seq2seq.metrics.language_modelling import bits_per_byte, perplexity


def test_a_uniform_model_of_eight_tokens() -> None:
    total = 10 * math.log(8)
    assert perplexity(total, 10) == pytest.approx(8)
    # Ten tokens of three bits each, over "aé" and "b": four bytes.
    assert bits_per_byte(total, ["aé", "b"]) == pytest.approx(30 / 4)


def test_a_hopeless_model() -> None:
    assert perplexity(1e6, 1) == math.inf
