import pytest
import torch

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.encoders import RnnEncoderOutput
from hf_seq2seq.architectures.starts import STARTS


def test_bridge_equals_the_formula():
    config = RnnSeq2SeqConfig(vocab_size=9, hidden_size=6, decoder_layers=2)
    start, context = STARTS["bridge"](config), torch.randn(3, 6)
    found = start(RnnEncoderOutput(last_hidden_state=torch.randn(3, 4, 6)), context)
    expected = torch.tanh(context @ start.projection.weight.T + start.projection.bias)
    assert found.shape == (3, 2, 2, 6)
    torch.testing.assert_close(found.flatten(1), expected)


def test_zeros_and_transfer():
    config = RnnSeq2SeqConfig(vocab_size=9, hidden_size=6, cell="gru")
    outputs, final = torch.randn(3, 4, 6), torch.randn(3, 1, 1, 6)
    encoded = RnnEncoderOutput(last_hidden_state=outputs, final_state=final)
    assert torch.equal(STARTS["zeros"](config)(encoded, None), torch.zeros(3, 1, 1, 6))
    assert torch.equal(STARTS["transfer"](config)(encoded, None), final)
    with pytest.raises(ValueError, match="final_state"):
        STARTS["transfer"](config)(RnnEncoderOutput(last_hidden_state=outputs), None)
