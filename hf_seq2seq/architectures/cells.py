"""Recurrent layers, run over a whole sequence by one library call or one step at a time with the same weights.

A layer's state is a tuple of `(batch, hidden)` tensors: the output and, for an LSTM, the memory cell.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
State = tuple[Tensor, ...]
Sequence = TypeVar("Sequence", Tensor, PackedSequence)


def states_of(cell: str) -> int:
    """Tensors that a state consists of: 2 for an LSTM, else 1."""
    return 2 if cell == "lstm" else 1


def split_states(states: Tensor) -> list[State]:
    """`(batch, layers, states, hidden)` to one state a layer."""
    return [layer.unbind(1) for layer in states.unbind(1)]


def join_states(states: list[State]) -> Tensor:
    """The inverse of `split_states`; batch comes first because that is the side that beam search reorders."""
    return torch.stack([torch.stack(state, 1) for state in states], 1)


def run_layer(layer: nn.Module, inputs: Sequence, state: State | None = None) -> tuple[Sequence, State]:
    """Runs a layer over a whole sequence.

    Args:
        layer: `nn.LSTM`, `nn.GRU` or `nn.RNN` with one layer and one direction, time first.
        inputs: `(time, batch, input)`, or packed.
        state: where it starts; None for zeros.

    Returns:
        outputs `(time, batch, hidden)`, packed if the inputs were, and the state after the last step.
    """
    start = None if state is None else tuple(part[None].contiguous() for part in state)
    if isinstance(layer, nn.LSTM):
        outputs, end = layer(inputs, start)
    else:
        outputs, last = layer(inputs, None if start is None else start[0])
        end = (last,)
    return outputs, tuple(part[0] for part in end)


class StepwiseCell:
    """Runs a layer one step at a time, for inputs of which a part is known only when the step comes.

    The known part of all steps, and the biases, go through the input weights in one matrix product beforehand. In a
    step, what is fed and the previous output share one product.

    Args:
        layer: as for `run_layer`.
        known: the leading input columns of all steps, `(time, batch, known width)`; None where all is fed.
    """

    def __init__(self, layer: nn.Module, known: Tensor | None) -> None:
        # By attribute, not through the layer's own flat list: tools that adapt weights replace the attributes.
        input_weight, self.recurrent_weight, bias, self.recurrent_bias = (
            getattr(layer, name) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        )
        width = 0 if known is None else known.shape[-1]
        self.fed_weight = input_weight[:, width:]
        self.advance = self._gru
        # A GRU's reset gate multiplies the recurrent half alone, bias included; the other cells merge the halves.
        if not isinstance(layer, nn.GRU):
            self.advance = self._lstm if isinstance(layer, nn.LSTM) else self._rnn
            self.weight = torch.cat([self.fed_weight, self.recurrent_weight], 1)
            bias = bias + self.recurrent_bias
        self.bias = bias
        self.known = None if known is None else F.linear(known, input_weight[:, :width], bias).unbind(0)

    def step(self, time: int, fed: Tensor, state: State) -> State:
        """The next state, from what is fed now, `(batch, fed width)`; its first tensor is the step's output."""
        return self.advance(self.bias if self.known is None else self.known[time], fed, state)

    def _lstm(self, known: Tensor, fed: Tensor, state: State) -> State:
        """Paper: Gers et al., 2000, https://doi.org/10.1162/089976600300015015; gates in `torch.nn.LSTM`'s order."""
        output, memory = state
        gates = torch.addmm(known, torch.cat([fed, output], 1), self.weight.t())
        enter, keep, new, leave = gates.chunk(4, 1)
        memory = keep.sigmoid() * memory + enter.sigmoid() * new.tanh()
        return leave.sigmoid() * memory.tanh(), memory

    def _gru(self, known: Tensor, fed: Tensor, state: State) -> State:
        """Paper: Cho et al., 2014, https://aclanthology.org/D14-1179; the reset gate as in `torch.nn.GRU`."""
        (output,) = state
        gates = torch.addmm(known, fed, self.fed_weight.t())
        recurrent = torch.addmm(self.recurrent_bias, output, self.recurrent_weight.t())
        width = output.shape[1]
        reset, update = (gates[:, : 2 * width] + recurrent[:, : 2 * width]).sigmoid().chunk(2, 1)
        new = torch.tanh(gates[:, 2 * width :] + reset * recurrent[:, 2 * width :])
        return (torch.lerp(new, output, update),)

    def _rnn(self, known: Tensor, fed: Tensor, state: State) -> State:
        """Paper: Elman, 1990, https://doi.org/10.1207/s15516709cog1402_1."""
        return (torch.addmm(known, torch.cat([fed, state[0]], 1), self.weight.t()).tanh(),)
