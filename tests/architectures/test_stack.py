"""Skip connections, normalisation and dropout in the stacks, against loops over layers and steps."""

import pytest
import torch
from torch import nn

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.decoder_styles import build_style
from hf_seq2seq.architectures.encoders import RnnEncoder
from hf_seq2seq.architectures.stack import LayerOutput

SIZES = {"vocab_size": 9, "hidden_size": 6, "encoder_layers": 3, "decoder_layers": 3, "dropout": 0.0}
STACK = {"residual": True, "layer_norm": True}
STYLES = [
    {"attention": "none"},
    {"attention": "general"},
    {"attention": "general", "input_feeding": True},
    {"attention": "general", "decoder_style": "bahdanau", "cell": "gru"},
]


def randomised(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module.double()


def decoder(**choices):
    """A style of its own, and what it reads."""
    config = RnnSeq2SeqConfig(**SIZES | choices)
    style = randomised(build_style(config)).eval()
    parts = 2 if config.cell == "lstm" else 1
    states = [tuple(torch.randn(2, 6).double() for _ in range(parts)) for _ in range(3)]
    memory = style.attention.remember(torch.randn(2, 5, 6).double(), None) if hasattr(style, "attention") else None
    return style, torch.randn(4, 2, 6).double(), states, memory


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("depth", [0, 1])
def test_layer_output_equals_the_formula(residual, layer_norm, depth):
    join = randomised(LayerOutput(RnnSeq2SeqConfig(**SIZES, residual=residual, layer_norm=layer_norm), 6, depth))
    output, below = torch.randn(6).double(), torch.randn(6).double()
    expected = [o + b if residual and depth else o for o, b in zip(output.tolist(), below.tolist(), strict=True)]
    if layer_norm:
        mean = sum(expected) / 6
        deviation = (sum((x - mean) ** 2 for x in expected) / 6 + 1e-5) ** 0.5
        gain, bias = join.norm.weight.tolist(), join.norm.bias.tolist()
        expected = [(x - mean) / deviation * g + b for x, g, b in zip(expected, gain, bias, strict=True)]
    assert join(output, below).tolist() == pytest.approx(expected, abs=1e-12)


def test_encoder_joins_every_layer():
    encoder = randomised(RnnEncoder(RnnSeq2SeqConfig(**SIZES, **STACK))).eval()
    found = encoder(torch.randint(9, (2, 5)), output_hidden_states=True).hidden_states
    hidden = found[0].transpose(0, 1)
    for depth, layer in enumerate(encoder.layers):
        backward = layer.right_to_left(hidden.flip(0))[0].flip(0)
        raw = torch.cat([layer.left_to_right(hidden)[0], backward], -1)
        hidden = layer.after.norm(raw + hidden if depth else raw)
        torch.testing.assert_close(found[depth + 1].transpose(0, 1), hidden)


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_decoder_joins_every_layer(style):
    """What each layer gives follows from what the layer below gave, whether it ran at once or step by step."""
    style, embedded, states, memory = decoder(**style, **STACK)
    found = style(embedded, states, memory, None)
    layers = found.layers
    for depth in (1, 2):
        raw, _ = style.layers[depth](layers[depth - 1], states[depth])
        torch.testing.assert_close(layers[depth], style.after[depth].norm(raw + layers[depth - 1]))
    norm = style.after[0].norm  # the first layer's output is normalised too, and the last one's is what attention asks
    centred = ((layers[0] - norm.bias) / norm.weight).mean(-1)
    torch.testing.assert_close(centred, torch.zeros_like(centred))
    if type(style).__name__ in ("LuongDecoder", "InputFeedingDecoder"):
        context, *_ = style.attention(layers[-1].transpose(0, 1), memory, style.attention.start(memory))
        expected = torch.tanh(style.combine(torch.cat([context.transpose(0, 1), layers[-1]], -1)))
        torch.testing.assert_close(found.outputs, expected)


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_decoder_drops_the_state_alike_at_every_step(style):
    """With everything but the recurrent connection cut, a unit that was dropped moves nothing at any step."""
    style, embedded, states, memory = decoder(**style, recurrent_dropout=0.5)
    masks = []
    style.recurrent_dropout.register_forward_hook(lambda _, __, mask: masks.append(mask))
    found = style.train()(embedded, states, memory, None)
    assert [mask.unique().tolist() for mask in masks] == [[0, 2]] * 3
    for depth in (1, 2):
        expected, end = style.layers[depth](found.layers[depth - 1], states[depth], kept=masks[depth])
        torch.testing.assert_close(found.layers[depth], expected)
        torch.testing.assert_close(found.states[depth], end)
    assert not torch.allclose(style.eval()(embedded, states, memory, None).layers[0], found.layers[0])


def test_encoder_drops_the_state_of_each_direction():
    encoder = randomised(RnnEncoder(RnnSeq2SeqConfig(**SIZES, recurrent_dropout=0.5, decoder_start="transfer")))
    ids, mask = torch.randint(9, (2, 5)), torch.tensor([[1, 1, 1, 1, 1], [0, 1, 1, 0, 1]])
    layer, masks = encoder.train().layers[0], []
    layer.recurrent_dropout.register_forward_hook(lambda _, __, mask: masks.append(mask))
    found = encoder(ids, mask, output_hidden_states=True)
    forward, backward = masks
    assert not torch.equal(forward, backward)
    hidden = found.hidden_states[0][1:, mask[1] != 0].transpose(0, 1)
    left, left_end = layer.left_to_right(hidden, kept=forward[1:])
    right, right_end = layer.right_to_left(hidden.flip(0), kept=backward[1:])
    torch.testing.assert_close(found.hidden_states[1][1, mask[1] != 0], torch.cat([left, right.flip(0)], -1)[:, 0])
    ends = [torch.cat(pair, -1)[0] for pair in zip(left_end, right_end, strict=True)]
    torch.testing.assert_close(found.final_state[1, 0], torch.stack(ends))


def test_each_dropout_has_its_own_probability(build):
    model = build(dropout=0.3, embedding_dropout=0.0, output_dropout=0.6, recurrent_dropout=0.1, encoder_layers=2)
    encoder, decoder = model.model.encoder, model.model.decoder
    assert encoder.embedding_dropout.p == decoder.embedding_dropout.p == 0
    assert decoder.output_dropout.p == 0.6
    assert [layer.dropout.p for layer in encoder.layers] == [0, 0.3]
    assert decoder.style.dropout.p == 0.3
    assert decoder.style.recurrent_dropout.p == encoder.layers[0].recurrent_dropout.p == 0.1
    assert build(dropout=0.3).model.decoder.output_dropout.p == 0.3
