"""Texts damaged by degrees, and what metrics make of them."""

import random
from itertools import pairwise

import pytest

from hf_seq2seq.analysis.graded_damage import BLIND, DEGREES, FALLS, damaged, graded_damage, verdict
from hf_seq2seq.metrics import TEXT_METRICS

WORDS = ["a", "dog", "sees", "12", "small", "cats", "on", "the", "red", "roof", "of", "1", "house"]
TEXTS = [" ".join(random.Random(row).choices(WORDS, k=8 + row % 5)) for row in range(30)]


def test_damage_grows_and_is_what_it_is_called() -> None:
    found = damaged(TEXTS, 1)
    for degrees in found.values():
        assert degrees[0] == TEXTS
        for less, more in pairwise(degrees):
            changed = [sum(a != b for a, b in zip(TEXTS, texts, strict=True)) for texts in (less, more)]
            assert changed[0] <= changed[1]
    middle = DEGREES.index(0.5)
    for text, dropped, twice, moved, wrong in zip(
        TEXTS, *(found[f"{kind} words"][middle] for kind in ("dropped", "repeated", "shuffled", "wrong")), strict=True
    ):
        half = len(text.split()) / 2
        assert abs(len(dropped.split()) - half) < 1
        assert abs(len(twice.split()) - 3 * half) < 1
        assert sorted(moved.split()) == sorted(text.split())
        assert abs(sum(a != b for a, b in zip(text.split(), wrong.split(), strict=True)) - half) < 1
    for text, digits in zip(TEXTS, found["wrong numbers"][-1], strict=True):
        for before, after in zip(text.split(), digits.split(), strict=True):
            assert len(after) == len(before)
            assert all((a != b) == a.isdecimal() for a, b in zip(before, after, strict=True))
    assert [texts.count("") for texts in found["empty texts"]] == [0, 3, 8, 15, 22, 30]
    assert damaged(TEXTS, 1) == found != damaged(TEXTS, 2)


def test_chrf_falls_and_rouge_1_is_blind_to_order() -> None:
    pytest.importorskip("rouge_score")
    found = graded_damage({name: TEXT_METRICS[name] for name in ("chrf", "rouge", "ter")}, [[t] for t in TEXTS], 1)
    for kind in ("dropped words", "repeated words", "wrong words", "empty texts"):
        assert {found[kind]["metrics"][key]["verdict"] for key in ("chrf", "rouge1", "ter")} == {FALLS}
    assert found["shuffled words"]["metrics"]["rouge1"]["verdict"] == BLIND
    assert found["shuffled words"]["metrics"]["rouge2"]["scores"][3] < 60
    assert found["wrong numbers"]["rows"] == sum("1" in text for text in TEXTS)
    plain = graded_damage({"chrf": TEXT_METRICS["chrf"]}, [["no number here"]], 1)
    assert plain["wrong numbers"] == {"rows": 0, "metrics": {}}


def test_verdicts_name_the_first_degree_that_is_no_worse() -> None:
    assert verdict([100, 90, 80, 70, 60, 50], 1) == FALLS
    assert verdict([100, 90, 80, 80, 60, 50], 1) == "flat at 50%"
    assert verdict([0, 10, 5, 20, 30, 40], -1) == "rises at 25%"
    assert verdict([100.0] * 6, 1) == BLIND


def test_text_without_spaces_is_damaged_by_characters() -> None:
    found = damaged(["我们今天去看电影"], 1)
    assert sorted(found["shuffled words"][3][0]) == sorted("我们今天去看电影")
    assert 3 <= len(found["dropped words"][3][0]) <= 5
