"""How gradients flow: their norms at every layer and recurrent step, and the Jacobians that they pass through.

The state s_t of a recurrent layer, for an LSTM its output and its memory cell together, reaches the last one by the
product of the Jacobians ds_k/ds_(k-1), k > t. Where a loss depends on a layer through its last state alone, the
gradient at s_t is that at the last state times the product; elsewhere it is not, which the log says.

Paper: Pascanu et al., 2013, section 2, https://proceedings.mlr.press/v28/pascanu13
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hf_seq2seq.architectures.cells import LAYERS, State, StepwiseCell
from hf_seq2seq.configs import RunConfig
from hf_seq2seq.data.inputs import source_of
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.training.weights import zero_settings
from hf_seq2seq.training.weights.precision import Weights
from hf_seq2seq.training.weights.sharding import is_asked_for

LAYER = re.compile(r"(.*?\b(?:layers?|blocks?|h)\.\d+)\.")
"""The part of a parameter's name that says which layer of a stack it belongs to."""


def check_gradient_flow(config: RunConfig) -> None:
    """Rejects what gradients cannot be read from.

    Raises:
        InputError: names the flag.
    """
    if config.instruments.log_gradient_flow is None:
        return
    every, steps = config.instruments.log_gradient_flow, config.schedule.max_steps
    if steps is not None and every > steps:
        raise InputError(f"--log-gradient-flow: {every} is more than the {steps} steps of the run; nothing is logged")
    if is_asked_for() or zero_settings.is_asked_for():
        raise InputError("--log-gradient-flow: does not work on sharded weights; use --accelerate-config ddp")
    if config.optimization.fp16:
        raise InputError("--log-gradient-flow cannot be combined with --fp16, which scales gradients; use --bf16")


@dataclass
class StateFlow:
    """One recurrent layer on one row, in the order in which it reads.

    Attributes:
        states: the state after every step, each a tuple of `(1, hidden)`.
        jacobians: of every step's state by the one before it, `(states x hidden, states x hidden)`, first the output.
        gradients: of the loss by every state, of the same width.
    """

    states: list[State] = field(default_factory=list)
    jacobians: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)

    def products(self) -> list[Tensor]:
        """For every step, the product of the Jacobians from there to the last one."""
        found = [torch.eye(len(self.jacobians[-1]), dtype=self.jacobians[-1].dtype, device=self.jacobians[-1].device)]
        for jacobian in self.jacobians[:0:-1]:
            found.append(found[-1] @ jacobian)
        return found[::-1]


def state_flows(model: nn.Module, batch: dict[str, Tensor], with_jacobians: bool = True) -> dict[str, StateFlow]:
    """Follows the states of every recurrent layer on a row.

    Args:
        model: a recurrent encoder-decoder; its mode is restored, and no gradients are accumulated.
        batch: `input_ids`, `attention_mask` and `labels` of one row without padding.
        with_jacobians: whether the Jacobians are computed, which takes a backward pass per unit and step.
    """
    training = model.training
    model.eval()
    flows: dict[str, StateFlow] = {}
    with torch.enable_grad(), _recorded(model, flows, with_jacobians):
        loss = model(**batch).loss
    model.train(training)
    # Those of a frozen encoder have no gradient.
    parts = [part for flow in flows.values() for state in flow.states for part in state if part.requires_grad]
    found = iter(torch.autograd.grad(loss, parts, allow_unused=True))
    for flow in flows.values():
        for state in flow.states:
            gradients = [next(found) if part.requires_grad else None for part in state]
            flow.gradients.append(
                torch.cat([torch.zeros_like(p) if g is None else g for p, g in zip(state, gradients, strict=True)], 1)[
                    0
                ]
            )
    return flows


@contextmanager
def _recorded(model: nn.Module, flows: dict[str, StateFlow], with_jacobians: bool) -> Iterator[None]:
    """Lets every recurrent layer run step by step inside the block, and notes its states."""
    kinds: tuple[Any, ...] = tuple(LAYERS.values())
    layers: dict[str, Any] = {name: module for name, module in model.named_modules() if isinstance(module, kinds)}
    for name, layer in layers.items():
        flow = flows[name] = StateFlow()
        layer.forward = _recording(layer, flow, with_jacobians)
    try:
        yield
    finally:
        for layer in layers.values():
            del layer.forward


def _recording(layer: Any, flow: StateFlow, with_jacobians: bool) -> Callable[..., Any]:
    """A layer's `forward` that goes step by step and notes every state; without recurrent dropout."""

    def forward(inputs: Any, state: State | None = None, *, stepwise: bool = False, kept: Tensor | None = None) -> Any:
        cell = _RecordingCell(layer, inputs, flow, with_jacobians)
        if stepwise:
            return cell
        width = layer.weight_hh_l0.shape[1]
        state = state or (inputs.new_zeros(inputs.shape[1], width),) * (2 if isinstance(layer, nn.LSTM) else 1)
        outputs = []
        for time in range(len(inputs)):
            state = cell.step(time, None, state)
            outputs.append(state[0])
        return torch.stack(outputs), state

    return forward


