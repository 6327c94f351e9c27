"""What ratings say, against plain loops over the raters and the rows that they rated."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_seq2seq.analysis.rating_criteria import Scale
from hf_seq2seq.analysis.rating_report import Resampling, report
from hf_seq2seq.analysis.rating_sheet import Texts, make_sheet
from hf_seq2seq.analysis.ratings import read_key, read_ratings
from hf_seq2seq.metrics.agreement import LEVELS
from hf_seq2seq.metrics.resampling import interval

SYSTEMS = ("ours", "theirs", "third")
ROWS = 12
FEW = Resampling(resamples=200)
Given = dict[str, dict[tuple[int, str], int]]  # by rater, then row and system


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, list[Path], Given]:
    """A sheet that three raters filled in, one of them leniently, with gaps; "third" often writes what "ours" does."""
    texts = {name: [f"{name} {row}" for row in range(ROWS)] for name in SYSTEMS}
    texts["third"][::3] = texts["ours"][::3]
    _, key = make_sheet(Texts(texts, ["x"] * ROWS), ["fluency"], Scale(1, 5), None, 5)
    (tmp_path / "key.json").write_text(json.dumps(key))
    generator = np.random.default_rng(2)
    given: Given = {"Ann": {}, "Bob": {}, "Cyd": {}}
    files = []
    for rater, found in given.items():
        ratings: dict[str, dict[str, int]] = {}
        for text in key["texts"]:
            if generator.random() < 0.25:
                continue
            value = int(generator.integers(2, 5)) + (rater == "Cyd") - ("theirs" in text["systems"])
            ratings[text["id"]] = {"fluency": value}
            found |= {(text["row"], name): value for name in text["systems"]}
        files.append(tmp_path / f"{rater}.json")
        files[-1].write_text(json.dumps({"sheet": key["sheet"], "rater": rater, "ratings": ratings}))
    return tmp_path / "key.json", files, given


def scores(study: tuple[Path, list[Path], Given], level: str = "ordinal", resampling: Resampling = FEW) -> Any:
    key = read_key(study[0])
    return report(key, read_ratings(study[1], key), level, resampling)["fluency"]


def test_means_are_of_all_ratings(study: Any) -> None:
    for name, found in scores(study)["systems"].items():
        values = [value for ratings in study[2].values() for (_, system), value in ratings.items() if system == name]
        assert found["mean"] == pytest.approx(np.mean(values), abs=1e-12)
        assert found["ratings"] == len(values)


def pairs(given: Given, first: str, second: str) -> list[tuple[int, int]]:
    """The row and the difference, wherever one rater rated both."""
    return [
        (row, value - ratings[row, second])
        for ratings in given.values()
        for (row, system), value in ratings.items()
        if system == first and (row, second) in ratings
    ]


def test_differences_are_within_a_rater_and_a_row(study: Any) -> None:
    found = scores(study)["differences"]
    assert [pair["systems"] for pair in found] == [["ours", "theirs"], ["ours", "third"], ["theirs", "third"]]
    for pair in found:
        expected = pairs(study[2], *pair["systems"])
        assert pair["difference"] == pytest.approx(np.mean([value for _, value in expected]), abs=1e-12)
        assert pair["pairs"] == len(expected)


def test_a_lenient_rater_of_one_system_alone_makes_no_difference(study: Any) -> None:
    key, files, _ = study
    content = json.loads(files[0].read_text())
    authors = {text["id"]: text["systems"] for text in json.loads(key.read_text())["texts"]}
    content["ratings"] = {name: {"fluency": 5} for name in content["ratings"] if authors[name] == ["ours"]}
    content["rater"] = "Dan"
    before = scores(study)
    (files[0].parent / "dan.json").write_text(json.dumps(content))
    after = scores((key, [*files, files[0].parent / "dan.json"], {}))
    assert after["differences"] == before["differences"]
    assert after["systems"]["ours"]["mean"] > before["systems"]["ours"]["mean"]


def test_intervals_draw_whole_rows(study: Any) -> None:
    found = scores(study)
    by_row = {row: [] for row in range(1, ROWS + 1)}
    for ratings in study[2].values():
        for (row, system), value in ratings.items():
            if system == "ours":
                by_row[row].append(value)
    numbers = list(dict.fromkeys(text["row"] for text in json.loads(study[0].read_text())["texts"]))
    rows = [by_row[row] for row in numbers if by_row[row]]
    draws = np.random.default_rng(FEW.seed).integers(len(rows), size=(FEW.resamples, len(rows)))
    means = [[np.mean([value for place in draw for value in rows[place]])] for draw in draws]
    low, high = interval(np.array(means), 95)
    assert (found["systems"]["ours"]["mean_low"], found["systems"]["ours"]["mean_high"]) == pytest.approx(
        (low[0], high[0]), abs=1e-12
    )
    narrow = scores(study, resampling=Resampling(50.0, 200))["systems"]["ours"]
    assert low[0] < narrow["mean_low"] < narrow["mean_high"] < high[0]


def test_a_difference_that_is_there_is_found(study: Any) -> None:
    ours_theirs, ours_third, _ = scores(study)["differences"]
    assert 0 < ours_theirs["difference_low"] < ours_theirs["difference"] < ours_theirs["difference_high"]
    assert ours_theirs["p"] < 0.05 < ours_third["p"]


def test_p_values_are_those_of_all_exchanges(study: Any) -> None:
    """Of the 4,096 ways to exchange two systems in some rows, how many differ by as much as the real one?"""
    for pair in scores(study)["differences"]:
        sums = np.zeros(ROWS)
        for row, value in pairs(study[2], *pair["systems"]):
            sums[row - 1] += value
        exchanged = np.abs(np.array(list(product([1, -1], repeat=ROWS))) @ sums)
        exact = np.mean(exchanged >= abs(sums.sum()) - 1e-9)
        assert pair["p"] == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("level", LEVELS)
def test_agreement_is_over_texts_as_shown(study: Any, level: str) -> None:
    krippendorff = pytest.importorskip("krippendorff", reason="the reference implementation of alpha is not installed")
    key = json.loads(study[0].read_text())
    files = [json.loads(path.read_text())["ratings"] for path in study[1]]
    values = [[file.get(text["id"], {}).get("fluency", np.nan) for text in key["texts"]] for file in files]
    found = scores(study, level)

    def alpha(columns: list[int]) -> float:
        return krippendorff.alpha(np.array(values, dtype=float)[:, columns], level_of_measurement=level)

    assert found["alpha"] == pytest.approx(alpha(list(range(len(key["texts"])))), abs=1e-12)
    rows = list(dict.fromkeys(text["row"] for text in key["texts"]))
    of_row = [[place for place, text in enumerate(key["texts"]) if text["row"] == row] for row in rows]
    draws = np.random.default_rng(FEW.seed).integers(ROWS, size=(FEW.resamples, ROWS))
    drawn = [[alpha([place for row in draw for place in of_row[row]])] for draw in draws]
    low, high = interval(np.array(drawn), 95)
    assert (found["alpha_low"], found["alpha_high"]) == pytest.approx((low[0], high[0]), abs=1e-12)


def test_one_rater_has_no_one_to_agree_with(study: Any) -> None:
    key, files, _ = study
    found = scores((key, files[:1], {}))
    assert (found["alpha"], found["alpha_low"], found["alpha_high"]) == (None, None, None)
    assert found["systems"]["ours"]["mean"] is not None


def test_a_criterion_and_a_system_without_ratings(tmp_path: Path) -> None:
    _, key = make_sheet(
        Texts({"a": ["x", "y"], "b": ["z", "w"]}, ["s", "t"]), ["fluency", "adequacy"], Scale(1, 5), None, 5
    )
    (tmp_path / "key.json").write_text(json.dumps(key))
    of_a = next(text["id"] for text in key["texts"] if text["systems"] == ["a"])
    content = {"sheet": key["sheet"], "rater": "Ann", "ratings": {of_a: {"fluency": 2}}}
    (tmp_path / "ann.json").write_text(json.dumps(content))
    known = read_key(tmp_path / "key.json")
    found = report(known, read_ratings([tmp_path / "ann.json"], known), "ordinal", FEW)
    assert found["fluency"]["systems"]["a"] == {"mean": 2.0, "mean_low": 2.0, "mean_high": 2.0, "ratings": 1}
    assert found["fluency"]["systems"]["b"]["mean"] is None
    assert found["fluency"]["differences"][0]["difference"] is None
    assert found["adequacy"]["systems"]["a"]["ratings"] == 0
    json.dumps(found, allow_nan=False)
