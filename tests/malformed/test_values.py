"""Values that no option can have, for every option of every command."""

import dataclasses
import json
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.api.recipe_files import names
from hf_seq2seq.cli.average import AverageConfig
from hf_seq2seq.cli.classify import ClassifyConfig
from hf_seq2seq.cli.evaluate import EvaluateConfig
from hf_seq2seq.cli.export import ExportConfig
from hf_seq2seq.cli.generate import GenerateConfig
from hf_seq2seq.cli.pull import PullConfig
from hf_seq2seq.cli.push import PushConfig
from hf_seq2seq.cli.rate import RateConfig
from hf_seq2seq.cli.ratings import RatingsConfig
from hf_seq2seq.cli.tokenizer import TokenizerConfig
from hf_seq2seq.evaluation.comparison_options import CompareConfig
from hf_seq2seq.reports.options import AnalyzeConfig
from hf_seq2seq.sections import build, flag, options
from hf_seq2seq.tuning.ablation_config import AblateConfig

COMMANDS: dict[tuple[str, ...], Any] = {
    ("generate", "model"): GenerateConfig,
    ("classify", "labels"): ClassifyConfig,
    ("evaluate", "model"): EvaluateConfig,
    ("analyze", "model"): AnalyzeConfig,
    ("compare", "a", "b"): CompareConfig,
    ("ablate",): AblateConfig,
    ("rate", "good.tsv"): RateConfig,
    ("ratings", "key", "file"): RatingsConfig,
    ("average", "a", "b"): AverageConfig,
    ("export", "model", "new"): ExportConfig,
    ("push", "model"): PushConfig,
    ("pull", "me/model", "new"): PullConfig,
    ("tokenizer", "train"): TokenizerConfig,
} | {("train", name): import_module(f"hf_seq2seq.recipes.{name}").Config for name in names()}
HUGE = "9" * 30
NOT_NUMBERS = ("x", "", "1,5", "0x10", "--1", "1e", "True", "9" * 5000)


def bad_values(item: "dataclasses.Field[Any]", hint: Any, turn: int) -> Iterator[str]:
    """Values that an option cannot have, by its type and its limits; of those that are no numbers a few in turn."""
    kinds = typing.get_args(hint) or (hint,)
    limits = item.metadata
    if int in kinds or float in kinds:
        yield from ("nan", "inf", "-inf", NOT_NUMBERS[turn % len(NOT_NUMBERS)])
    if int in kinds:
        yield from (HUGE, "1.5")
    for limit, step in (("at_least", -1), ("above", 0), ("at_most", 1)):
        if limits.get(limit) is not None:
            yield str(limits[limit] + step)
    if limits.get("choices"):
        yield from ("bogus", "\udce4")


def calls() -> Iterator[tuple[tuple[str, ...], str, list[str]]]:
    """Every option of every command once; what recipes share, for the first of them."""
    seen = set()
    for command, config in COMMANDS.items():
        sections = typing.get_type_hints(config)
        for name, (section, item) in options(config).items():
            values = list(bad_values(item, typing.get_type_hints(sections[section])[name], len(seen)))
            if values and (command[0], name) not in seen:
                seen.add((command[0], name))
                yield command, name, values


ALL = list(calls())


def test_there_are_many() -> None:
    assert sum(len(values) for *_, values in ALL) >= 300
    assert {command[0] for command, *_ in ALL} == {command[0] for command in COMMANDS} - {"push", "pull", "average"}


@pytest.mark.parametrize(("command", "name", "values"), ALL, ids=lambda part: part if isinstance(part, str) else "")
def test_values(refused: Any, command: tuple[str, ...], name: str, values: list[str]) -> None:
    for value in values:
        assert flag(name) in refused(*command, f"{flag(name)}={value}")


@pytest.mark.parametrize("value", ["4294967295", "0"])
def test_seeds_that_numpy_takes(value: str) -> None:
    assert build(RateConfig, {"seed": value}).questions.seed == int(value)


def test_many_rows_are_all() -> None:
    assert build(EvaluateConfig, {"max_predict_samples": "1000000000000"}).rows.max_predict_samples == 10**12


def test_a_text_to_split_that_is_not_utf8(refused: Any) -> None:
    assert "'\\udcff' is not UTF-8 text" in refused("tokenizer", "show", "model", "\udcff")


@pytest.mark.parametrize("name", ["low", "high"])
def test_a_rating_key_with_infinity(refused: Any, place: Path, name: str) -> None:
    key = {"sheet": "a", "criteria": ["fluency"], "low": 1, "high": 5, "systems": ["x"]}
    texts = [{"id": "1A", "row": 1, "systems": ["x"]}]
    (place / "key.json").write_text(json.dumps(key | {"texts": texts, name: float("inf")}))
    assert "key.json: not a key of a rating sheet" in refused("ratings", "key.json", "key.json")
