"""Agreement of metrics with people, on ratings whose correlation with the metric is known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_seq2seq.analysis.metric_agreement import ScoredSheet, metric_agreement
from hf_seq2seq.analysis.rating_criteria import Scale
from hf_seq2seq.analysis.rating_report import Resampling
from hf_seq2seq.analysis.rating_sheet import Texts, make_sheet
from hf_seq2seq.analysis.ratings import Key, Ratings, read_key
from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.metrics.metric import Metric, averaged

FEW = Resampling(resamples=300)
SYSTEMS = ("a", "b", "c", "d")


def number(greater: bool = True) -> Metric:
    """A metric that reads its score from the text, or an error that is the less of it."""
    sign = 1 if greater else -1
    return averaged(lambda texts, _: [sign * float(text) for text in texts], greater, ("number",))


def sheet_of(folder: Path, texts: dict[str, list[str]]) -> tuple[Key, list[str]]:
    page, key = make_sheet(Texts(texts, ["x"] * len(texts["a"])), ["fluency"], Scale(1, 5), None, 5)
    (folder / "key.json").write_text(json.dumps(key))
    known = read_key(folder / "key.json")
    shown = {text["id"]: text["text"] for row in page["rows"] for text in row["texts"]}
    return known, [shown[name] for name in known.texts]


def made(folder: Path, correlation: float, rows: int = 200) -> tuple[Key, list[str], Ratings]:
    """Texts that are their own scores, rated by two people so that mean and score correlate as asked."""
    generator = np.random.default_rng(4)
    scores = {name: [repr(value) for value in generator.normal(size=rows).tolist()] for name in SYSTEMS}
    key, texts = sheet_of(folder, scores)
    own = np.array(texts, dtype=float)
    mean = correlation * own + np.sqrt(1 - correlation**2) * generator.normal(size=len(own))
    apart = generator.normal(size=len(own))
    values = np.stack([mean + apart, mean - apart], axis=1)
    return key, texts, Ratings(("Ann", "Bob"), {"fluency": values})


def agreement(key: Key, texts: list[str], ratings: Ratings, metric: Metric, name: str = "number") -> Any:
    rows = [["x y z"]] * key.authored.shape[1]
    return metric_agreement([ScoredSheet(name, metric, key, texts, rows)], key, ratings, FEW)["fluency"]


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.8])
def test_a_known_correlation_is_found(tmp_path: Path, correlation: float) -> None:
    found = agreement(*made(tmp_path, correlation), number())["number"]["rows"]
    assert found["n"] == 800
    # Of bivariate normal variables.
    expected = {
        "pearson": correlation,
        "spearman": 6 / np.pi * np.arcsin(correlation / 2),
        "kendall": 2 / np.pi * np.arcsin(correlation),
    }
    for name, value in expected.items():
        assert found[f"{name}_low"] < value < found[f"{name}_high"]
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    # Fisher's standard error, where rows are independent.
    width = 2 * 1.96 * (1 - correlation**2) / np.sqrt(800)
    assert found["pearson_high"] - found["pearson_low"] == pytest.approx(width, rel=0.25)


def test_errors_are_negated_and_gaps_are_left_out(tmp_path: Path) -> None:
    key, texts, ratings = made(tmp_path, 0.8, rows=30)
    found = agreement(key, texts, ratings, number())
    assert agreement(key, texts, ratings, number(greater=False)) == found
    values = ratings.values["fluency"]
    values[7] = np.nan
    values[9, 1] = np.nan
    assert agreement(key, texts, ratings, number())["number"]["rows"]["n"] == 119
    expected = np.corrcoef(np.delete(np.array(texts, dtype=float), 7), np.nanmean(np.delete(values, 7, 0), axis=1))
    assert agreement(key, texts, ratings, number())["number"]["rows"]["pearson"] == pytest.approx(expected[0, 1])


def test_systems_are_compared_by_their_means(tmp_path: Path) -> None:
    """System by system, what is rated better by far is scored better, in every resample."""
    generator = np.random.default_rng(1)
    scores = {name: [f"{9 * place + generator.random():.6f}" for _ in range(20)] for place, name in enumerate(SYSTEMS)}
    key, texts = sheet_of(tmp_path, scores)
    ratings = Ratings(("Ann",), {"fluency": np.array(texts, dtype=float)[:, None] ** 2})
    found = agreement(key, texts, ratings, number())["number"]["systems"]
    assert (found["n"], found["spearman"], found["kendall_low"]) == (4, pytest.approx(1), pytest.approx(1))
    means = [[np.mean([float(text) ** power for text in scores[name]]) for name in SYSTEMS] for power in (1, 2)]
    assert found["pearson"] == pytest.approx(np.corrcoef(means)[0, 1])
    ratings.values["fluency"][key.authored[2:].ravel()] = np.nan
    assert agreement(key, texts, ratings, number())["number"]["systems"] == {
        "n": 2,
        **{f"{name}{end}": None for name in ("pearson", "spearman", "kendall") for end in ("", "_low", "_high")},
    }


def test_bleu_of_a_text_is_that_of_sentences(tmp_path: Path) -> None:
    texts = {"a": ["x y", "q", "x"], "b": ["x y z", "x z", "y"], "c": ["z", "y z", "x y q"]}
    key, shown = sheet_of(tmp_path, texts)
    sheet = ScoredSheet("bleu", TEXT_METRICS["bleu"], key, shown, [["x y z"]] * 3)
    from sacrebleu import sentence_bleu

    assert sheet.by_text[:, 0].tolist() == pytest.approx([sentence_bleu(text, ["x y z"]).score for text in shown])
