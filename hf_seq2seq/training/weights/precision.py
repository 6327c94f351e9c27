"""The weights that the optimizer updates: the model's own, or a float32 master copy of a bfloat16 model.

On a GPU, bfloat16 and float16 run under autocast. A CPU gains little from autocast, because every step casts every
weight again; there the model itself is in bfloat16, and a float32 master copy receives the gradients and updates.
"""

import os
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from hf_seq2seq.configs import Optimization
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.embeddings import TRAINED_ROWS

LONG_RUN = 1_000
"""Steps from which on a faster precision is worth a line."""
FASTER = "this processor computes in bfloat16: --bf16 trains about 1.4 times as fast, in weights that stay float32"


class Weights:
    """A model's parameters as the optimizer sees them.

    Attributes:
        low_precision: whether the model computes in a lower precision than the trained weights.
        sharded: whether each process has a shard, so that reading them is collective.
        parameters: the trained parameters, by the model's names.
    """

    low_precision = False
    sharded = False

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.parameters: dict[str, nn.Parameter] = dict(model.named_parameters())

    def backward(self, loss: Tensor, accelerator: Accelerator) -> None:
        """Adds a batch's gradients to the step's."""
        accelerator.backward(loss)
        self.collect_gradients()

    def update(self, optimizer: Any, limit: float, accelerator: Accelerator) -> Any:
        """Clips the gradients, steps and clears them; returns their norm before clipping."""
        norm = accelerator.clip_grad_norm_(self.parameters.values(), limit)
        optimizer.step()
        optimizer.zero_grad()
        self.sync_from_master()
        return norm

    @property
    def finite(self) -> bool:
        """Whether all weights of this process are finite."""
        parts = (p.to_local() if hasattr(p, "to_local") else p for p in self.parameters.values())
        return all(bool(part.isfinite().all()) for part in parts)

    def collect_gradients(self) -> None:
        """Called after each backward pass."""

    def sync_from_master(self) -> None:
        """Called after each optimizer step, and after loading."""

    def state_dict(self) -> dict[str, Tensor]:
        """The state to save: the model's in float32."""
        return self.model.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores a `state_dict`; tied entries may be missing."""
        self.model.load_state_dict(state, strict=False)

    def release(self) -> "Weights":
        """Called when training ends: converts the model to float32, and returns its weights from then on."""
        return self


def by_first_name(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state with each tied parameter under its name in `named_parameters`: a file may have any of its names."""
    first = {id(parameter): name for name, parameter in model.named_parameters()}
    names = {name: first[id(parameter)] for name, parameter in model.named_parameters(remove_duplicate=False)}
    return {names.get(name, name): value for name, value in state.items()}


class MasterWeights(Weights):
    """A float32 master copy that is trained, and a bfloat16 model that computes.

    Paper: Micikevicius et al., 2018, section 3.1, https://arxiv.org/abs/1710.03740
    """

    low_precision = True

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._low = self.parameters
        self._buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        self._attention = model.config._attn_implementation  # type: ignore[union-attr]
        self.parameters = {name: nn.Parameter(p.detach().clone(), p.requires_grad) for name, p in self._low.items()}
        for name, low in self._low.items():
            if hasattr(low, TRAINED_ROWS):
                setattr(self.parameters[name], TRAINED_ROWS, getattr(low, TRAINED_ROWS))
        model.to(torch.bfloat16)

    def collect_gradients(self) -> None:
        """Adds the model's gradients to the master's, so accumulation happens in float32."""
        for name, low in self._low.items():
            if low.grad is None:
                continue
            master = self.parameters[name]
            if master.grad is None:
                master.grad = low.grad.float()
            else:
                master.grad += low.grad
            low.grad = None

    @torch.no_grad()
    def sync_from_master(self) -> None:
        """Rounds the master into the model."""
        for name, low in self._low.items():
            low.copy_(self.parameters[name])

    def state_dict(self) -> dict[str, Tensor]:
        """The master's values and the unrounded buffers under every name of the model, tied ones included."""
        by_storage = {low.data_ptr(): self.parameters[name].detach() for name, low in self._low.items()}
        by_storage |= {low.data_ptr(): self._buffers[name] for name, low in self.model.named_buffers()}
        state = self.model.state_dict()
        return {name: by_storage.get(value.data_ptr(), value) for name, value in state.items()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores the master, then the model."""
        state = by_first_name(self.model, state)
        for name, value in state.items():
            for exact in (self.parameters, self._buffers):
                if name in exact:
                    exact[name].copy_(value)
        buffers = {name: value for name, value in state.items() if name not in self.parameters}
        self.model.load_state_dict(buffers, strict=False)
        self.sync_from_master()

    @torch.no_grad()
    def release(self) -> Weights:
        """Restores the master's values, the unrounded buffers and the attention in the model."""
        self.model.float()
        self.sync_from_master()
        for name, buffer in self.model.named_buffers():
            buffer.copy_(self._buffers[name])
        if self.model.config._attn_implementation != self._attention:  # type: ignore[union-attr]
            self.model.set_attn_implementation(self._attention)  # type: ignore[operator]
        return Weights(self.model)


def check_precision(options: Optimization, model_type: str, on_cpu: bool) -> None:
    """Rejects unsupported precisions.

    Raises:
        InputError: float16 for T5 or on a CPU, both precisions at once, a conflict with Accelerate's configuration, or
            a GPU without bfloat16.
    """
    if options.fp16 and options.bf16:
        raise InputError("--fp16 and --bf16 exclude each other; give one")
    detail = os.environ.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    if detail != "no" and not getattr(options, detail, False):
        raise InputError(
            f"Accelerate's configuration: mixed_precision {detail}: write 'no' there, or give --{detail}, too"
        )
    if options.fp16 and model_type in ("t5", "mt5", "umt5"):
        raise InputError("--fp16: T5 was trained in bfloat16 and overflows float16 to NaN; use --bf16, or neither")
    if options.fp16 and on_cpu:
        raise InputError("--fp16 needs a GPU; use --bf16, or neither")
    if options.bf16 and not on_cpu and not torch.cuda.is_bf16_supported():
        raise InputError("--bf16: this GPU has no bfloat16; use neither --bf16 nor --fp16 with T5, else --fp16")


def describe_precision(options: Optimization, on_cpu: bool, steps: int) -> list[str]:
    """A line for a long run in float32 on a processor that is faster in bfloat16, else nothing."""
    if options.bf16 or not on_cpu or steps < LONG_RUN:
        return []
    able = torch.cpu.get_capabilities()
    return [FASTER] if any(able.get(name) for name in ("avx512_bf16", "amx_bf16")) else []


def lower_precision(model: Any) -> Weights:
    """Converts a model on a CPU to bfloat16, with attention in float32, and returns the master copy.

    The backward pass of scaled-dot-product attention in bfloat16 is slower on CPUs than in float32.
    """
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    weights = MasterWeights(model)
    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register("sdpa_float32", _sdpa_float32)
        AttentionMaskInterface.register("sdpa_float32", sdpa_mask)
        model.set_attn_implementation("sdpa_float32")
    return weights


def _sdpa_float32(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Scaled-dot-product attention of transformers on float32 copies; `(batch, heads, length, width)` each."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if mask is not None and mask.is_floating_point():
        mask = mask.float()
    if isinstance(bias := options.get("position_bias"), Tensor):
        options["position_bias"] = bias.float()
    output, _ = sdpa_attention_forward(module, query.float(), key.float(), value.float(), mask, **options)
    return output.to(query.dtype), None
