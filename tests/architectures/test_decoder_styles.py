"""Each decoder style against its paper's recurrence, one step and one layer at a time."""

import itertools

import pytest
import torch

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.decoder_styles import build_style

TARGET, BATCH, SOURCE, EMBEDDING, HIDDEN, MEMORY = 4, 3, 5, 6, 8, 10
STYLES = {
    "plain": {"attention": "none"},
    "context": {"attention": "none", "context_feeding": True, "cell": "gru"},
    "luong": {"attention": "general"},
    "luong_additive": {"attention": "additive", "cell": "gru"},
    "input_feeding": {"attention": "general", "input_feeding": True},
    "input_feeding_gru": {"attention": "additive", "input_feeding": True, "cell": "gru"},
    "bahdanau": {"attention": "additive", "decoder_style": "bahdanau", "cell": "gru"},
    "bahdanau_lstm": {"attention": "general", "decoder_style": "bahdanau"},
    "luong_location": {"attention": "location", "location_kernel": 3, "coverage": True},
    "luong_window": {"attention": "general", "local_attention": "monotonic", "attention_window": 1},
    "input_feeding_coverage": {"attention": "additive", "coverage": True, "input_feeding": True},
    "input_feeding_context": {"attention": "general", "input_feeding": True, "input_feeding_context": True},
    "input_feeding_context_gru": {
        "attention": "additive",
        "cell": "gru",
        "input_feeding": True,
        "input_feeding_context": True,
    },
    "general_coverage": {"attention": "general", "coverage": True},
    "heads_coverage": {"attention": "multi_head", "num_attention_heads": 2, "coverage": True, "input_feeding": True},
    "input_feeding_heads": {"attention": "multi_head", "num_attention_heads": 2, "input_feeding": True},
    "bahdanau_monotonic": {"attention": "monotonic", "monotonic_noise": 0.0, "decoder_style": "bahdanau"},
    "bahdanau_window": {"attention": "general", "local_attention": "predictive", "decoder_style": "bahdanau"},
}


@pytest.fixture(params=list(STYLES))
def case(request):
    config = RnnSeq2SeqConfig(
        vocab_size=9, embedding_size=EMBEDDING, hidden_size=HIDDEN, encoder_hidden_size=MEMORY // 2, decoder_layers=2,
        **STYLES[request.param],
    )  # fmt: skip
    style = build_style(config).double().eval()
    if config.attention == "monotonic":
        style.attention.train()  # the expectation, for a hard alignment has no gradient
    if hasattr(style, "attention") and hasattr(style.attention, "coverage_weight"):
        torch.nn.init.constant_(style.attention.coverage_weight, -0.7)
    parts = 2 if config.cell == "lstm" else 1
    states = [tuple(torch.randn(BATCH, HIDDEN).double() for _ in range(parts)) for _ in range(2)]
    width = EMBEDDING + MEMORY * config.context_feeding  # the context stands beside the embedding
    embedded = torch.randn(TARGET, BATCH, width, dtype=torch.float64, requires_grad=True)
    values = torch.randn(BATCH, SOURCE, MEMORY, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 1, 0]])
    return config, style, embedded, states, values, mask


def advance(layer, inputs, state):
    """One step of a layer."""
    return layer(inputs[None], state)[1]


def by_the_paper(config, style, embedded, states, values, mask):
    """Outputs `(target, batch, hidden)` and weights `(batch, heads, target, source)`."""
    first, second = states
    fed, context = (torch.zeros(BATCH, width, dtype=torch.float64) for width in (HIDDEN, MEMORY))
    outputs, weights = [], []
    memory = style.attention.remember(values, mask) if hasattr(style, "attention") else None
    carried = style.attention.start(memory) if memory else {}

    def attend(query):
        context, weight, after = style.attention(query[:, None], memory, carried)
        carried.update(after)
        weights.append(weight)
        return context[:, 0]

    for word in embedded:
        inputs = [word]
        if config.input_feeding:
            inputs = [word, fed, context] if config.input_feeding_context else [word, fed]
        elif config.decoder_style == "bahdanau":
            inputs = [word, attend(first[0])]
        first = advance(style.layers[0], torch.cat(inputs, 1), first)
        second = advance(style.layers[1], first[0], second)
        if config.context_feeding:
            fed = torch.tanh(style.combine(torch.cat([second[0], word], 1)))
        elif config.attention == "none":
            fed = second[0]
        elif config.decoder_style == "bahdanau":
            fed = torch.tanh(style.combine(torch.cat([second[0], inputs[1], word], 1)))
        else:
            context = attend(second[0])
            fed = torch.tanh(style.combine(torch.cat([context, second[0]], 1)))
        outputs.append(fed)
    return torch.stack(outputs), torch.cat(weights, 2) if weights else None


def decode(style, embedded, states, values, mask, carried=None):
    memory = style.attention.remember(values, mask) if hasattr(style, "attention") else None
    return style(embedded, states, memory, carried)


def test_equals_the_paper(case):
    config, style, *inputs = case
    outputs, weights = by_the_paper(config, style, *inputs)
    found = decode(style, *inputs)
    torch.testing.assert_close(found.outputs, outputs)
    torch.testing.assert_close(found.weights, weights)


def test_gradient_equals_the_paper(case):
    config, style, embedded, _, values, _ = case
    wanted = [embedded, *style.parameters()] + ([values] if config.attention != "none" else [])
    gradients = [
        torch.autograd.grad((outputs * torch.linspace(-1, 1, HIDDEN).double()).sum(), wanted)
        for outputs in (by_the_paper(*case)[0], decode(style, *case[2:]).outputs)
    ]
    torch.testing.assert_close(gradients[1], gradients[0])


def test_can_stop_and_continue(case):
    _, style, embedded, states, values, mask = case
    whole = decode(style, embedded, states, values, mask)
    start = decode(style, embedded[:1], states, values, mask)
    rest = decode(style, embedded[1:], start.states, values, mask, start.carried)
    torch.testing.assert_close(torch.cat([start.outputs, rest.outputs]), whole.outputs)
    torch.testing.assert_close(rest.states, whole.states)


def test_dropout_lies_between_layers_only(case):
    _, style, *inputs = case
    style.dropout.p = 0.5
    first, second = decode(style.train(), *inputs), decode(style, *inputs)
    recurrent_only = not hasattr(style, "attention") or style.layers[0].input_size < EMBEDDING + HIDDEN
    if recurrent_only:  # the first layer reads nothing that dropout touched
        torch.testing.assert_close(first.layers[0], second.layers[0])
    assert not torch.allclose(first.layers[1], second.layers[1])
    torch.testing.assert_close(decode(style.eval(), *inputs).outputs, decode(style, *inputs).outputs)


def test_dropout_is_redrawn_at_every_step(case):
    _, style, *inputs = case
    style.dropout.p, masks = 0.5, []
    style.dropout.register_forward_hook(lambda _, given, found: masks.append(found != 0))
    decode(style.train(), *inputs)
    steps = masks[0].unbind(0) if masks[0].ndim == 3 else masks[:TARGET]
    assert len(steps) == TARGET
    assert not any(torch.equal(a, b) for a, b in itertools.pairwise(steps))
