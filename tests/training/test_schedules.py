"""Our learning rates are those of transformers' schedulers, at every step."""

import pytest
import torch
from transformers import get_scheduler

from hf_seq2seq.configs import SCHEDULES, Schedule
from hf_seq2seq.training.schedules import learning_rate_factor, warmup_steps

TOTAL = 40


def rates_of_transformers(kind: str, warmup: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    only = {"num_decay_steps": 8, "decay_type": "linear"} if kind == "warmup_stable_decay" else None
    scheduler = get_scheduler(kind, optimizer, warmup, TOTAL, only)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("warmup", [0, 1, 7, TOTAL])
@pytest.mark.parametrize("kind", SCHEDULES)
def test_equals_transformers(kind: str, warmup: int) -> None:
    schedule = Schedule(lr_scheduler_type=kind, warmup_steps=warmup)
    found = [learning_rate_factor(step, schedule, TOTAL) for step in range(TOTAL)]
    assert found == pytest.approx(rates_of_transformers(kind, warmup), abs=1e-12)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_beyond_the_end_no_rate_is_negative(kind: str) -> None:
    assert learning_rate_factor(TOTAL + 5, Schedule(lr_scheduler_type=kind, warmup_steps=3), TOTAL) >= 0


def test_warm_up_as_a_share_is_rounded_up_and_steps_go_first() -> None:
    assert warmup_steps(Schedule(warmup_ratio=0.06), 50) == 3
    assert warmup_steps(Schedule(warmup_ratio=0.061), 50) == 4
    assert warmup_steps(Schedule(warmup_ratio=0.5, warmup_steps=2), 50) == 2
