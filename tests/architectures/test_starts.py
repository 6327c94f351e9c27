import pytest
import torch

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.starts import STARTS, last_states

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]])
FIRST, LAST = [0, 0, 2], [3, 1, 3]


@pytest.fixture
def outputs():
    return torch.randn(3, 4, 6)


@pytest.mark.parametrize("mask", [MASK, None], ids=["padded", "whole"])
def test_each_direction_ends_at_its_own_end(outputs, mask):
    found = last_states(outputs, mask, bidirectional=True)
    for row in range(3):
        first, last = (FIRST[row], LAST[row]) if mask is not None else (0, 3)
        assert found[row].tolist() == [*outputs[row, last, :3].tolist(), *outputs[row, first, 3:].tolist()]
        assert torch.equal(last_states(outputs, mask, bidirectional=False)[row], outputs[row, last])


def test_bridge_equals_the_formula(outputs):
    config = RnnSeq2SeqConfig(vocab_size=9, hidden_size=6, decoder_layers=2)
    start = STARTS["bridge"](config)
    found = start(outputs, MASK, None)
    context = last_states(outputs, MASK, bidirectional=True)
    expected = torch.tanh(context @ start.projection.weight.T + start.projection.bias)
    assert found.shape == (3, 2, 2, 6)
    torch.testing.assert_close(found.flatten(1), expected)


def test_zeros_and_transfer(outputs):
    config = RnnSeq2SeqConfig(vocab_size=9, hidden_size=6, cell="gru")
    assert torch.equal(STARTS["zeros"](config)(outputs, MASK, None), torch.zeros(3, 1, 1, 6))
    final = torch.randn(3, 1, 1, 6)
    assert torch.equal(STARTS["transfer"](config)(outputs, MASK, final), final)