class _RecordingCell(StepwiseCell):
    def __init__(self, layer: Any, known: Tensor | None, flow: StateFlow, with_jacobians: bool) -> None:
        super().__init__(layer, known)
        self._flow, self._with_jacobians = flow, with_jacobians

    def step(self, time: int, fed: Tensor | None, state: State) -> State:
        # Copies, because an LSTM's output depends on its memory cell, and both are one state to the next step.
        after = tuple(part.clone() for part in super().step(time, fed, state))
        self._flow.states.append(after)
        if self._with_jacobians:
            constant = None if fed is None else fed.detach()

            def advance(flat: Tensor) -> Tensor:
                parts = flat.view(len(state), 1, -1).unbind(0)
                return torch.cat(StepwiseCell.step(self, time, constant, parts), 1)[0]

            flat = torch.cat(state, 1)[0].detach()
            self._flow.jacobians.append(torch.func.jacrev(advance)(flat).detach())
        return after


def product_is_gradient(config: Any) -> bool:
    """Whether the gradient at an encoder's state is that at its last one times the product of Jacobians."""
    plain = config.encoder_layers == 1 and not config.bidirectional and config.attention == "none"
    return bool(plain and config.context_pooling == "last" and not config.has_levels)


class GradientFlow:
    """Measures the gradients and the update of every so many steps, on the main process.

    Args:
        model: not wrapped.
        weights: those that are trained.
        every: steps from one measurement to the next; None measures nothing.
    """

    def __init__(self, model: Any, weights: Weights, every: int | None) -> None:
        self._model, self._weights, self._every = model, weights, every
        self._before: dict[str, Tensor] = {}
        self._figures: dict[str, Any] = {}

    @contextmanager
    def watching(self, step: int, batch: dict[str, Tensor]) -> Iterator[None]:
        """Measures the update inside the block, if it is due.

        Args:
            step: its number, counted from 1.
            batch: rows of the step, on one of which recurrent states are followed.
        """
        if self._every is None or step % self._every:
            yield
            return
        figures = self.before(batch)
        yield
        self._figures = figures | self.after()

    def tell(self, log: Callable[[dict[str, Any]], None]) -> None:
        """Calls `log` with the figures of the last step, if it was measured."""
        figures, self._figures = self._figures, {}
        if figures:
            log(figures)

    @torch.no_grad()
    def before(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        """The norms of a step's gradients, before they are clipped and applied."""
        trained = {name: p for name, p in self._weights.parameters.items() if p.grad is not None}
        self._before = {name: p.detach().clone() for name, p in trained.items()}
        norms = _by_layer({name: p.grad for name, p in trained.items() if p.grad is not None})
        recurrent = getattr(self._model.config, "model_type", "") == "rnn-seq2seq"
        return {"gradient_norm": norms} | (self._states(batch) if recurrent else {})

    @torch.no_grad()
    def after(self) -> dict[str, Any]:
        """The ratio of the update's norm to the weights' for every layer."""
        parameters = self._weights.parameters
        changes = _by_layer({name: parameters[name] - value for name, value in self._before.items()})
        norms = _by_layer(self._before)
        self._before = {}
        return {"update_ratio": {name: changes[name] / max(norms[name], 1e-30) for name in changes}}

    def _states(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        """The norms along time, on the row of the batch with the longest source."""
        row = int(batch["attention_mask"].sum(1).argmax())
        source, labels = batch["attention_mask"][row] != 0, batch["labels"][row] != IGNORE
        one = {name: part[row][source][None] for name, part in source_of(batch).items()}
        one["labels"] = batch["labels"][row][labels][None]
        found = {}
        for name, flow in state_flows(self._model, one).items():
            products = [float(torch.linalg.matrix_norm(product.float(), 2)) for product in flow.products()]
            exact = name.startswith(("model.encoder", "encoder")) and product_is_gradient(self._model.config)
            found[name] = {
                "gradient_norm": [float(gradient.norm()) for gradient in flow.gradients],
                "jacobian_product_norm": products,
                "product_is_gradient": exact,
            }
        return {"states": found}


def _by_layer(tensors: dict[str, Tensor]) -> dict[str, float]:
    """The norm of all tensors of each layer."""
    squares: dict[str, float] = {}
    for name, tensor in tensors.items():
        match = LAYER.match(name)
        layer = match[1] if match else name.rpartition(".")[0]
        squares[layer] = squares.get(layer, 0.0) + float(tensor.double().square().sum())
    return {layer: square**0.5 for layer, square in squares.items()}
