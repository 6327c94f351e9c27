"""Optimizers continue from their saved state bit for bit, and do not decay vectors."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hf_seq2seq.configs import Optimization
from hf_seq2seq.errors import InputError
from hf_seq2seq.training.optimizers import (
    check_optimizer,
    load_optimizer,
    make_optimizer,
    optimizer_state,
    save_optimizer,
)

SCHEDULE_FREE = pytest.param(
    "schedule_free_adamw",
    marks=pytest.mark.skipif(find_spec("schedulefree") is None, reason="needs the package schedulefree"),
)
KINDS = ["adamw", "adafactor", SCHEDULE_FREE]


def parameters() -> dict[str, nn.Parameter]:
    torch.manual_seed(1)
    named = {
        "weight": torch.randn(4, 5),
        "bias": torch.randn(4),
        "kernel": torch.randn(2, 3, 4),
        "frozen": torch.randn(3, 2),
    }
    return {name: nn.Parameter(value, requires_grad=name != "frozen") for name, value in named.items()}


def train(named: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        torch.manual_seed(step)
        for parameter in named.values():
            if parameter.requires_grad:
                parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        optimizer.zero_grad()


def values(named: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in named.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_continues_bit_for_bit(kind: str, tmp_path: Path) -> None:
    options = Optimization(optim=kind, weight_decay=0.1, learning_rate=0.01)
    whole = parameters()
    train(whole, make_optimizer(whole, options), range(7))

    first = parameters()
    optimizer = make_optimizer(first, options)
    train(first, optimizer, range(3))
    scalars = save_optimizer(optimizer_state(optimizer), tmp_path / "optimizer.safetensors")

    second = parameters()
    for name, value in values(first).items():
        second[name].data.copy_(value)
    resumed = make_optimizer(second, options)
    load_optimizer(resumed, tmp_path / "optimizer.safetensors", scalars)
    train(second, resumed, range(3, 7))
    for name, value in values(whole).items():
        assert torch.equal(second[name], value), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_state_is_saved(kind: str, tmp_path: Path) -> None:
    named = parameters()
    optimizer = make_optimizer(named, Optimization(optim=kind))
    train(named, optimizer, range(2))
    scalars = save_optimizer(optimizer_state(optimizer), tmp_path / "optimizer.safetensors")
    saved = set(load_file(tmp_path / "optimizer.safetensors")) | {key for key in scalars if key[0].isdigit()}
    state = optimizer.state_dict()["state"]
    assert saved == {f"{i}.{name}" for i, entries in state.items() for name, v in entries.items() if v is not None}
    assert all(isinstance(value, int | float) for value in scalars.values())


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_spared_weight_decay(kind: str) -> None:
    named = parameters()
    before = values(named)
    optimizer = make_optimizer(named, Optimization(optim=kind, weight_decay=0.5, learning_rate=0.1))
    for parameter in named.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name in ("weight", "kernel"):
        torch.testing.assert_close(named[name].detach(), before[name] * 0.95)
    for name in ("bias", "frozen"):
        torch.testing.assert_close(named[name].detach(), before[name])


def test_adamw_is_that_of_torch() -> None:
    named, plain = parameters(), parameters()
    options = Optimization(learning_rate=0.01, adam_beta1=0.8, adam_beta2=0.9, adam_epsilon=0.1)
    train(named, make_optimizer(named, options), range(3))
    expected = torch.optim.AdamW(plain.values(), lr=0.01, betas=(0.8, 0.9), eps=0.1, weight_decay=0.0, foreach=False)
    train(plain, expected, range(3))
    for name, value in values(plain).items():
        torch.testing.assert_close(named[name].detach(), value)


def test_adafactor_takes_the_learning_rate_as_it_is() -> None:
    named = {"weight": nn.Parameter(torch.full((3, 4), 100.0))}
    named["weight"].grad = torch.ones(3, 4)
    make_optimizer(named, Optimization(optim="adafactor", learning_rate=0.01)).step()
    # Scaling by the parameter would move it by 1.
    torch.testing.assert_close(named["weight"].detach(), torch.full((3, 4), 99.99), atol=1e-4, rtol=0)


def test_adafactor_scales_by_each_parameter_where_asked() -> None:
    named = {str(size): nn.Parameter(torch.full((3, 4), size)) for size in (100.0, 1.0)}
    for parameter in named.values():
        parameter.grad = torch.ones(3, 4)
    make_optimizer(named, Optimization(optim="adafactor", learning_rate=0.01, scale_parameter=True)).step()
    torch.testing.assert_close(named["100.0"].detach(), torch.full((3, 4), 99.0))
    torch.testing.assert_close(named["1.0"].detach(), torch.full((3, 4), 0.99))


def test_parameters_are_scaled_by_adafactor_alone() -> None:
    with pytest.raises(InputError, match=r"--scale-parameter: --optim adamw has no such option; add --optim adafactor"):
        check_optimizer(Optimization(scale_parameter=True))


@pytest.mark.parametrize(
    ("optim", "package", "extra"),
    [("schedule_free_adamw", "schedulefree", "schedulefree"), ("adamw_8bit", "bitsandbytes", "quantization")],
)
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, optim: str, package: str, extra: str
) -> None:
    monkeypatch.setattr("hf_seq2seq.training.optimizers.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"--optim {optim}: {package} is not installed; .*hf-seq2seq\[{extra}\]"):
        check_optimizer(Optimization(optim=optim))


def test_eight_bits_need_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_seq2seq.training.optimizers.find_spec", lambda name: name)
    with pytest.raises(InputError, match="--optim adamw_8bit needs a GPU; use --optim adamw"):
        check_optimizer(Optimization(optim="adamw_8bit"), on_cpu=True)
