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


STOP, END = 5, 6  # of a sentence, of a document
TOKENS = [[7, STOP, 8, 9, END, 7, 7, STOP, 8, STOP, 9, END], [9, 8, STOP, 7]]
DOCUMENTS = [[[[0, 1], [2, 3, 4]], [[5, 6, 7], [8, 9], [10, 11]]], [[[0, 1, 2], [3]]]]
"""Documents of sentences of positions, by hand."""


def with_documents(attention):
    from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration

    config = RnnSeq2SeqConfig(
        vocab_size=10, hidden_size=8, attention=attention, hierarchical_attention=True,
        sentence_separator_token_id=STOP, document_separator_token_id=END, dropout=0.0,
    )  # fmt: skip
    return RnnForConditionalGeneration(config).double().eval()


@pytest.mark.parametrize("attention", ["dot", "additive"])
def test_three_levels_by_enumeration(attention):
    """delta_d beta_s gamma_j, each a softmax over what lies in one unit of the level above; they sum to 1."""
    model, length = with_documents(attention), len(TOKENS[0])
    ids = torch.tensor([row + [END] * (length - len(row)) for row in TOKENS])  # padding looks like a separator
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in TOKENS])
    alignment, kept = model.model.decoder.style.attention.alignment, []
    torch.nn.init.normal_(alignment.query_projection.weight)
    torch.nn.init.normal_(alignment.document_projection.weight)
    alignment.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[:2]))
    found = model(
        input_ids=ids, attention_mask=mask, decoder_input_ids=torch.tensor([[3, 7]] * 2), output_attentions=True
    ).cross_attentions[0][:, 0]
    encoded = model.model.encoder(ids, mask)
    ((scores, queries),) = kept
    for row, documents in enumerate(DOCUMENTS):
        for step in range(2):
            query, expected, first = queries[row, step], [0.0] * length, 0
            asked = alignment.document_projection(query)
            outer = [math.exp(asked @ encoded.documents[row, number]) for number in range(len(documents))]
            for number, sentences in enumerate(documents):
                asked = alignment.query_projection(query)
                middle = [math.exp(asked @ encoded.sentences[row, first + each]) for each in range(len(sentences))]
                first += len(sentences)
                for each, words in enumerate(sentences):
                    inner = [math.exp(scores[row, step, word]) for word in words]
                    for word, power in zip(words, inner, strict=True):
                        expected[word] = outer[number] / sum(outer) * middle[each] / sum(middle) * power / sum(inner)
            assert found[row, step].tolist() == pytest.approx(expected, abs=1e-12)
            assert sum(expected) == pytest.approx(1)


def test_documents_need_sentences():
    with pytest.raises(ValueError, match="documents consist of sentences; set sentence_separator_token_id"):
        RnnSeq2SeqConfig(vocab_size=10, document_separator_token_id=END)
