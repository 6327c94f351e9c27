"""Learning rates as a function of only the step, so a resumed run needs no scheduler state."""

import math
from dataclasses import replace

from hf_seq2seq.configs import Schedule

DECAY_SHARE = 0.2  # of all steps, at the end of warmup_stable_decay


def warmup_steps(schedule: Schedule, total: int) -> int:
    """Steps of warm-up: `warmup_steps`, or the share of `total` given by `warmup_ratio`."""
    return schedule.warmup_steps or math.ceil(schedule.warmup_ratio * total)


def unended_warmup(schedule: Schedule, total: int) -> list[str]:
    """A line about a warm-up that does not end before the last step, if it is so."""
    steps = schedule.warmup_steps
    rate = f"the learning rate only reaches {total / max(1, steps):.2g} of its peak"
    return [f"--warmup-steps: {steps} is not before the last step, {total}: {rate}"] if steps > total else []


def learning_rate_factor(step: int, schedule: Schedule, total: int) -> float:
    """The factor of the peak learning rate in optimizer step `step`, counted from 0.

    The values are those of `transformers.get_scheduler`. `inverse_sqrt` without warm-up decays on a
    scale of 10,000 steps, as there. `warmup_stable_decay` stays at the peak until the last fifth of
    all steps, in which it falls linearly. A schedule that falls ends at `min_learning_rate_ratio`, which scales
    what it does above that; `inverse_sqrt`, which has no end, stops falling there.

    Papers: Vaswani et al., 2017, section 5.3 (inverse square root with warm-up), https://arxiv.org/abs/1706.03762;
    Hägele et al., 2024, section 3 (constant, then a decay over the last 20 %), https://arxiv.org/abs/2405.18392
    """
    warmup, least = warmup_steps(schedule, total), schedule.min_learning_rate_ratio
    kind = schedule.lr_scheduler_type
    if kind == "constant":
        return 1.0
    if step < warmup:
        return step / warmup
    if kind == "constant_with_warmup":
        return 1.0
    if kind == "inverse_sqrt":
        scale = warmup or 10_000
        return max(least, math.sqrt(scale / (step + scale - warmup)))
    if kind == "warmup_stable_decay":
        left = min(1.0, max(0, total - step) / math.ceil(DECAY_SHARE * total))
        return least + (1 - least) * left
    left = max(0.0, 1 - (step - warmup) / max(1, total - warmup))
    if kind == "cosine":
        left = 0.5 * (1 + math.cos(math.pi * (1 - left)))
    elif kind == "polynomial":
        left = left**schedule.lr_power
    return least + (1 - least) * left


def followed(schedule: Schedule, optim: str) -> Schedule:
    """The schedule that an optimizer follows: of it, the schedule-free one has only the warm-up."""
    if optim != "schedule_free_adamw" or schedule.lr_scheduler_type == "constant":
        return schedule
    return replace(schedule, lr_scheduler_type="constant_with_warmup", lr_power=1.0, min_learning_rate_ratio=0.0)
