"""Scheduled sampling: the decoder increasingly learns to continue from its own tokens."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.decoding.generation import evaluating
from hf_seq2seq.decoding.sampling import choose_tokens
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.sections import Section, option

Choose = Callable[[Tensor, Tensor], Tensor]
HALF = 0.5
"""Default share of gold inputs halfway through a run."""
HARDLY = 0.95
"""Share of gold inputs at the end of a run above which it is warned of."""
USUAL = ("token", "sample")
"""Defaults of coin and choice."""
PLACE = "--loss-args of scheduled_sampling"


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(Section):
    """Schedule of the share of gold inputs, and the source of the others."""

    schedule: str = option(
        "inverse_sigmoid",
        "How the share of gold inputs decays.",
        choices=("inverse_sigmoid", "exponential", "linear", "constant", "none"),
    )
    k: float | None = option(None, "The schedule's k.", at_least=0)
    c: float | None = option(None, "Linear: decrease per step.", at_least=0)
    minimum: float = option(0.0, "Linear: minimum share.", at_least=0, at_most=1)
    start: int = option(0, "Optimizer steps with gold inputs alone before the schedule begins.", at_least=0)
    coin: str = option(
        USUAL[0],
        "What a coin decides on: a token, or a whole sequence, which gave worse results in the paper.",
        choices=("token", "sequence"),
    )
    choice: str = option(USUAL[1], "The model's token: sampled, or its best.", choices=("sample", "argmax"))
    passes: str = option(
        "auto", "Token by token, or all at once from gold inputs.", choices=("auto", "sequential", "parallel")
    )

    def __post_init__(self) -> None:
        """Checks all values, that they apply to the schedule, and that it neither stands still nor is over at once."""
        super().__post_init__()
        k, name = self.k, self.schedule
        if k is not None and name == "inverse_sigmoid" and k < 1:
            raise InputError(f"k: {k} is too small for inverse_sigmoid; the minimum is 1")
        if k is not None and name in ("exponential", "constant") and k > 1:
            raise InputError(f"k: {k} is too large for {name}; the maximum is 1")
        if name != "linear" and (self.c is not None or self.minimum):
            raise InputError(f"c and minimum: only apply to schedule=linear, not {name}")
        if name == "none" and (k is not None or self.start or (self.coin, self.choice) != USUAL):
            raise InputError("k, start, coin and choice: do not apply to schedule=none, which never samples")
        if (name in ("exponential", "constant") and k == 1) or (
            name == "linear" and self.c == 0 and (k is None or k >= 1)
        ):
            raise InputError(f"schedule={name} with {'k=1' if k == 1 else 'c=0'} never starts: all inputs stay gold")
        self._check_end()

    def _check_end(self) -> None:
        k = 1.0 if self.k is None else self.k
        if self.schedule == "exponential" and k == 0:
            raise InputError("k: with 0 the schedule exponential has ended before step 1; use schedule=constant,k=0")
        if self.schedule == "linear" and k - (self.c or 0.0) <= self.minimum:
            given = ",".join(f"{name}={value:g}" for name, value in (("k", k), ("c", self.c)) if value is not None)
            raise InputError(
                f"schedule=linear with {given} has ended before step 1: its minimum is {self.minimum:g}; "
                f"use schedule=constant,k={self.minimum:g}"
            )


class ScheduledSampling(TokenCrossEntropy):
    """Cross-entropy of the target tokens, where each decoder input is the gold token with probability epsilon.

    Otherwise it is the model's own token for that position. `sequential`, the default for recurrent models, runs the
    model token by token, so that its token follows its actual inputs; `parallel`, the default for Transformers,
    predicts all tokens at once in a first pass on gold inputs. No gradient flows through the choice of a token.

    After `start` steps the share falls with the optimizer step i: linear max(minimum, k - c i), exponential k^i,
    inverse sigmoid k / (k + exp(i / k)), which starts at k / (k + 1) and not at 1; constant is k, and none is 1. By
    default it is 0.5 halfway through the rest of the run. Random choices are seeded by the run's seed, the step and the
    row's index. The model predicts its tokens without dropout, and a first token forced in generation (a language
    token) is kept, like every token of a prompt.

    The step log has epsilon and the share of inputs that the model's tokens replaced.

    Papers: Bengio et al., 2015, sections 2.3 and 2.4, https://arxiv.org/abs/1506.03099; Mihaylova and Martins, 2019,
    section 3 (two passes), https://aclanthology.org/P19-2049
    """

    Options = SamplingOptions
    reads_rows = True
    logged = ("epsilon", "replaced_tokens")
    options: SamplingOptions
    step = 0
    epsilon = 1.0

    def check_steps(self, steps: int) -> list[str]:
        """Rejects a schedule that begins after the last step; warns of one that has hardly begun by then.

        Raises:
            InputError: names both.
        """
        if self.options.start >= steps:
            raise InputError(
                f"{PLACE}: start: {self.options.start} is too late, for the run has {steps} steps; sampling would "
                "never start"
            )
        options = self.options
        if options.schedule in ("none", "constant"):
            return []
        last = SCHEDULES[options.schedule](options, steps - 1 - options.start, steps - options.start)
        if last < HARDLY:
            return []
        fix = "leave out c" if options.schedule == "linear" and options.k in (None, 1) else "leave out k"
        told = (
            f"warning: {PLACE}: at the last of {steps:,} steps epsilon is still {last:.4g}, so that hardly any input "
            f"is the model's own; {fix}, and it is {HALF} halfway"
        )
        return [told]

    def begin_step(self, step: int, steps: int) -> None:
        """Sets the share of gold inputs."""
        done = step - self.options.start
        left = steps - self.options.start
        self.step = step
        self.epsilon = SCHEDULES[self.options.schedule](self.options, done, left) if done >= 0 else 1.0
        self.generates = self.epsilon < 1

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adds the decoder's inputs, `decoder_input_ids` or `input_ids` `(batch, target)`."""
        able = self._replaceable(batch["labels"])
        count = able.sum()
        self.figures.add("epsilon", self.epsilon * count, count)
        if not self.generates:
            self.figures.add("replaced_tokens", 0.0, count)
            return batch
        right = self.shifted(batch)
        coins, numbers = self._random(batch["rows"].tolist(), right.shape[1], right.device)
        own = able & ((coins if self.options.coin == "token" else coins[:, :1]) >= self.epsilon)
        self.figures.add("replaced_tokens", own.sum(), count)
        rows = own.any(1).nonzero()[:, 0]
        if not len(rows):
            return batch
        inputs = {name: part[rows] for name, part in self.inputs(batch).items()}
        run = self._sequential if self._is_sequential else self._parallel
        with evaluating(self.model):
            mixed = right.index_copy(0, rows, run(inputs, own[rows], numbers[rows]))
        return batch | {self.decoder_inputs: mixed}

    def _replaceable(self, labels: Tensor) -> Tensor:
        """Inputs that were predicted before and from which something is predicted, `(batch, target)`."""
        real = labels != IGNORE
        able = torch.zeros_like(real)
        able[:, 1:] = real[:, :-1] & real[:, 1:]
        generation: Any = self.model.generation_config
        if self.has_encoder and (generation.forced_bos_token_id is not None or self.context.forces_first):
            able[:, 1] = False
        return able

    def _random(self, rows: list[int], length: int, device: torch.device) -> Tensor:
        """Random numbers per decoder input, to choose its source and to sample, `(2, batch, target)` float64."""
        found = [self.context.random(self.step, row).random((length, 2)) for row in rows]
        return torch.from_numpy(np.stack(found)).permute(2, 0, 1).to(device)

    @property
    def _is_sequential(self) -> bool:
        recurrent = bool(getattr(self.model, "_is_stateful", False))
        return recurrent if self.options.passes == "auto" else self.options.passes == "sequential"

    @property
    def _choose(self) -> Choose:
        return _best if self.options.choice == "argmax" else choose_tokens

    def _sequential(self, inputs: dict[str, Tensor], own: Tensor, numbers: Tensor) -> Tensor:
        """Lets the model predict each token from its actual inputs, in one call from one of its tokens to the next."""
        given, mask = inputs[self.decoder_inputs].clone(), inputs["attention_mask"]
        known: dict[str, Any] = {"attention_mask": mask, "past_key_values": None, "use_cache": True}
        if self.has_encoder:
            source = {name: part for name, part in inputs.items() if name != self.decoder_inputs}
            known["encoder_outputs"] = self.model.get_encoder()(**source)  # type: ignore[operator]
        read = 0
        for place in own.any(0).nonzero()[:, 0].tolist():
            wanted = torch.zeros_like(own[:, read:place])
            wanted[:, -1] = own[:, place]
            part = known | {self.decoder_inputs: given[:, read:place]}
            if not self.has_encoder:
                part["attention_mask"] = mask[:, :place]
            states, outputs = self.states_of(part, wanted)
            rows = wanted[:, -1].nonzero()[:, 0]
            given[rows, place] = self._choose(self.logits_of(states), numbers[rows, place])
            read, known["past_key_values"] = place, outputs.past_key_values
        return given

    def _parallel(self, inputs: dict[str, Tensor], own: Tensor, numbers: Tensor) -> Tensor:
        """Lets the model predict all tokens from gold inputs."""
        asked = torch.cat([own[:, 1:], torch.zeros_like(own[:, :1])], 1)  # each input is the previous output
        given, drawn = inputs[self.decoder_inputs].clone(), numbers[own]
        chunks = list(self._chosen(self.logits(inputs, asked), drawn))
        given[own] = torch.cat(chunks)
        return given

    def _chosen(self, chunks: Iterator[Tensor], numbers: Tensor) -> Iterator[Tensor]:
        """The tokens of every chunk of logits, of which only one exists at a time."""
        done = 0
        for logits in chunks:
            yield self._choose(logits, numbers[done : done + len(logits)])
            done += len(logits)


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


def none(options: SamplingOptions, step: int, steps: int) -> float:
    """1: all inputs are gold."""
    return 1.0


SCHEDULES: dict[str, Callable[[SamplingOptions, int, int], float]] = {
    "linear": linear,
    "exponential": exponential,
    "inverse_sigmoid": inverse_sigmoid,
    "constant": constant,
    "none": none,
}
