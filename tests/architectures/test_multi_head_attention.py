import math

import pytest
import torch
from torch import nn

from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.multi_head_attention import CrossAttention, SelfAttention
from hf_seq2seq.architectures.positions import rotation

MASK = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 0, 1]]).bool()


def settings(implementation: str = "eager") -> TransformerSeq2SeqConfig:
    return TransformerSeq2SeqConfig(d_model=12, attn_implementation=implementation, encoder_attention_heads=3,
                                    decoder_attention_heads=3)  # fmt: skip


def by_loops(module, queries, memory, visible):
    """Equation 1 and section 3.2.2 of the paper, number by number. `visible[b][q][k]`."""
    maps = {name: getattr(module, name) for name in ("q_proj", "k_proj", "v_proj")}
    q, k, v = maps["q_proj"](queries), maps["k_proj"](memory), maps["v_proj"](memory)
    width, outputs, alignment = 4, torch.zeros_like(q), torch.zeros(*q.shape[:1], 3, q.shape[1], k.shape[1]).to(q)
    for b in range(q.shape[0]):
        for head in range(3):
            part = slice(head * width, (head + 1) * width)
            for i in range(q.shape[1]):
                seen = [j for j in range(k.shape[1]) if visible[b][i][j]]
                scores = {j: math.exp(float(q[b, i, part] @ k[b, j, part]) / math.sqrt(width)) for j in seen}
                for j in seen:
                    alignment[b, head, i, j] = scores[j] / sum(scores.values())
                    outputs[b, i, part] += alignment[b, head, i, j] * v[b, j, part]
    return module.out_proj(outputs), alignment


@torch.no_grad()
def test_self_attention_is_the_papers():
    module = SelfAttention(settings(), 3, is_causal=True).double()
    hidden = torch.randn(3, 5, 12).double()
    visible = MASK[:, None, :] & torch.ones(5, 5).tril().bool()
    visible[2, 0, 0] = True  # a query must see something
    mask = torch.zeros(3, 1, 5, 5).double().masked_fill(~visible[:, None], torch.finfo(torch.float64).min)
    found, weights = module(hidden, mask)
    expected, alignment = by_loops(module, hidden, hidden, visible)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(weights, alignment)


@torch.no_grad()
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_cross_attention_is_the_papers(implementation):
    module = CrossAttention(settings(implementation), 3).double()
    hidden, memory = torch.randn(3, 2, 12).double(), torch.randn(3, 5, 12).double()
    visible = MASK[:, None, :].expand(3, 2, 5)
    mask = visible[:, None]
    if implementation == "eager":
        mask = torch.zeros(3, 1, 2, 5).double().masked_fill(~mask, torch.finfo(torch.float64).min)
    found, weights = module(hidden, memory, mask)
    expected, alignment = by_loops(module, hidden, memory, visible)
    torch.testing.assert_close(found, expected)
    if implementation == "eager":
        torch.testing.assert_close(weights, alignment)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_equals_pytorchs(implementation):
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    ours = CrossAttention(settings(implementation), 3)
    with torch.no_grad():
        for name, weight, bias in zip(
            ("q_proj", "k_proj", "v_proj"), theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True
        ):
            getattr(ours, name).weight.copy_(weight)
            getattr(ours, name).bias.copy_(bias)
        ours.out_proj.load_state_dict(theirs.out_proj.state_dict())
    hidden, memory = torch.randn(3, 2, 12), torch.randn(3, 5, 12)
    expected, weights = theirs(hidden, memory, memory, average_attn_weights=False)
    found, ours_weights = ours(hidden, memory, None)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    if implementation == "eager":
        torch.testing.assert_close(ours_weights, weights, atol=1e-5, rtol=0)


def test_rotation_tells_distances_alone():
    module = SelfAttention(settings(), 3).double()
    hidden = torch.randn(2, 5, 12).double()
    plain, _ = module(hidden, None)
    near, far = (
        module(hidden, None, rotation(torch.arange(5)[None] + start, 4, torch.float64))[0] for start in (0, 50)
    )
    torch.testing.assert_close(far, near, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(near, plain, atol=1e-3)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_gradient(implementation):
    module = SelfAttention(settings(implementation), 3).double()
    hidden = torch.randn(1, 3, 12).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: module(x, None)[0], (hidden,))


def test_dropout_falls_on_weights():
    config = settings()
    config.attention_dropout = 0.5
    module = SelfAttention(config, 3)
    _, weights = module(torch.randn(8, 10, 12), None)
    assert 0.4 < (weights == 0).float().mean() < 0.6
    assert not (module.eval()(torch.randn(8, 10, 12), None)[1] == 0).any()
