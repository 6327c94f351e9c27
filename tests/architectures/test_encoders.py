"""The encoder against `torch.nn` with the same weights, and against its own results without padding."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.encoders import RnnEncoder

LENGTHS = [5, 3, 1]


@pytest.fixture(params=["lstm", "gru", "rnn"])
def encoder(request):
    config = RnnSeq2SeqConfig(
        vocab_size=9, hidden_size=8, encoder_layers=2, decoder_layers=2, cell=request.param, decoder_start="transfer"
    )
    return RnnEncoder(config).double().eval()


@pytest.fixture
def source():
    mask = torch.tensor([[int(place < length) for place in range(5)] for length in LENGTHS])
    return torch.randint(1, 9, (3, 5)), mask


def stacked(encoder):
    """One bidirectional torch layer stack that holds the encoder's weights."""
    kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[encoder.config.cell]
    whole = kind(8, 4, num_layers=2, bidirectional=True).double()
    for depth, layer in enumerate(encoder.layers):
        for direction, suffix in ((layer.left_to_right, ""), (layer.right_to_left, "_reverse")):
            for name, value in direction.named_parameters():
                getattr(whole, name.replace("_l0", f"_l{depth}{suffix}")).data.copy_(value.data)
    return whole


def test_equals_a_packed_bidirectional_stack(encoder, source):
    ids, mask = source
    packed = pack_padded_sequence(encoder.embed_tokens(ids), torch.tensor(LENGTHS), batch_first=True)
    outputs, state = stacked(encoder)(packed)
    found = encoder(ids, mask)
    torch.testing.assert_close(found.last_hidden_state, pad_packed_sequence(outputs, batch_first=True)[0])
    parts = state if isinstance(state, tuple) else (state,)
    expected = torch.stack([part.view(2, 2, 3, 4).permute(2, 0, 1, 3).flatten(2) for part in parts], 2)
    torch.testing.assert_close(found.final_state, expected)


@pytest.mark.parametrize("places", [[2, 3, 4], [0, 1, 2], [0, 2, 4]], ids=["left", "right", "within"])
def test_padding_anywhere_changes_nothing(encoder, source, places):
    ids, _ = source
    mask = torch.zeros(2, 5, dtype=torch.long)
    mask[0], mask[1, places] = 1, 1
    padded = torch.full((2, 5), 7)
    padded[0], padded[1, places] = ids[0], ids[1, :3]
    found, alone = encoder(padded, mask), encoder(ids[1:2, :3])
    torch.testing.assert_close(found.last_hidden_state[1, places], alone.last_hidden_state[0])
    torch.testing.assert_close(found.final_state[1], alone.final_state[0])
    assert not found.last_hidden_state[1][mask[1] == 0].any()


def test_outputs_do_not_need_the_final_state(encoder, source):
    expected = encoder(*source).last_hidden_state
    encoder.config.decoder_start = "bridge"
    found = encoder(*source)
    assert found.final_state is None
    torch.testing.assert_close(found.last_hidden_state, expected)


def test_hidden_states_are_embeddings_and_layers(encoder, source):
    found = encoder(*source, output_hidden_states=True)
    assert [tuple(layer.shape) for layer in found.hidden_states] == [(3, 5, 8)] * 3
    assert torch.equal(found.hidden_states[-1], found.last_hidden_state)


def test_one_direction():
    config = RnnSeq2SeqConfig(vocab_size=9, hidden_size=8, bidirectional=False)
    encoder = RnnEncoder(config).eval()
    ids = torch.randint(9, (2, 4))
    expected, _ = encoder.layers[0].left_to_right(encoder.embed_tokens(ids).transpose(0, 1))
    torch.testing.assert_close(encoder(ids).last_hidden_state, expected.transpose(0, 1))


def test_wants_ids_or_embeddings_not_both(encoder, source):
    embedded = encoder.embed_tokens(source[0])
    torch.testing.assert_close(
        encoder(inputs_embeds=embedded, attention_mask=source[1]).last_hidden_state, encoder(*source).last_hidden_state
    )
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        encoder(source[0], inputs_embeds=embedded)


def test_dropout_lies_on_embeddings_and_between_layers(encoder, source):
    encoder.train().embedding_dropout.p = 0.5
    states = [encoder(*source, output_hidden_states=True).hidden_states for _ in range(2)]
    assert torch.equal(states[0][0], states[1][0])
    assert not torch.allclose(states[0][1], states[1][1])
    encoder.embedding_dropout.p = 0.0
    encoder.layers[1].dropout.p = 0.5
    found = encoder(*source, output_hidden_states=True).hidden_states
    expected = encoder.eval()(*source, output_hidden_states=True).hidden_states
    torch.testing.assert_close(found[1], expected[1])
    assert not torch.allclose(found[2], expected[2])


def test_dropout_on_the_outputs_lies_on_nothing_else(source):
    ids, mask = source
    config = RnnSeq2SeqConfig(vocab_size=9, hidden_size=64, dropout=0.0, encoder_output_dropout=0.25)
    encoder = RnnEncoder(config)
    dropped, clean = (encoder.train(training)(ids, mask, output_hidden_states=True) for training in (True, False))
    assert torch.equal(dropped.hidden_states[-1], clean.last_hidden_state)
    real = mask == 1
    kept = dropped.last_hidden_state[real] != 0
    assert 0.65 < kept.float().mean() < 0.85
    torch.testing.assert_close(dropped.last_hidden_state[real][kept], clean.last_hidden_state[real][kept] / 0.75)
