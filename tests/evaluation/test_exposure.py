"""Exposure against a Markov chain of two tokens, solved by enumeration, and as a command."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_seq2seq.cli.root import app
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.exposure import Exposure, Next, PositionSums, RowExposure, row_exposure
from hf_seq2seq.evaluation.exposure_runs import Continuations, ExposureConfig, FewRows, model_exposure

NO_END = 9


def chain(stay: tuple[float, float], start: float = 0.6) -> tuple[Next, np.ndarray]:
    """A chain that stays at each of its tokens with a probability, and its matrix."""
    matrix = np.array([[stay[0], 1 - stay[0]], [1 - stay[1], stay[1]]])
    first, rows = torch.tensor([start, 1 - start]).double().log(), torch.tensor(matrix).log()

    def next_of(prefixes: Tensor) -> Tensor:
        return rows[prefixes[:, -1]] if prefixes.shape[1] else first.expand(len(prefixes), -1)

    return next_of, matrix


def by_enumeration(matrix: np.ndarray, target: list[int], start: float = 0.6) -> list[float]:
    """Sums of error times influence, over every path that the chain can take after a forced token."""

    def distribution(token: int, steps: int) -> np.ndarray:
        found = np.zeros(2)
        for path in itertools.product((0, 1), repeat=steps):
            tokens = (token, *path)
            found[tokens[-1]] += math.prod(matrix[a, b] for a, b in itertools.pairwise(tokens))
        return found

    sums = [0.0] * len(target)
    for place, token in enumerate(target):
        after = np.array([start, 1 - start]) if place == 0 else matrix[target[place - 1]]
        own = int(after.argmax())
        error = math.log(after[own]) - math.log(after[token])
        for later in range(place + 1, len(target)):
            apart = distribution(own, later - place) - distribution(token, later - place)
            sums[later] += error * np.abs(apart).sum() / 2
    return sums


@pytest.mark.parametrize("stay", [(0.9, 0.8), (0.3, 0.6), (0.5, 0.5)])
def test_accumulated_errors_are_those_of_the_enumeration(stay: tuple[float, float]) -> None:
    next_of, matrix = chain(stay)
    target = [1, 0, 0, 1, 0, 1, 1]
    found = row_exposure(next_of, target, NO_END, 20_000, torch.Generator().manual_seed(1))
    assert found.accumulated == pytest.approx(by_enumeration(matrix, target), abs=0.03)
    losses = [-math.log(0.4)] + [-math.log(matrix[a, b]) for a, b in itertools.pairwise(target)]
    assert found.reference == pytest.approx(losses)
    own = [0]
    for _ in target[1:]:
        own.append(int(matrix[own[-1]].argmax()))
    wanted = [-math.log(0.4)] + [-math.log(matrix[a, b]) for a, b in zip(own, target[1:], strict=False)]
    assert found.own == pytest.approx(wanted)


def test_influences_that_fade_have_no_floor_in_a_large_vocabulary() -> None:
    draws, size, length = torch.Generator().manual_seed(0), 200, 24
    logits = torch.randn(size, size, dtype=torch.float64, generator=draws) * 1.2
    rows = logits.log_softmax(-1)
    powers = [rows.exp()]
    while len(powers) < length:
        powers.append(powers[-1] @ rows.exp())

    def next_of(prefixes: Tensor) -> Tensor:
        return rows[prefixes[:, -1]] if prefixes.shape[1] else rows[1].expand(len(prefixes), -1)

    def exactly(target: list[int]) -> list[float]:
        sums = [0.0] * length
        for place, (before, token) in enumerate(itertools.pairwise([1, *target])):
            own = int(rows[before].argmax())
            for later in range(place + 1, length):
                apart = powers[later - place - 1][own] - powers[later - place - 1][token]
                sums[later] += float((rows[before, own] - rows[before, token]) * apart.abs().sum() / 2)
        return sums

    targets = torch.multinomial(powers[-1][:1], 6 * length, True, generator=draws).view(6, length).tolist()
    found = Exposure.of([row_exposure(next_of, target, size, 16, draws) for target in targets])
    exact = np.mean([exactly(target) for target in targets], axis=0)
    assert found.accumulated[1:].mean() == pytest.approx(exact[1:].mean(), rel=0.15)
    assert found.accumulated[-8:].mean() == pytest.approx(exact[-8:].mean(), rel=0.25)
    assert found.growth == "linear"


@pytest.mark.parametrize(("stay", "growth"), [(0.55, "linear"), (0.999, "quadratic")])
def test_growth_is_linear_where_influences_fade_and_quadratic_where_they_do_not(stay: float, growth: str) -> None:
    next_of, _ = chain((stay, stay), start=0.55)
    target = [place // 2 % 2 for place in range(30)]  # changes every second step, so that errors come evenly
    found = Exposure.of([row_exposure(next_of, target, NO_END, 50, torch.Generator().manual_seed(1))])
    assert found.growth == growth
    assert found.power == pytest.approx(1 if growth == "linear" else 2, abs=0.3)


def test_a_row_that_ends_stays_at_its_end() -> None:
    rows = torch.tensor([[0.2, 0.1, 0.7], [0.3, 0.6, 0.1], [0.4, 0.3, 0.3]]).double().log()

    def next_of(prefixes: Tensor) -> Tensor:
        assert not bool((prefixes[:, :-1] == 2).any()) or len(prefixes) > 1
        return rows[prefixes[:, -1]] if prefixes.shape[1] else rows[1].expand(len(prefixes), -1)

    found = row_exposure(next_of, [0, 1, 2], 2, 5, torch.Generator().manual_seed(1))
    assert found.own == pytest.approx([-math.log(0.3), -math.log(0.6), -math.log(0.1)])
    found = row_exposure(lambda p: rows[torch.zeros(len(p), dtype=torch.long)], [0, 1], 2, 5, torch.Generator())
    assert math.isnan(found.own[1])  # its own output ends at once
    assert "nan" not in "".join(Exposure.of([found]).lines())
    assert found.accumulated[1] == pytest.approx((math.log(0.7) - math.log(0.2)) * 0.3)


def test_means_are_over_the_rows_that_have_a_position() -> None:
    rows = [RowExposure(np.array(x), np.array(x) + 1, np.array(x)) for x in ([1.0, 2.0], [3.0])]
    found = Exposure.of(rows)
    assert found.rows.tolist() == [2, 1]
    assert found.reference.tolist() == [2, 2]
    assert found.own.tolist() == [3, 3]
    assert found.growth == "none"
    assert found.as_json()["power"] is None
    assert len(found.lines()) == 4
    assert "few" not in found.lines()[-1]


def test_a_power_from_few_rows_says_so() -> None:
    row = RowExposure(np.ones(4), np.ones(4), np.array([0.0, 1.0, 1.0, 1.0]))
    assert Exposure.of([row] * 20).lines()[-1].endswith("; 20 rows are few for it, --max-predict-samples reads more")
    assert Exposure.of([row] * 100).lines()[-1].endswith("of the position")


def test_growth_is_judged_on_positions_that_enough_rows_reach() -> None:
    def row(accumulated: list[float]) -> RowExposure:
        return RowExposure(np.ones(len(accumulated)), np.ones(len(accumulated)), np.array(accumulated))

    level, steep = [0.0] + [1.0] * 7, [float(place**4) for place in range(8, 20)]
    long = Exposure.of([row(level)] * 98 + [row(level + steep)] * 2)
    assert (long.power, long.growth) == (pytest.approx(1), "linear")
    assert long.lines()[-1].endswith("with the power 1.00 of the position up to 8, the last that 10 rows reach")
    assert Exposure.of([row(level + steep)] * 2).growth == "quadratic"  # of few rows, all


@pytest.mark.parametrize("recipe", ["rnn", "gpt"])
def test_the_command(recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["".join(chr(97 + (row * k) % 7) for k in range(1, 3 + row % 4)) for row in range(30)]
    (tmp_path / "rows.tsv").write_text("source\ttarget\n" + "".join(f"{w}\t{w[::-1]}\n" for w in words))
    sizes = ["--hidden-size", "16", "--max-source-length", "10", "--max-target-length", "10"]
    if recipe == "gpt":
        sizes += ["--from-scratch", "--num-hidden-layers", "1", "--num-attention-heads", "2"]
    flags = ["--train-file", str(tmp_path / "rows.tsv"), "--tokenizer-type", "char", "--max-steps", "2"]
    flags += ["--metrics", "", "--validation-split-percentage", "0"]
    app(["train", recipe, *flags, *sizes, "--output-dir", str(tmp_path / "run")], standalone_mode=False)
    capsys.readouterr()
    asked = ["exposure", str(tmp_path / "run"), "--test-file", str(tmp_path / "rows.tsv"), "--max-predict-samples", "3"]
    app([*asked, "--samples", "4", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0] == 3
    assert found["reference"][0] == pytest.approx(found["own"][0])  # the first position has no prefix
    app([*asked, "--samples", "4"], standalone_mode=False)
    assert "accumulation of errors: " in capsys.readouterr().out


def test_a_classifier_has_no_prefixes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertForSequenceClassification"]}')
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"exposure: .* is a classifier"):
        app(["exposure", str(tmp_path), "--test-file", "rows.tsv"], standalone_mode=False)


def test_sums_by_position_are_means_with_intervals() -> None:
    generator, sums = np.random.default_rng(0), PositionSums()
    rows = [(generator.exponential(size=n), generator.exponential(size=n)) for n in (3, 1, 2, 3)]
    for reference, own in rows:
        sums.add(reference, own)
    first, second, third = sums.table(95, 2)
    gaps = np.array([own[0] - reference[0] for reference, own in rows])
    assert first["gap"] == pytest.approx(gaps.mean(), abs=1e-5)
    assert first["high"] - first["gap"] == pytest.approx(1.959964 * gaps.std(ddof=1) / 2, abs=1e-5)
    assert first["own"] == pytest.approx(np.mean([own[0] for _, own in rows]), abs=1e-5)
    assert [each["rows"] for each in (first, second, third)] == [4, 3, 2]
    assert len(sums.table(95, 3)) == 2


def test_an_output_begins_with_the_language_of_its_row(tiny_family: Any, tmp_path: Path) -> None:
    rows = [("abc", "cba", "en", "de"), ("ab", "ba", "en", "fr"), ("abcd", "dcba", "de", "en")]
    head = "source\ttarget\tsource_lang\ttarget_lang\n"
    (tmp_path / "rows.tsv").write_text(head + "".join("\t".join(row) + "\n" for row in rows))
    flags = ["--model-name-or-path", tiny_family("mbart50"), "--train-file", str(tmp_path / "rows.tsv"), "--use-cpu"]
    flags += ["--max-steps", "1", "--metrics", "", "--validation-split-percentage", "0", "--max-source-length", "16"]
    app(["train", "seq2seq", *flags, "--output-dir", str(tmp_path / "run")], standalone_mode=False)
    config = ExposureConfig(rows=FewRows(test_file=str(tmp_path / "rows.tsv")), continuations=Continuations(samples=2))
    found = model_exposure(str(tmp_path / "run"), config, {"test_file": str(tmp_path / "rows.tsv")})
    assert found.reference[0] == found.own[0] == 0
    assert found.reference[1] == pytest.approx(found.own[1])  # after the same code
    assert found.reference[1] > 0
