"""Scheduled sampling: the decoder increasingly learns to continue from its own tokens."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.decoding.decoder import decoding
from hf_seq2seq.decoding.generation import evaluating
from hf_seq2seq.decoding.sampling import choose_tokens
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.sections import Section, option

Choose = Callable[[Tensor, Tensor], Tensor]
HALF = 0.5
"""Default share of gold inputs halfway through a run."""


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(Section):
    """Schedule of the share of gold inputs, and the source of the others."""

    schedule: str = option(
        "inverse_sigmoid",
        "How the share of gold inputs decays.",
        choices=("linear", "exponential", "inverse_sigmoid", "constant"),
    )
    k: float | None = option(None, "The schedule's k.", at_least=0)
    c: float | None = option(None, "Linear: decrease per step.", at_least=0)
    minimum: float = option(0.0, "Linear: minimum share.", at_least=0, at_most=1)
    choice: str = option("sample", "The model's token: sampled, or its best.", choices=("sample", "argmax"))
    passes: str = option(
        "auto", "Token by token, or all at once from gold inputs.", choices=("auto", "sequential", "parallel")
    )

    def __post_init__(self) -> None:
        """Checks all values, and that they apply to the schedule."""
        super().__post_init__()
        if self.k is not None and self.schedule == "inverse_sigmoid" and self.k < 1:
            raise InputError(f"k: {self.k} is too small for inverse_sigmoid; the minimum is 1")
        if self.k is not None and self.schedule in ("exponential", "constant") and self.k > 1:
            raise InputError(f"k: {self.k} is too large for {self.schedule}; the maximum is 1")
        if self.schedule != "linear" and (self.c is not None or self.minimum):
            raise InputError(f"c and minimum: only apply to schedule=linear, not {self.schedule}")


class ScheduledSampling(TokenCrossEntropy):
    """Cross-entropy of the target tokens, where each decoder input is the gold token with probability epsilon.

    Otherwise it is the model's own token for that position. `sequential`, the default for recurrent models, runs the
    model token by token, so that its token follows its actual inputs; `parallel`, the default for Transformers,
    predicts all tokens at once in a first pass on gold inputs. No gradient flows through the choice of a token.

    The share falls with the optimizer step i: linear max(minimum, k - c i), exponential k^i, inverse sigmoid k / (k +
    exp(i / k)), which starts at k / (k + 1) and not at 1; constant is k. By default it is 0.5 halfway through the run.
    Random choices are seeded by the run's seed, the step and the row's index. The model predicts its tokens without
    dropout, and a first token forced in generation (a language token) is kept.

    Papers: Bengio et al., 2015, sections 2.3 and 2.4, https://arxiv.org/abs/1506.03099; Mihaylova and Martins, 2019,
    section 3 (two passes), https://aclanthology.org/P19-2049
    """

    Options = SamplingOptions
    generates = True
    reads_rows = True
    needs_encoder = True
    options: SamplingOptions
    step = 0
    epsilon = 1.0

    def begin_step(self, step: int, steps: int) -> None:
        """Sets the share of gold inputs."""
        self.step, self.epsilon = step, SCHEDULES[self.options.schedule](self.options, step, steps)

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adds the decoder's inputs, `decoder_input_ids` `(batch, target)`."""
        right = self.shifted(batch)
        coins, numbers = self._random(batch["rows"].tolist(), right.shape[1], right.device)
        own = coins >= self.epsilon
        own[:, 1:] &= batch["labels"][:, :-1] != IGNORE
        generation: Any = self.model.generation_config
        own[:, : 1 if generation.forced_bos_token_id is None else 2] = False
        if not own.any():
            return batch
        choose = _best if self.options.choice == "argmax" else choose_tokens
        with evaluating(self.model):
            mixed = (self._sequential if self._is_sequential else self._parallel)(batch, right, own, numbers, choose)
        return batch | {"decoder_input_ids": mixed}

    def _random(self, rows: list[int], length: int, device: torch.device) -> Tensor:
        """Random numbers per decoder input, to choose its source and to sample, `(2, batch, target)` float64."""
        found = [self.context.random(self.step, row).random((length, 2)) for row in rows]
        return torch.from_numpy(np.stack(found)).permute(2, 0, 1).to(device)

    @property
    def _is_sequential(self) -> bool:
        recurrent = bool(getattr(self.model, "_is_stateful", False))
        return recurrent if self.options.passes == "auto" else self.options.passes == "sequential"

    def _sequential(
        self, batch: dict[str, Tensor], right: Tensor, own: Tensor, numbers: Tensor, choose: Choose
    ) -> Tensor:
        """Lets the model predict each token from its actual inputs."""
        given = right.clone()
        with decoding([self.model], batch) as (decoder,):  # type: ignore[list-item]
            for place in range(1, right.shape[1]):
                tokens = choose(decoder.step(given[:, place - 1]), numbers[:, place])
                given[:, place] = torch.where(own[:, place], tokens, right[:, place])
        return given

    def _parallel(
        self, batch: dict[str, Tensor], right: Tensor, own: Tensor, numbers: Tensor, choose: Choose
    ) -> Tensor:
        """Lets the model predict all tokens from gold inputs."""
        asked = torch.cat([own[:, 1:], torch.zeros_like(own[:, :1])], 1)  # each input is the previous output
        given, drawn = right.clone(), numbers[own]
        chunks = list(self.logits(self.inputs(batch), asked))
        sizes = [len(chunk) for chunk in chunks]
        given[own] = torch.cat([choose(*pair) for pair in zip(chunks, drawn.split(sizes), strict=True)])
        return given


def _best(logits: Tensor, _: Tensor) -> Tensor:
    return logits.argmax(-1)


def linear(options: SamplingOptions, step: int, steps: int) -> float:
    """max(minimum, k - c i), by default from 1 down to the minimum at the run's end."""
    k = 1.0 if options.k is None else options.k
    c = (k - options.minimum) / max(1, steps) if options.c is None else options.c
    return min(1.0, max(options.minimum, k - c * step))


def exponential(options: SamplingOptions, step: int, steps: int) -> float:
    """k^i; k is below 1."""
    k = HALF ** (2 / max(1, steps)) if options.k is None else options.k
    return min(1.0, k**step)


def inverse_sigmoid(options: SamplingOptions, step: int, steps: int) -> float:
    """K / (k + exp(i / k)); k is at least 1."""
    k = _half_life(steps / 2) if options.k is None else options.k
    return 1 / (1 + math.exp(min(700.0, step / k)) / k)


def _half_life(step: float) -> float:
    """The k with which the inverse sigmoid is 0.5 at a step, where k ln k is that step."""
    k = math.e
    for _ in range(50):  # Newton's method; k ln k is convex
        k = (k + max(step, 0.0)) / (math.log(k) + 1)
    return k


def constant(options: SamplingOptions, step: int, steps: int) -> float:
    """K."""
    return min(1.0, HALF if options.k is None else options.k)


SCHEDULES: dict[str, Callable[[SamplingOptions, int, int], float]] = {
    "linear": linear,
    "exponential": exponential,
    "inverse_sigmoid": inverse_sigmoid,
    "constant": constant,
}
