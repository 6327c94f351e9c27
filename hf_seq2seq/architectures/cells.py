"""Recurrent layers, run over a whole sequence by one library call or one step at a time with the same weights.

A layer is `torch.nn`'s, with one layer and one direction, time first. Its state is a tuple of `(batch, hidden)`
tensors: the output and, for an LSTM, the memory cell.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

State = tuple[Tensor, ...]


def states_of(cell: str) -> int:
    """Number of tensors in a state: 2 for an LSTM, else 1."""
    return 2 if cell == "lstm" else 1


def split_states(states: Tensor) -> list[State]:
    """`(batch, layers, states, hidden)` to one state per layer."""
    return [layer.unbind(1) for layer in states.unbind(1)]


def join_states(states: list[State]) -> Tensor:
    """The inverse of `split_states`; batch comes first because beam search reorders along the first dimension."""
    return torch.stack([torch.stack(state, 1) for state in states], 1)


class _Layer(nn.RNNBase):
    """Both ways of running a layer are in `forward`, because adapters such as PEFT's only act there."""

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def forward(
        self, inputs: Any, state: State | None = None, *, stepwise: bool = False, kept: Tensor | None = None
    ) -> Any:
        """Runs the layer over a whole sequence, or prepares to run it step by step.

        Args:
            inputs: `(time, batch, input)`, or packed; with `stepwise`, the `known` of `StepwiseCell`.
            state: initial state; None for zeros.
            stepwise: return a `StepwiseCell` instead of running.
            kept: multiplied with the previous output in every step's recurrent product, `(batch, hidden)`. The
                library's layers do not support it, so the layer then runs step by step.

        Returns:
            Outputs `(time, batch, hidden)`, packed if the inputs were, and the state after the last step.
        """
        if stepwise:
            return StepwiseCell(self, inputs, kept)
        if kept is not None:
            return self._unroll(inputs, state, kept)
        if state is not None and len(inputs) == 1 and not (torch.is_grad_enabled() or torch.compiler.is_compiling()):
            end = self._single(inputs[0], state)
            return end[0][None], end
        start = None if state is None else tuple(part[None].contiguous() for part in state)
        if not isinstance(self, nn.LSTM):
            outputs, last = super().forward(inputs, None if start is None else start[0])
            return outputs, (last[0],)
        outputs, end = super().forward(inputs, start)
        return outputs, tuple(part[0] for part in end)

    def _single(self, inputs: Tensor, state: State) -> State:
        """One step: on CPUs the library's layers rearrange their weights in every call, which takes longer."""
        weights = self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        if isinstance(self, nn.LSTM):
            return torch.lstm_cell(inputs, state, *weights)
        return ((torch.gru_cell if isinstance(self, nn.GRU) else torch.rnn_tanh_cell)(inputs, state[0], *weights),)

    def _unroll(self, inputs: Any, state: State | None, kept: Tensor) -> Any:
        """`forward` step by step."""
        lengths = None
        if isinstance(inputs, PackedSequence):
            inputs, lengths = pad_packed_sequence(inputs)
        cell = StepwiseCell(self, inputs, kept)
        state = state or (torch.zeros_like(kept),) * (2 if isinstance(self, nn.LSTM) else 1)
        steps: list[State] = []
        for time in range(len(inputs)):
            state = cell.step(time, None, state)
            steps.append(state)
        outputs = torch.stack([step[0] for step in steps])
        if lengths is None:
            return outputs, state
        rows = torch.arange(len(lengths))
        ends = tuple(torch.stack(part)[lengths - 1, rows] for part in zip(*steps, strict=True))
        return pack_padded_sequence(outputs, lengths, enforce_sorted=False), ends


class LstmLayer(_Layer, nn.LSTM):
    """Paper: Gers et al., 2000, https://doi.org/10.1162/089976600300015015; as in `torch.nn.LSTM`."""


class GruLayer(_Layer, nn.GRU):  # type: ignore[misc]
    """Paper: Cho et al., 2014, https://aclanthology.org/D14-1179; the reset gate as in `torch.nn.GRU`."""


