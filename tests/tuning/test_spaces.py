"""Families: what a trial needs to differ from the base by its settings alone."""

import dataclasses

import pytest

from hf_seq2seq.sections import Choice
from hf_seq2seq.tuning.domains import Choices, Range
from hf_seq2seq.tuning.preparing import look
from hf_seq2seq.tuning.spaces import Family, around_defaults

BASE = {"hidden_size": 256, "dropout": 0.4, "encoder_layers": 2, "max_steps": 900, "num_train_epochs": 3.0}
DERIVED = (
    Choice("dropout", 0.4, "few rows", ("hidden_size",)),
    Choice("encoder_layers", 2, "few rows", ("decoder_layers", "hidden_size")),
    Choice("max_steps", 900, "few rows", ("num_train_epochs",)),
)


def family(*varied: str) -> Family:
    space = {name: Choices.of(name, [BASE[name], 1]) for name in varied}
    return Family("rnn", {}, BASE, space, DERIVED)


def test_the_base_needs_no_flags() -> None:
    assert family("hidden_size", "dropout").held({}) == {}


def test_a_trial_of_another_width_keeps_what_is_drawn_and_what_is_derived_for_the_base() -> None:
    assert family("hidden_size", "dropout").held({"hidden_size": 1}) == {"dropout": 0.4, "encoder_layers": 2}
    assert family("hidden_size", "dropout").held({"dropout": 1}) == {"hidden_size": 256, "encoder_layers": 2}
    assert family("dropout").held({"dropout": 1}) == {}


def test_rules_of_steps_are_left_to_the_settings_that_switch_them_off() -> None:
    assert family("num_train_epochs", "dropout").held({"num_train_epochs": 1}) == {"dropout": 0.4}
    assert family("num_train_epochs").held({"num_train_epochs": 1}) == {}
    kept = family("num_train_epochs", "dropout").held({"dropout": 1})
    assert kept == {"num_train_epochs": 3.0, "max_steps": 900}


@pytest.mark.parametrize(
    ("recipe", "given"),
    [("rnn", {}), ("transformer", {}), ("t5", {"from_scratch": True}), ("gpt", {"from_scratch": True})],
)
def test_what_a_trial_does_not_vary_is_as_in_the_base(recipe, given, tmp_path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("source,target\n" + "".join(f"w{n:03},W {n:03}\n" for n in range(120)))
    values = {"train_file": str(path), "output_dir": str(tmp_path / "out")}
    found = look(recipe, given, values)
    base = found.family.base
    whole = dataclasses.replace(found.family, space=around_defaults(found.config_class, base))
    for name in {"learning_rate", "width", "model_size"} & whole.space.keys():
        domain = whole.space[name]
        drawn = {domain.name: domain.low} if isinstance(domain, Range) else list(domain.options.values())[-1]
        settings = {key: value for key, value in drawn.items() if base[key] != value}
        trained = look(recipe, given, values | whole.held(settings) | settings).family.base
        assert trained == base | settings
