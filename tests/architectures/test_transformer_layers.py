"""Layers against PyTorch's own with the same weights, and against the papers' formulas."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.feed_forward import FeedForward
from hf_seq2seq.architectures.transformer_layers import AddNorm, TransformerDecoderLayer, TransformerEncoderLayer

PADDED = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1], [1, 0, 0, 0, 1]]).bool()


def settings(**choices) -> TransformerSeq2SeqConfig:
    return TransformerSeq2SeqConfig(
        d_model=16, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=24, decoder_ffn_dim=24,
        attn_implementation="sdpa", **choices,
    )  # fmt: skip


@torch.no_grad()
def copy_attention(ours, theirs):
    names = ("q_proj", "k_proj", "v_proj")
    for name, weight, bias in zip(names, theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True):
        getattr(ours, name).weight.copy_(weight)
        getattr(ours, name).bias.copy_(bias)
    ours.out_proj.load_state_dict(theirs.out_proj.state_dict())


def copy_layer(ours, theirs):
    """Takes over every weight of PyTorch's layer, after shuffling its norms, which all start alike."""
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    copy_attention(ours.self_attn, theirs.self_attn)
    pairs = [(ours.self_attn_residual.norm, theirs.norm1), (ours.feed_forward.fc1, theirs.linear1)]
    pairs.append((ours.feed_forward.fc2, theirs.linear2))
    if hasattr(theirs, "multihead_attn"):
        copy_attention(ours.cross_attn, theirs.multihead_attn)
        pairs += [(ours.cross_attn_residual.norm, theirs.norm2), (ours.feed_forward_residual.norm, theirs.norm3)]
    else:
        pairs.append((ours.feed_forward_residual.norm, theirs.norm2))
    for mine, other in pairs:
        mine.load_state_dict(other.state_dict())


@pytest.mark.parametrize("placement", ["post", "pre"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer_equals_pytorchs(placement, activation):
    ours = TransformerEncoderLayer(settings(norm_placement=placement, activation_function=activation)).eval()
    theirs = nn.TransformerEncoderLayer(16, 4, 24, activation=activation, batch_first=True,
                                        norm_first=placement == "pre").train()  # fmt: skip
    theirs.dropout.p = theirs.dropout1.p = theirs.dropout2.p = theirs.self_attn.dropout = 0.0
    copy_layer(ours, theirs)
    hidden = torch.randn(3, 5, 16)
    expected = theirs(hidden, src_key_padding_mask=PADDED)
    found, _ = ours(hidden, ~PADDED[:, None, None, :].expand(3, 1, 5, 5))
    torch.testing.assert_close(found[~PADDED], expected[~PADDED], atol=1e-5, rtol=0)


@pytest.mark.parametrize("placement", ["post", "pre"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_decoder_layer_equals_pytorchs(placement, activation):
    ours = TransformerDecoderLayer(settings(norm_placement=placement, activation_function=activation), 0).eval()
    theirs = nn.TransformerDecoderLayer(16, 4, 24, activation=activation, batch_first=True,
                                        norm_first=placement == "pre").eval()  # fmt: skip
    copy_layer(ours, theirs)
    hidden, memory = torch.randn(3, 4, 16), torch.randn(3, 5, 16)
    causal = nn.Transformer.generate_square_subsequent_mask(4)
    expected = theirs(hidden, memory, tgt_mask=causal, memory_key_padding_mask=PADDED)
    found, _, _ = ours(hidden, None, memory, ~PADDED[:, None, None, :].expand(3, 1, 4, 5))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_deepnet_weights_what_it_adds_to():
    residual = AddNorm(settings(dropout=0), residual=2.5)
    hidden, update = torch.randn(2, 3, 16), torch.randn(2, 3, 16)
    assert residual.before(hidden) is hidden
    torch.testing.assert_close(residual.after(hidden, update), F.layer_norm(2.5 * hidden + update, (16,)))


def test_without_norm_there_is_only_the_sum():
    residual = AddNorm(settings(dropout=0, norm_placement="none", initialization="tfixup"))
    assert not list(residual.parameters())
    hidden, update = torch.randn(2, 3, 16), torch.randn(2, 3, 16)
    torch.testing.assert_close(residual.after(residual.before(hidden), update), hidden + update)


@torch.no_grad()
@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
def test_feed_forward_is_the_papers(activation):
    module = FeedForward(4, 6, activation, 0.0).double()
    found = module(torch.linspace(-2, 2, 8).double().view(1, 2, 4))
    for place, x in enumerate(torch.linspace(-2, 2, 8).double().view(2, 4)):
        inner = []
        for row in range(6):
            z = sum(module.fc1.weight[row, i] * x[i] for i in range(4)) + module.fc1.bias[row]
            if activation == "relu":
                inner.append(max(z, torch.zeros(())))
            elif activation == "gelu":
                inner.append(z * 0.5 * (1 + torch.erf(z / 2**0.5)))
            else:
                gate = sum(module.gate.weight[row, i] * x[i] for i in range(4)) + module.gate.bias[row]
                inner.append(z / (1 + torch.exp(-z)) * gate)
        for out in range(4):
            expected = sum(module.fc2.weight[out, row] * inner[row] for row in range(6)) + module.fc2.bias[out]
            assert found[0, place, out].item() == pytest.approx(expected.item(), abs=1e-9)


def test_dropout_lies_where_it_is_named():
    module = FeedForward(4, 600, "relu", 0.5)
    read = []
    module.fc2.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    hidden = torch.randn(1, 20, 4)
    module(hidden)
    module.eval()(hidden)
    assert 0.4 < (read[0][read[1] > 0] == 0).float().mean() < 0.6
    dropping = settings(activation_dropout=0.25)
    assert TransformerEncoderLayer(dropping).feed_forward.dropout.p == 0.25
    assert TransformerDecoderLayer(dropping, 0).feed_forward.dropout.p == 0.25
    residual = AddNorm(settings(dropout=0.5, norm_placement="pre"))
    added = residual.after(torch.zeros(5, 50, 16), torch.ones(5, 50, 16))
    assert added.unique().tolist() == [0.0, 2.0]