class TanhLayer(_Layer, nn.RNN):  # type: ignore[misc]
    """Paper: Elman, 1990, https://doi.org/10.1207/s15516709cog1402_1; as in `torch.nn.RNN`."""


LAYERS: dict[str, type[LstmLayer] | type[GruLayer] | type[TanhLayer]] = {
    "lstm": LstmLayer,
    "gru": GruLayer,
    "rnn": TanhLayer,
}


class StepwiseCell:
    """Runs a layer one step at a time, for inputs that are partly known only at each step.

    The part known in advance, and the biases, go through the input weights in one matrix product for all steps. In a
    step, the fed input and the previous output share one product.

    Args:
        layer: the layer whose weights to use.
        known: the leading input columns of all steps, `(time, batch, known width)`; None if everything is fed.
        kept: multiplied with the previous output in the recurrent product, `(batch, hidden)`.
    """

    def __init__(self, layer: _Layer, known: Tensor | None, kept: Tensor | None = None) -> None:
        self.kept = kept
        input_weight, bias = layer.weight_ih_l0, layer.bias_ih_l0
        self.recurrent_weight, self.recurrent_bias = layer.weight_hh_l0, layer.bias_hh_l0
        width = 0 if known is None else known.shape[-1]
        self.fed_weight = input_weight[:, width:]
        self.mode = layer.mode
        # A GRU's reset gate multiplies only the recurrent half, bias included; the other cells merge the halves.
        if self.mode != "GRU":
            self.weight = torch.cat([self.fed_weight, self.recurrent_weight], 1)
            bias = bias + self.recurrent_bias
        self.bias = bias
        self.known = None if known is None else F.linear(known, input_weight[:, :width], bias).unbind(0)

    def step(self, time: int, fed: Tensor | None, state: State) -> State:
        """The next state; its first tensor is the step's output.

        Args:
            time: index of the step in the known part.
            fed: input known only at this step, `(batch, fed width)`; None if everything is known.
            state: the previous one.
        """
        output = state[0] if self.kept is None else state[0] * self.kept
        # A bound method kept in an attribute would be a cycle, whose tensors live on until garbage is collected.
        advance = self._gru if self.mode == "GRU" else self._lstm if self.mode == "LSTM" else self._rnn
        return advance(self.bias if self.known is None else self.known[time], fed, output, state)

    def _sum(self, known: Tensor, fed: Tensor | None, output: Tensor) -> Tensor:
        """The pre-activations of the gates, for the cells that merge the halves."""
        return torch.addmm(known, output if fed is None else torch.cat([fed, output], 1), self.weight.t())

    def _lstm(self, known: Tensor, fed: Tensor | None, output: Tensor, state: State) -> State:
        """Gates in the order of `torch.nn.LSTM`: input, forget, cell, output."""
        enter, keep, new, leave = self._sum(known, fed, output).chunk(4, 1)
        memory = keep.sigmoid() * state[1] + enter.sigmoid() * new.tanh()
        return leave.sigmoid() * memory.tanh(), memory

    def _gru(self, known: Tensor, fed: Tensor | None, output: Tensor, state: State) -> State:
        """Gates in the order of `torch.nn.GRU`: reset, update, new."""
        gates = known if fed is None else torch.addmm(known, fed, self.fed_weight.t())
        recurrent = torch.addmm(self.recurrent_bias, output, self.recurrent_weight.t())
        width = output.shape[1]
        reset, update = (gates[:, : 2 * width] + recurrent[:, : 2 * width]).sigmoid().chunk(2, 1)
        new = torch.tanh(gates[:, 2 * width :] + reset * recurrent[:, 2 * width :])
        return (torch.lerp(new, state[0].to(new.dtype), update),)

    def _rnn(self, known: Tensor, fed: Tensor | None, output: Tensor, state: State) -> State:
        """As `torch.nn.RNN`."""
        return (self._sum(known, fed, output).tanh(),)
