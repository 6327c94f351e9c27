"""The analyses on planted rows: what must trip a rule does, and what must not does not."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_seq2seq.analysis.records import BeamSize, Record
from hf_seq2seq.analysis.sections.beam_sizes import beam_sizes
from hf_seq2seq.analysis.sections.classes import classes
from hf_seq2seq.analysis.sections.confidence import confidence, rank_correlation
from hf_seq2seq.analysis.sections.exposure import exposure
from hf_seq2seq.analysis.sections.failures import RULES, failures
from hf_seq2seq.analysis.sections.ledger import ledger
from hf_seq2seq.analysis.sections.lengths import lengths
from hf_seq2seq.analysis.sections.ngrams import ngrams
from hf_seq2seq.analysis.svg import columns, lines
from hf_seq2seq.analysis.system_charts import curves
from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.recipes import rnn
from hf_seq2seq.reports.options import AnalyzeConfig
from hf_seq2seq.reports.reading import best_of
from hf_seq2seq.reports.undertrained import still_falling
from hf_seq2seq.sections import flag, options

CHRF = TEXT_METRICS["chrf"]
Plant = Callable[..., Record]


def row(output: str, reference: str = "the man reads a red book", source: str = "der Mann liest", **more: Any) -> Any:
    return {"source": source, "outputs": [output], "references": [reference], "attention_peak": 0.3} | more


GOOD = "the man reads a red book"
FLAT = {"attention_covered": 0.9, "attention_on_text": 0.9}
PLANTED: dict[str, tuple[list[Any], list[Any]]] = {
    "empty output": ([row(""), row("  ")], [row("the", "the"), row("", " ")]),
    "under-generation": ([row("the man")], [row("the man reads"), row(""), row("a", "a b")]),
    "over-generation": ([row(f"{GOOD} {GOOD} {GOOD}")], [row(f"{GOOD} {GOOD}"), row("a b", "a")]),
    "cut off": ([row(GOOD, ended=0)], [row(GOOD)]),
    "loop": (
        [row("the the the man"), row("a dog and a dog and a dog and")],
        [row("the the man"), row("no no no", "no no no never")],
    ),
    "repetition": (
        [row("a b c d x a b c d")],
        [row("a b c d e f g h"), row("a b c d x a b c d", "a b c d y a b c d")],
    ),
    "copy failure": (
        [
            row("in 1984", "in 1948", "im Jahr 1948"),
            row("he saw", "he saw Anna", "er sah Anna"),
            row("", "x a@b.de", "a@b.de"),
        ],
        [row("in 1948.", "in 1948", "im Jahr 1948"), row("The man", "The man", "The Mann"), row("x", "7", "8")],
    ),
    "wrong script": ([row("человек читает")], [row(GOOD), row("7 + 3"), row("человек", "человек")]),
    "source copied": ([row("der Mann liest")], [row(GOOD), row("Paris", "Paris", "Paris")]),
    "attention collapse": (
        [row(GOOD, attention_peak=0.8)],
        [row(GOOD), row(GOOD, attention_peak=0.8, source_tokens=2), row(GOOD, attention_peak=float("nan"))],
    ),
    "untranslated source": (
        [row(GOOD, attention_covered=0.3)],
        [row(GOOD, attention_covered=0.9), row(GOOD, attention_covered=0.3, source_tokens=3)],
    ),
    "hallucination": (
        [row("some dogs in the snow", attention_on_text=0.1)],
        [row(GOOD, attention_on_text=0.1), row("some dogs in snow now", attention_on_text=0.8)],
    ),
}


def test_every_rule_is_tested() -> None:
    assert set(PLANTED) == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_rules(plant: Plant, name: str) -> None:
    wrong, right = PLANTED[name]
    # With many good rows the bad ones are in the lowest tenth.
    rows = [*wrong, *right, *(row(GOOD, **FLAT) for _ in range(20 if name == "hallucination" else 1))]
    found = failures(plant(rows))
    assert found is not None
    assert found.numbers["rows"][name] == list(range(1, len(wrong) + 1))


def test_identical_outputs_of_different_sources(plant: Plant) -> None:
    rows = [row("yes", source="a"), row("yes", source="b"), row("no", source="c"), row("no", source="c")]
    found = failures(plant(rows))
    assert found is not None
    assert found.numbers["rows"]["identical outputs"] == [1, 2]
    assert found.numbers["most_common_output"]["rows"] == 2


def test_a_model_without_attention_is_not_judged_by_it(plant: Plant) -> None:
    found = failures(plant([row(GOOD)], attends=False))
    assert found is not None
    assert not {"attention collapse", "untranslated source", "hallucination"} & set(found.numbers["rules"])


HALF = [row(GOOD, f"{GOOD} {n}", n_words=n) for n in range(30)]
FAULTS: dict[str, list[Any]] = {
    "exposure": [row("a dog", forced=GOOD) for _ in range(10)],
    "search error": [row("a dog", missed=True, value=-2.0, reference_value=-1.0) for _ in range(10)],
    "ranking of the n-best": [{**row("a dog"), "outputs": ["a dog runs very fast", GOOD]} for _ in range(10)],
    "length": [row(f"{GOOD} and some other people in the street") for _ in range(10)],
    "repetition": [row(f"the man reads {'a red ' * 8}book") for _ in range(10)],
    "wrong copies": [row("Bob sees 7", "he sees 123456789", "er sieht 123456789") for _ in range(10)],
    "unknown words": [row("it is", unknown_source=2) for _ in range(10)],
    "truncated sources": [row("it is", truncated=1) for _ in range(10)],
    "outputs cut off": [row("it is", ended=0) for _ in range(10)],
    "suspected label noise": [
        row("two dogs run", confidence=0.9, log_prob=-1, reference_log_prob=-90, reference_tokens=9) for _ in range(10)
    ],
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_comes_first_in_the_ledger(plant: Plant, name: str) -> None:
    found = ledger(plant([*HALF, *FAULTS[name]]))
    assert found is not None
    first = found.numbers["lines"][0]
    assert (first["fault"], first["rows"]) == (name, 10)
    assert 0 < first["low"] <= first["gain"] <= first["high"]
    assert first["remedy"]
    others = [line["rows"] for line in found.numbers["lines"][1:] if line["fault"] != "length"]
    assert others == [0] * len(others)


def test_undertrained_models_are_told_to_train_longer_first(plant: Plant, tmp_path: Path) -> None:
    found = ledger(plant([row("x")] * 3))
    assert found is not None
    assert "no better than that of empty outputs" in found.numbers["train_longer"]
    found = ledger(plant(HALF, falling="the validation loss was still falling"))
    assert found is not None
    assert found.text[0].startswith("Train longer first, before what the lines suggest: the val")
    assert ledger(plant(HALF)).numbers["train_longer"] is None
    for name, losses, falls in (
        ("eval_loss", (4.0, 3.5, 3.0, 2.5), True),
        ("eval_loss", (4.0, 3.0, 2.5, 2.6), False),
        ("loss", range(20, 12, -1), True),
        ("loss", [2.0] * 8, False),
    ):
        lines = [json.dumps({"step": step + 1, name: float(loss)}) for step, loss in enumerate(losses)]
        (tmp_path / "train_log.jsonl").write_text("\n".join(lines) + '\n{"cut')
        assert bool(still_falling(tmp_path / "checkpoint-4")) == falls
        assert bool(still_falling(tmp_path)) == falls


def test_loops_of_the_reference_are_no_fault(plant: Plant) -> None:
    found = ledger(plant([row("no no no", "no no no never")] * 3))
    assert found is not None
    assert {line["fault"]: line["rows"] for line in found.numbers["lines"]}["repetition"] == 0


def test_the_best_candidate_lifts_the_score_of_all_rows() -> None:
    generator = np.random.default_rng(0)
    texts = [[" ".join(generator.choice(list("ABCD"), size=n)) for n in (9, 2, 1, 8)] for _ in range(30)]
    every = [np.array(CHRF.statistics(row, [["A B C D A B C D"]] * 4)) for row in texts]
    outputs = np.stack([tables[0] for tables in every])
    found = list(best_of(list(enumerate(every)), outputs, CHRF))
    base = CHRF.score(outputs.sum(0))["chrf"]
    assert all(CHRF.score(outputs.sum(0) - outputs[row] + table)["chrf"] > base for row, table in found)
    rows, tables = np.array([row for row, _ in found]), np.stack([table for _, table in found])
    outputs[rows] = tables
    assert CHRF.score(outputs.sum(0))["chrf"] > base + 3
    assert not list(best_of([(0, tables[:1])], tables[[0, 0]], CHRF))


def test_the_flags_to_try_exist(plant: Plant) -> None:
    found = ledger(plant([row(GOOD)]))
    assert found is not None
    assert (found.tables, found.pictures) == ((), {})  # rather than empty ones
    assert found.text[0].startswith("No row has any of the faults that are looked for: search error, ")
    assert found is not None
    asked = {word for line in found.numbers["lines"] for word in re.findall(r"--[a-z-]+", line["remedy"])}
    known = {flag(name) for config in (rnn.Config, AnalyzeConfig) for name in options(config)}
    assert len(asked) > 10
    assert asked <= known


def test_a_fault_of_all_rows_comes_first_without_a_gain(plant: Plant) -> None:
    found = ledger(plant([row("it is", truncated=1) for _ in range(30)]))
    assert found is not None
    assert (found.numbers["lines"][0]["fault"], found.numbers["lines"][0]["gain"]) == ("truncated sources", None)


def test_errors_of_search_and_model_are_told_apart(plant: Plant) -> None:
    rows = [
        row("a", value=-2.0, reference_value=-1.0, missed=True),
        row("b", value=-1.0, reference_value=-2.0),
        row("c", value=-1.0),
        row(GOOD, value=-1.0, reference_value=-1.0),
    ]
    found = ledger(plant(rows))
    assert found is not None
    assert [found.numbers[name] for name in ("compared", "search_errors", "model_errors")] == [2, 1, 1]


def test_lengths(plant: Plant) -> None:
    short = [row(GOOD, source="a b") for _ in range(10)]
    long = [row("the man drinks a red book", source="a b c d e f") for _ in range(10)]
    found = lengths(plant(short + long))
    assert found is not None
    first, second = found.numbers["parts"]
    assert (first["score"], first["rows"], second["rows"]) == (pytest.approx(100), 10, 10)
    assert second["score"] < 90
    chances = {each["word"]: each["chance"] for each in found.numbers["first_errors"]}
    assert (chances[2], chances[3], chances[4]) == (0, 50, 0)


def test_lengths_of_single_words_are_in_characters(plant: Plant) -> None:
    found = lengths(
        plant([row(GOOD, source="ab") for _ in range(10)] + [row(GOOD, source="abcdef") for _ in range(10)])
    )
    assert found is not None
    assert found.numbers["unit"] == "characters"
    assert [(part["from"], part["rows"]) for part in found.numbers["parts"]] == [(2, 10), (4, 10)]
    assert "by characters of the source" in found.tables[0].caption


def test_calibration(plant: Plant) -> None:
    rows = [row(GOOD if n < 8 else "x", log_prob=float(np.log(0.75)), confidence=0.9 - n / 100) for n in range(10)]
    found = confidence(plant(rows))
    assert found is not None
    assert found.numbers["ece"] == pytest.approx(0.05)
    assert found.numbers["spearman"] > 0.6
    ties = np.array([1.0, 2.0, 2.0, np.nan])
    assert rank_correlation(ties, np.array([1.0, 5.0, 5.0, 0.0])) == pytest.approx(1)


def test_ngrams(plant: Plant) -> None:
    found = ngrams(plant([row("a man a man", "a dog")] * 3))
    assert found is not None
    assert found.numbers["over"][0] == ["man", 6, 0]
    assert ["dog", 0, 3] in found.numbers["under"]
    assert ["a man", 6, 0] in found.numbers["over"]


def test_classes(plant: Plant) -> None:
    record = plant([row(label, "yes") for label in ("yes", "no", "no")], task="labels")
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    record.labels.update(scores=scores, truth=np.array([0, 0, 1]), names=["yes", "no"])
    record.figures["confidence"] = scores.max(1)
    found = classes(record)
    assert found is not None
    assert found.numbers["confusion"] == [[1, 1], [0, 1]]
    assert found.numbers["classes"][0] == {
        "class": "yes", "rows": 2, "predicted": 1, "precision": 100, "recall": 50, "f1": pytest.approx(200 / 3)
    }  # fmt: skip
    assert [each[:2] for each in found.tables[-1].rows] == [[2, 0.8]]


def test_the_exposure_gap_is_per_token(plant: Plant) -> None:
    seen = {"exposure_steps": 4, "exposure_reference": 2.0, "exposure_own": 6.0}
    longer = {"exposure_steps": 12, "exposure_reference": 3.0, "exposure_own": 3.0}
    found = exposure(plant([row(GOOD, **seen), row(GOOD, **longer), row(GOOD)]))
    assert found is not None
    numbers = found.numbers
    assert [numbers[name] for name in ("rows", "reference", "own", "gap")] == [2, 5 / 16, 9 / 16, 0.25]
    assert 0 <= numbers["low"] <= 0.25 <= numbers["high"] <= 1
    empty = exposure(plant([row(GOOD)]))
    assert empty is not None
    assert "left out" in empty.left_out


def by_beam(record: Record, texts: dict[int, tuple[str, float]]) -> Record:
    """The record with the same output of every row for each size, and its value."""
    sizes = [
        BeamSize(
            beams,
            np.array(CHRF.statistics([text] * len(record), [[GOOD]] * len(record))),
            np.full(len(record), value),
            np.full(len(record), len(text.split())),
        )
        for beams, (text, value) in texts.items()
    ]
    return replace(record, beam_rows=np.arange(len(record)), beam_sizes=sizes)


def test_the_beam_search_curse_is_said_where_it_is(plant: Plant) -> None:
    record = plant([row(GOOD, reference_value=-1.0) for _ in range(20)])
    cursed = beam_sizes(by_beam(record, {1: ("the man reads a book", -2.0), 5: (GOOD, -1.0), 50: ("the man", -0.5)}))
    assert cursed is not None
    assert cursed.text[1].startswith("The beam-search curse: the best chrf is that of 5 beams, and 50 beams are worse")
    assert [each["search_errors"] for each in cursed.numbers["sizes"]] == [100, 100, 0]
    assert [each["length_ratio"] for each in cursed.numbers["sizes"]] == [5 / 6, 1, 2 / 6]
    assert cursed.numbers["fall"]["best"] == 5
    sound = beam_sizes(by_beam(record, {1: ("the man reads", -2.0), 50: (GOOD, -1.0)}))
    assert sound is not None
    assert sound.text[1].startswith("No beam-search curse beyond chance")
    alone = beam_sizes(record)
    assert alone is not None
    assert "--beam-rows 0" in alone.left_out


def test_axes_have_round_numbers_and_a_legend_above_the_lines() -> None:
    picture = lines({"a": [(1.0, 0.123), (27.0, 98.1)], "b": [(1.0, 40.0)]}, "score", "token")
    marks = re.findall(r">(-?[\d.e+-]+)</text>", picture)
    assert marks == ["0", "20", "40", "60", "80", "100", "5", "10", "15", "20", "25"]
    assert "translate(0 32)" in picture
    assert re.findall(r">([\d.-]+)</text>", columns(["x", "y"], [-0.3, 1.7], "s", "t"))[:3] == ["-0.5", "0", "0.5"]
    flat = lines({"a": [(0.0, 0.0), (1.0, 0.0)]}, "score", "beams", ticks=["1", "50"])
    assert "nan" not in flat
    assert re.findall(r">(50)</text>", flat)
    zero = re.search(r'y="([\d.]+)"[^>]*>0</text>', flat)
    assert zero is not None
    assert {float(y) for y in re.findall(r'<circle [^>]*cy="([\d.]+)"', flat)} == {float(zero[1]) - 4}


def test_the_axes_of_systems_have_round_numbers_too() -> None:
    picture = curves(["4-7", "8-9"], {"a": [(39.2, 34.9, 43.7), (44.8, 41.1, 48.5)]}, "bleu", "words")
    assert re.findall(r'text-anchor="end"[^>]*>(\d+)</text>', picture) == ["35", "40", "45"]
