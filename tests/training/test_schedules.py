"""Our learning rates are those of transformers' schedulers, at every step."""

from typing import Any

import pytest
import torch
from transformers import get_scheduler

from hf_seq2seq.configs import SCHEDULES, Schedule
from hf_seq2seq.errors import InputError
from hf_seq2seq.training.schedules import followed, learning_rate_factor, warmup_steps

TOTAL = 40


def rates_of_transformers(kind: str, warmup: int, least: float = 0.0, power: float = 1.0) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    only = {
        "warmup_stable_decay": {"num_decay_steps": 8, "decay_type": "linear", "min_lr_ratio": least},
        "polynomial": {"lr_end": least, "power": power},
        "cosine_with_min_lr": {"min_lr_rate": least},
    }
    scheduler = get_scheduler(kind, optimizer, warmup, TOTAL, only.get(kind))
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("warmup", [0, 1, 7, TOTAL])
@pytest.mark.parametrize("kind", SCHEDULES)
def test_equals_transformers(kind: str, warmup: int) -> None:
    warmup -= kind == "polynomial" and warmup == TOTAL  # theirs divides by zero
    warmup *= kind != "constant"
    schedule = Schedule(lr_scheduler_type=kind, warmup_steps=warmup)
    found = [learning_rate_factor(step, schedule, TOTAL) for step in range(TOTAL)]
    assert found == pytest.approx(rates_of_transformers(kind, warmup), abs=1e-12)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_beyond_the_end_no_rate_is_negative(kind: str) -> None:
    assert (
        learning_rate_factor(TOTAL + 5, Schedule(lr_scheduler_type=kind, warmup_steps=3 * (kind != "constant")), TOTAL)
        >= 0
    )


def test_warm_up_as_a_share_is_rounded_up_and_steps_go_first() -> None:
    assert warmup_steps(Schedule(warmup_ratio=0.06), 50) == 3
    assert warmup_steps(Schedule(warmup_ratio=0.061), 50) == 4
    assert warmup_steps(Schedule(warmup_ratio=0.5, warmup_steps=2), 50) == 2


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize(
    ("kind", "theirs", "power"),
    [
        ("polynomial", "polynomial", 2.5),
        ("polynomial", "polynomial", 0.5),
        ("cosine", "cosine_with_min_lr", 1.0),
        ("warmup_stable_decay", "warmup_stable_decay", 1.0),
        ("linear", "polynomial", 1.0),
    ],
)
def test_least_rates_and_powers_equal_transformers(kind: str, theirs: str, power: float, warmup: int) -> None:
    options = {"lr_power": power} if kind == "polynomial" else {}
    schedule = Schedule(lr_scheduler_type=kind, warmup_steps=warmup, min_learning_rate_ratio=0.1, **options)
    found = [learning_rate_factor(step, schedule, TOTAL) for step in range(TOTAL)]
    wanted = rates_of_transformers(theirs, warmup, 0.1, power)
    assert found[warmup:] == pytest.approx(wanted[warmup:], abs=1e-12)  # one of theirs starts its warm-up at the least
    assert found[:warmup] == pytest.approx([step / warmup for step in range(warmup)])
    assert learning_rate_factor(TOTAL, schedule, TOTAL) == pytest.approx(0.1)


def test_the_inverse_square_root_stops_at_the_least_rate() -> None:
    schedule = Schedule(lr_scheduler_type="inverse_sqrt", warmup_steps=1, min_learning_rate_ratio=0.2)
    found = [learning_rate_factor(step, schedule, TOTAL) for step in (1, 4, 16, 39)]
    assert found == pytest.approx([1, 0.5, 0.25, 0.2])


def test_the_schedule_free_optimizer_only_warms_up() -> None:
    schedule = followed(Schedule(lr_scheduler_type="cosine", warmup_steps=4), "schedule_free_adamw")
    assert [learning_rate_factor(step, schedule, TOTAL) for step in (0, 2, 4, 39)] == [0, 0.5, 1, 1]
    assert followed(schedule, "adamw") is schedule


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr_power": 2}, "--lr-power: --lr-scheduler-type linear has none; use polynomial"),
        (
            {"min_learning_rate_ratio": 0.1, "lr_scheduler_type": "constant"},
            "--min-learning-rate-ratio: --lr-scheduler-type constant does not fall",
        ),
        (
            {"warmup_ratio": 0.1, "lr_scheduler_type": "constant"},
            "--warmup-ratio: --lr-scheduler-type constant has none; use constant_with_warmup",
        ),
    ],
)
def test_options_of_another_schedule(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Schedule(**options)
