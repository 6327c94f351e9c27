"""A step at a time must be the library's whole-sequence layer, and that layer the formula."""

import copy

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from hf_seq2seq.architectures.cells import LAYERS, join_states, split_states, states_of

TIME, BATCH, KNOWN, FED, HIDDEN = 5, 3, 4, 2, 6


@pytest.fixture(params=list(LAYERS))
def case(request):
    layer = LAYERS[request.param](KNOWN + FED, HIDDEN).double()
    inputs = torch.randn(TIME, BATCH, KNOWN + FED, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(BATCH, HIDDEN, dtype=torch.float64) for _ in range(states_of(request.param)))
    return layer, inputs, state


def stepwise(layer, inputs, state, known, kept=None):
    cell = layer(inputs[..., :known] if known else None, stepwise=True, kept=kept)
    outputs = []
    for time in range(TIME):
        state = cell.step(time, inputs[time, :, known:], state)
        outputs.append(state[0])
    return torch.stack(outputs), state


@pytest.mark.parametrize("known", [0, KNOWN])
def test_steps_equal_the_whole_sequence(case, known):
    layer, inputs, state = case
    expected, expected_state = layer(inputs, state)
    start = tuple(part[None] for part in state)
    by_torch, _ = super(type(layer).__bases__[0], layer).forward(inputs, start if len(start) == 2 else start[0])
    torch.testing.assert_close(expected, by_torch)
    outputs, end = stepwise(layer, inputs, state, known)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(end, expected_state)


@pytest.mark.parametrize("known", [0, KNOWN])
def test_a_mask_of_the_previous_output_equals_masked_recurrent_weights(case, known):
    """For one row, dropping units of h is dropping columns of the recurrent matrix; the library can do that."""
    layer, inputs, state = case
    kept = torch.tensor([[0, 2, 2, 0, 2, 0], [2, 0, 2, 2, 2, 0], [1, 1, 1, 1, 1, 1]], dtype=torch.float64)
    found, end = layer(inputs, state, kept=kept)
    again, again_end = stepwise(layer, inputs, state, known, kept)
    torch.testing.assert_close((again, again_end), (found, end))
    for row in range(BATCH):
        masked = copy.deepcopy(layer)
        masked.weight_hh_l0.data.mul_(kept[row])
        expected, last = masked(inputs[:, row : row + 1], tuple(part[row : row + 1] for part in state))
        torch.testing.assert_close(found[:, row : row + 1], expected)
        torch.testing.assert_close(tuple(part[row : row + 1] for part in end), last)


def test_a_masked_layer_ends_at_each_rows_last_token(case):
    layer, inputs, _ = case
    kept, lengths = 2.0 * (torch.rand(BATCH, HIDDEN) > 0.5).double(), torch.tensor([5, 2, 4])
    packed = pack_padded_sequence(inputs, lengths, enforce_sorted=False)
    outputs, ends = layer(packed, kept=kept)
    outputs, _ = pad_packed_sequence(outputs)
    for row, length in enumerate(lengths):
        expected, end = layer(inputs[:length, row : row + 1], kept=kept[row : row + 1])
        torch.testing.assert_close(outputs[:length, row : row + 1], expected)
        torch.testing.assert_close(tuple(part[row : row + 1] for part in ends), end)


def test_gradient_equals_the_whole_sequence(case):
    layer, inputs, state = case
    gradients = []
    for outputs in (layer(inputs, state)[0], stepwise(layer, inputs, state, KNOWN)[0]):
        weighted = (outputs * torch.linspace(-1, 1, HIDDEN, dtype=torch.float64)).sum()
        gradients.append(torch.autograd.grad(weighted, [inputs, *layer.parameters()]))
    torch.testing.assert_close(gradients[1], gradients[0])


def test_gradient_is_the_derivative(case):
    layer, inputs, state = case
    assert torch.autograd.gradcheck(lambda x: stepwise(layer, x, state, KNOWN)[0], (inputs,))


def test_lstm_equals_the_formula():
    layer = LAYERS["lstm"](KNOWN + FED, HIDDEN).double()
    inputs = torch.randn(TIME, BATCH, KNOWN + FED, dtype=torch.float64)
    output = memory = torch.zeros(BATCH, HIDDEN, dtype=torch.float64)
    found, _ = stepwise(layer, inputs, (output, memory), KNOWN)
    gate = [slice(n * HIDDEN, (n + 1) * HIDDEN) for n in range(4)]
    for time in range(TIME):
        i, f, g, o = (
            inputs[time] @ layer.weight_ih_l0[rows].T
            + layer.bias_ih_l0[rows]
            + output @ layer.weight_hh_l0[rows].T
            + layer.bias_hh_l0[rows]
            for rows in gate
        )
        memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
        output = torch.sigmoid(o) * torch.tanh(memory)
        torch.testing.assert_close(found[time], output)


def test_states_survive_joining():
    states = [(torch.randn(3, 4), torch.randn(3, 4)) for _ in range(2)]
    joined = join_states(states)
    assert joined.shape == (3, 2, 2, 4)
    torch.testing.assert_close(split_states(joined), states)
