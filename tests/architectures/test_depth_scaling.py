"""The constants of figure 2 of Wang et al. (2022) and section 3.2 of Huang et al. (2020)."""

import pytest

from hf_seq2seq.architectures.configuration_transformer import (
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    TransformerSeq2SeqConfig,
)
from hf_seq2seq.architectures.depth_scaling import DepthScaling, depth_scaling, embedding_gain


def numbers(scaling: DepthScaling) -> tuple[float, float]:
    return scaling.residual, scaling.gain


def test_deepnet_of_two_stacks():
    config = TransformerSeq2SeqConfig(initialization="deepnet", encoder_layers=18, decoder_layers=6)
    both = 18**4 * 6
    assert numbers(depth_scaling(config, "encoder")) == pytest.approx((0.81 * both**0.0625, 0.87 * both**-0.0625))
    assert numbers(depth_scaling(config, "decoder")) == pytest.approx((18**0.25, 72**-0.25))
    assert embedding_gain(config) == 1


def test_deepnet_of_one_stack():
    encoder = TransformerEncoderConfig(initialization="deepnet", encoder_layers=50)
    assert numbers(depth_scaling(encoder, "encoder")) == pytest.approx((100**0.25, 400**-0.25))
    decoder = TransformerDecoderConfig(initialization="deepnet", decoder_layers=8)
    assert numbers(depth_scaling(decoder, "decoder")) == pytest.approx((2, 64**-0.25))


def test_tfixup():
    config = TransformerSeq2SeqConfig(
        initialization="tfixup", norm_placement="none", encoder_layers=16, decoder_layers=9
    )
    assert numbers(depth_scaling(config, "encoder")) == pytest.approx((1, 0.67 / 2))
    assert numbers(depth_scaling(config, "decoder")) == pytest.approx((1, 81**-0.25))
    assert embedding_gain(config) == pytest.approx(81**-0.25)


def test_default_changes_nothing():
    assert depth_scaling(TransformerSeq2SeqConfig(), "decoder") == DepthScaling(1, 1)
