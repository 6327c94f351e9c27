"""What is chosen for conversations, raw text, mixtures and decoder-only models."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq import preview, train
from hf_seq2seq.api import recipe_files
from hf_seq2seq.data.text_kinds import look_at
from hf_seq2seq.defaults import choosing, conversations, raw_text, schedules
from hf_seq2seq.defaults.conversations import Exchanges
from hf_seq2seq.defaults.schedules import Lengths
from hf_seq2seq.recipes import rnn
from hf_seq2seq.saved.run_settings import read_run
from hf_seq2seq.sections import build, flatten, options

TOWNS = ("Rome", "Paris", "Madrid", "London", "Bombay")


def prepared(recipe: str, values: Mapping[str, Any]) -> Any:
    module = recipe_files.load(recipe)
    return module.prepare(build(module.Config, {"output_dir": "no/such/folder"} | dict(values)))


@pytest.fixture
def dialogues(tmp_path: Path) -> str:
    """A hundred conversations of two replies, of which few differ."""
    path = tmp_path / "talk.jsonl"
    with path.open("w") as file:
        for number in range(100):
            town = TOWNS[number % 5]
            said = [
                "hi",
                "hello what can i help you with today",
                f"a table in {town} " * (1 + number % 7),
                f"call {town}",
            ]
            roles = ("user", "assistant") * 2
            messages = [{"role": role, "content": text.strip()} for role, text in zip(roles, said, strict=True)]
            file.write(json.dumps({"messages": messages}) + "\n")
    return str(path)


@pytest.fixture
def prose(tmp_path: Path) -> str:
    """Two hundred lines of text."""
    path = tmp_path / "prose.txt"
    lines = (f"The {n % 17} ships from {TOWNS[n % 5]} came home in the year {n}." for n in range(200))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("recipe", "given"),
    [
        ("rnn", {"hidden_size": 16}),
        ("transformer", {"d_model": 16}),
        ("t5", {"from_scratch": True}),
        ("gpt", {"from_scratch": True}),
    ],
)
def test_conversations_get_lengths_batches_steps_and_metrics(
    dialogues: str, recipe: str, given: dict[str, Any]
) -> None:
    task = prepared(recipe, {"train_file": dialogues, "objective": "dialogue"} | given)
    config = task.config
    names = {choice.name for choice in config.derived}
    assert names >= {"max_source_length", "max_target_length", "max_tokens_per_batch", "max_steps", "vocab_size"}
    assert names >= {"validation_split_percentage", "num_beams", "warmup_steps", "eval_steps"}
    assert len(task.splits["validation"]) == 20  # a row per reply
    assert config.evaluation.metrics == ("exact_match", "bleu")
    assert config.schedule.metric_for_best_model == "exact_match"
    assert ("position_embedding_type" in names) == (recipe == "transformer")
    assert task.splits["train"].truncated == (0, 0)
    assert config.tokens.max_source_length < 256
    longest = int(task.splits["train"].lengths.sum(axis=1).max())
    assert config.optimization.max_tokens_per_batch >= longest


@pytest.mark.parametrize(("recipe", "given"), [("transformer", {"d_model": 16}), ("gpt", {"from_scratch": True})])
def test_many_replies_are_not_all_validated_but_tested(
    dialogues: str, recipe: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{split}_file": dialogues for split in ("train", "validation", "test")} | {"objective": "dialogue"}
    monkeypatch.setattr(conversations, "MOST_REPLIES", 60)
    task = prepared(recipe, files | given)
    assert {name: len(rows) for name, rows in task.splits.items() if name != "train"} == {"validation": 60, "test": 200}
    (choice,) = (choice for choice in task.config.derived if choice.name == "max_eval_samples")
    assert (choice.value, choice.reason) == (30, "about 60 of 200 replies are enough to choose a checkpoint by")
    again = prepared(recipe, files | given | {"max_eval_samples": 30})  # as in the run's run.yaml
    assert again.splits["validation"].texts == task.splits["validation"].texts
    whole = prepared(recipe, files | given | {"max_eval_samples": 100})
    assert len(whole.splits["validation"]) == 200


def test_several_sets_share_the_validated_replies() -> None:
    (choice,) = conversations.validated_choices([[3] * 2_000, [3] * 100, [1, 2]])
    assert choice.value == (2_000 - 300 - 3) // 3
    assert not list(conversations.validated_choices([[3] * 600, [2] * 100]))
    assert next(conversations.validated_choices([[5_000, 1]])).value == 1


def test_free_replies_are_compared_by_their_words() -> None:
    texts = [f"it is {number} miles to {TOWNS[number % 5]}" for number in range(60)]
    found = Exchanges.of(look_at(texts), look_at(texts), texts)
    chosen = {choice.name: choice.value for choice in conversations.reply_metric_choices(found, validated=True)}
    assert chosen == {"metrics": ("bleu", "chrf"), "metric_for_best_model": "bleu"}
    repeated = Exchanges.of(look_at(texts), look_at(texts), ["yes", "no"] * 30)
    (metrics,) = conversations.reply_metric_choices(repeated, validated=False)
    assert metrics.value == ("exact_match", "bleu")


def test_replies_too_short_for_runs_of_four_words_have_no_bleu() -> None:
    texts = ["a table", "yes", "for four"] * 20
    found = Exchanges.of(look_at(texts), look_at(texts), texts)
    repeated, free = (
        {choice.name: choice.value for choice in conversations.reply_metric_choices(each, validated=True)}
        for each in (found, replace(found, different=60))
    )
    assert repeated == {"metrics": ("exact_match", "chrf"), "metric_for_best_model": "exact_match"}
    assert free == {"metrics": ("chrf",), "metric_for_best_model": "chrf"}


@pytest.mark.parametrize(
    ("recipe", "given"),
    [
        ("gpt", {"objective": "causal"}),
        ("gpt", {"objective": "causal", "one_document": True}),
        ("bert_classifier", {"objective": "masked_language_model"}),
        ("t5", {"objective": "span_corruption"}),
        ("bart", {"objective": "text_infilling"}),
    ],
)
def test_raw_text_gets_a_vocabulary_batches_steps_and_validation(
    prose: str, recipe: str, given: dict[str, Any]
) -> None:
    task = prepared(recipe, {"train_file": prose, "from_scratch": True} | given)
    config, chosen = task.config, {choice.name: choice.value for choice in task.config.derived}
    assert config.tokens.vocab_size == chosen["vocab_size"] == 500
    assert config.schedule.max_steps == chosen["max_steps"] > 25
    assert config.optimization.learning_rate == (1e-2 if recipe == "t5" else 6e-4 if "bert" in recipe else 1.5e-3)
    assert (chosen["validation_split_percentage"], "validation" in task.splits) == (10, True)
    assert chosen["block_size" if recipe == "gpt" else "max_source_length"] in (128, 256, 512)
    assert not {"label_smoothing_factor", "num_beams", "metrics"} & chosen.keys()


def test_more_text_takes_fewer_passes() -> None:
    passes = [raw_text.text_passes(Lengths(rows, 250, 0, 250.0), 1) for rows in (40, 4_000, 40_000, 4_000_000)]
    assert [round(found.epochs) for found in passes] == [40, 16, 5, 4]
    assert passes[0].budget == 512
    assert passes[-1].budget == 4_096


def test_source_and_target_of_one_sequence_share_its_positions() -> None:
    found = {c.name: c.value for c in schedules.shared_length_choices(Lengths(9, 900, 300, 0), 512)}
    assert found == {"max_source_length": 256, "max_target_length": 256}
    free = {c.name: c.value for c in schedules.shared_length_choices(Lengths(9, 900, 30, 0))}
    assert free == {"max_source_length": 1024, "max_target_length": 38}


def test_pairs_of_a_decoder_get_lengths_and_steps(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    rows = "".join(f"the number {n} of {TOWNS[n % 5]}\tzahl {n} von {TOWNS[n % 5]}\n" for n in range(120))
    path.write_text("source\ttarget\n" + rows)
    task = prepared("gpt", {"train_file": str(path), "from_scratch": True})
    chosen = {choice.name: choice.value for choice in task.config.derived}
    assert {"max_steps", "max_tokens_per_batch", "max_source_length", "learning_rate"} <= chosen.keys()
    assert chosen["learning_rate"] == 1.5e-3
    assert task.splits["train"].truncated == (0, 0)
    assert task.model.config.n_positions == chosen["max_source_length"] + chosen["max_target_length"]


def test_a_mixture_gets_metrics_of_each_task_tokenizers_and_steps(tmp_path: Path) -> None:
    path = tmp_path / "tasks.yaml"
    tasks = {"spell": [(town.lower(), " ".join(town)) for town in TOWNS * 30], "say": _sentences(150)}
    lines = []
    for name, rows in tasks.items():
        file = tmp_path / f"{name}.tsv"
        file.write_text("source\ttarget\n" + "".join(f"{source}\t{target}\n" for source, target in rows))
        lines.append(f"{name}:\n  train_file: {file}\n  source_prefix: '{name}: '\n")
    path.write_text("".join(lines))
    flags = {"mixture": str(path), "from_scratch": True, "mixing": "equal", "mixing_cap": 120}
    task = prepared("t5", flags)
    chosen = {choice.name: choice.value for choice in task.config.derived}
    assert chosen.keys() >= {"max_source_length", "max_tokens_per_batch", "max_steps", "vocab_size", "metrics"}
    assert task.set_metrics == {"spell": ("word_error_rate", "phoneme_error_rate"), "say": ("bleu", "chrf")}
    assert {name: len(rows) for name, rows in task.splits.items()} == {
        "train": 270,
        "validation_spell": 15,
        "validation_say": 15,
    }
    told = [choice.reason for choice in task.config.derived if choice.name == "validation_split_percentage"]
    assert [reason.split(":")[0] for reason in told] == ["task spell", "task say"]
    per_epoch = next(choice.reason for choice in task.config.derived if choice.name == "max_tokens_per_batch")
    assert "240 rows" in per_epoch  # of an epoch, not of the files
    assert prepared("t5", flags | {"metrics": "chrf"}).set_metrics == {"spell": ("chrf",), "say": ("chrf",)}


def _sentences(rows: int) -> list[tuple[str, str]]:
    return [(f"the {n % 17} ships of {TOWNS[n % 5]} sank in {n}", f"{n} sank {n % 17} ships") for n in range(rows)]


@pytest.mark.usefixtures("forked")
def test_two_processes_choose_what_one_chooses(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    rows = [(f"{town}{n}".lower(), " ".join(town)) for n in range(8) for town in TOWNS]
    path.write_text("source\ttarget\n" + "".join(f"{source}\t{target}\n" for source, target in rows))
    flags: dict[str, Any] = {"train_file": str(path), "hidden_size": 8, "embedding_size": 8, "use_cpu": True}
    alone = flatten(prepared("rnn", flags).config)
    folder = tmp_path / "out"
    run = train("rnn", **flags, num_processes=2, output_dir=str(folder), early_stopping_patience=None)
    assert run.results["train_processes"] == 2
    both = read_run(folder / "run.yaml")
    differ = {name for name in choosing.DERIVABLE & alone.keys() if both[name] != alone[name]}
    assert differ == {"max_tokens_per_batch"}
    assert both["max_tokens_per_batch"] == alone["max_tokens_per_batch"] / 2
    shown = preview("rnn", **flags, num_processes=2).text
    assert f"max_tokens_per_batch {both['max_tokens_per_batch']}" in shown


def test_the_start_of_a_run_tells_what_differs_from_the_help(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("source\ttarget\n" + "".join(f"{source}\t{target}\n" for source, target in _sentences(150)))
    config = prepared("rnn", {"train_file": str(path)}).config
    told = choosing.describe_briefly(config)
    assert len(told) <= 8
    text = "\n".join(told)
    for choice in config.derived:
        default = options(type(config))[choice.name][1].default
        assert (f"{choice.name} " in text) == (choice.value != default)
    usual = sum(choice.value == options(type(config))[choice.name][1].default for choice in config.derived)
    assert f"beside {usual} that are as in --help" in told[0]
    assert choosing.describe_briefly(rnn.Config()) == []
