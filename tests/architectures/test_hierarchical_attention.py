"""Hierarchical attention against its formula, written out in plain loops in float64."""

import math
from dataclasses import replace

import pytest
import torch

from hf_seq2seq.architectures.attention_kinds import build_attention
from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.hierarchical_attention import softmax_within
from hf_seq2seq.architectures.pooling import Segments

WIDTH, TARGET, SENTENCES = 4, 3, 3
INDEX = torch.tensor([[0, 0, 1, 1, 1, 2], [3, 0, 3, 0, 1, 3]])  # 3 is padding; the second row has two sentences


@pytest.fixture(params=["dot", "general", "additive", "multi_head"])
def case(request):
    heads = 2 if request.param == "multi_head" else 1
    config = RnnSeq2SeqConfig(
        vocab_size=9, hidden_size=WIDTH, attention=request.param, num_attention_heads=heads,
        hierarchical_attention=True, sentence_separator_token_id=5,
    )  # fmt: skip
    attention = build_attention(config).double()
    queries = torch.randn(2, TARGET, WIDTH, dtype=torch.float64, requires_grad=True)
    values = torch.randn(2, 6, WIDTH, dtype=torch.float64, requires_grad=True)
    sentences = torch.randn(2, SENTENCES, WIDTH, dtype=torch.float64, requires_grad=True)
    return attention, queries, values, sentences


def attend(attention, queries, values, sentences):
    memory = attention.remember(values, (INDEX != SENTENCES).long())
    return attention(queries, replace(memory, sentences=(sentences, Segments(INDEX, SENTENCES))), {})


def test_equals_the_formula(case):
    attention, queries, values, sentences = case
    kept = []  # the words' scores
    attention.alignment.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    contexts, weights, _ = attend(*case)
    scores = kept[0] if kept[0].dim() == 4 else kept[0][:, None]
    matrix = attention.alignment.query_projection.weight
    for row in range(2):
        for head in range(scores.shape[1]):
            for step in range(TARGET):
                asked = (matrix @ queries[row, step]).tolist()
                words = {s: [j for j in range(6) if INDEX[row, j] == s] for s in range(SENTENCES)}
                power = {
                    s: math.exp(sum(a * b for a, b in zip(asked, sentences[row, s].tolist(), strict=True)))
                    for s in words
                    if words[s]
                }
                expected = [0.0] * 6
                for s in power:
                    within = {j: math.exp(scores[row, head, step, j].item()) for j in words[s]}
                    for j in words[s]:
                        expected[j] = power[s] / sum(power.values()) * within[j] / sum(within.values())
                assert weights[row, head, step].tolist() == pytest.approx(expected, abs=1e-12)
                assert sum(expected) == pytest.approx(1)
    if scores.shape[1] == 1:
        torch.testing.assert_close(contexts, weights[:, 0] @ values)


def test_gradient(case):
    attention, *inputs = case
    assert torch.autograd.gradcheck(lambda *given: attend(attention, *given)[:2], inputs)


def test_softmax_of_far_apart_segments_does_not_vanish():
    scores, index = torch.tensor([[800.0, 801.0, -800.0, -801.0]]), torch.tensor([[0, 0, 1, 1]])
    expected = torch.tensor([0.0, 1.0]).softmax(0).tolist()
    assert softmax_within(scores, index, 2)[0].tolist() == pytest.approx([*expected, *reversed(expected)])
