"""A loaded model in Python says what the command line says of it."""

import json
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_seq2seq import InputError, evaluate, load, train
from hf_seq2seq.api.answers import Generation, Label
from hf_seq2seq.api.models import Model
from hf_seq2seq.api.runs import TrainingRun
from hf_seq2seq.cli.app import main

TEXTS = ["ab ba", "abc cba", "bca acb", "", "ca ac"]


@pytest.fixture(scope="module")
def model(run: TrainingRun) -> Model:
    return run.model


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Model:
    rows = [{"text": text, "label": label} for text, label in [("ab", "x"), ("ba", "y")] * 6]
    flags = {"from_scratch": True, "model_size": "tiny", "max_steps": 1, "use_cpu": True}
    return train("bert_classifier", train_file=rows, output_dir=tmp_path_factory.mktemp("c") / "run", **flags).model


def by_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["hf-seq2seq", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main()
    return capsys.readouterr().out.splitlines()


def test_texts_and_details_are_those_of_the_command(
    model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", model.path, *filter(None, TEXTS), "--num-beams=3"]
    texts = [text for text in TEXTS if text]
    assert model.generate(texts, num_beams=3) == by_command(monkeypatch, capsys, *words)
    lines = by_command(monkeypatch, capsys, *words, "--json-lines", "--output-details=score,tokens,log_probs,alignment")
    for line, found in zip(map(json.loads, lines), model.generate(texts, num_beams=3, details=True), strict=True):
        assert isinstance(found, Generation)
        assert (found.text, found.tokens) == (line["prediction"], line["tokens"])
        assert found.score == pytest.approx(line["score"], abs=1e-5)
        assert " ".join(f"{a}-{b}" for a, b in sorted(found.alignment or ())) == line["alignment"]


def test_a_model_is_shown_in_a_line(model: Model) -> None:
    assert repr(model) == f"Model({model.path!r}, {type(model.network).__name__})"


def test_one_seed_gives_one_answer_from_any_thread(model: Model) -> None:
    def ask(seed: int) -> list[list[str]]:
        return model.generate(TEXTS, do_sample=True, seed=seed, num_return_sequences=2)

    first = ask(1)
    assert ask(2) != first
    assert [len(outputs) for outputs in first] == [2, 2, 2, 1, 2]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, [1] * 8)) == [first] * 8


def test_scores_and_attention(model: Model) -> None:
    (best,) = model.generate(["ab ba"], details=True)
    (likelihood,) = model.score(["ab ba"], ["abc"])
    assert likelihood.tokens == ["a", "b", "c", "</s>"]
    assert likelihood.log_prob == pytest.approx(sum(likelihood.log_probs))
    assert likelihood.perplexity == pytest.approx(np.exp(-likelihood.log_prob / 4))
    own, given = model.attention(["ab ba"])[0], model.attention(["ab ba"], ["abc"])[0]
    assert given.source_tokens == ["a", "b", " ", "b", "a", "</s>"]
    assert given.target_tokens == likelihood.tokens
    assert given.weights.shape == (4, 6)
    assert given.weights.sum(1) == pytest.approx(np.ones(4), abs=1e-5)
    assert own.weights.shape[1] == 6
    assert best.text is not None


def test_a_test_set_is_scored(model: Model, tmp_path: Path) -> None:
    rows = [{"source": text, "target": text[::-1]} for text in ("ab ba", "abc cba", "ca ac")]
    done: list[int] = []
    found = model.evaluate(test_file=rows, metrics=["chrf", "exact_match"], num_beams=2, progress=done.append)
    predictions = model.generate([row["source"] for row in rows], num_beams=2)
    assert found == evaluate(predictions, [row["target"] for row in rows], metrics=["chrf", "exact_match"])
    assert sum(done) == 3
    file = tmp_path / "test.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert model.evaluate(test_file=file, metrics="chrf,exact_match", num_beams=2) == found


def test_a_classifier_is_scored(classifier: Model) -> None:
    found = classifier.evaluate(test_file=[{"text": "ab", "label": "x"}, {"text": "ba", "label": "y"}])
    best = [label.label for label in classifier.classify(["ab", "ba"])]
    assert found["accuracy"] == evaluate(best, ["x", "y"], metrics=["accuracy"])["accuracy"]


def test_a_model_is_scored_on_what_it_writes(model: Model) -> None:
    with pytest.raises(InputError, match=r"the model writes the predictions; hf_seq2seq\.evaluate scores given ones"):
        model.evaluate(predictions="a.txt")
    with pytest.raises(InputError, match="--confusion-matrix: counts labels"):
        model.evaluate(confusion_matrix=True)


def test_cut_texts_are_reported(model: Model) -> None:
    with pytest.warns(UserWarning, match=r"1 of 2 texts were truncated to 12 tokens \(max_source_length\)"):
        model.generate(["ab", "ab" * 20])


def test_progress_counts_texts(model: Model) -> None:
    done: list[int] = []
    model.generate(TEXTS, progress=done.append)
    assert sum(done) == 4  # an empty text needs no model


def test_labels_are_those_of_the_command(
    classifier: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = classifier.classify(["ab", "ba"])
    lines = by_command(monkeypatch, capsys, "classify", classifier.path, "ab", "ba")
    assert [f"{verdict.label}\t{verdict.score:.4f}" for verdict in found] == lines
    assert isinstance(found[0], Label)
    assert set(found[0].scores) == {"x", "y"}
    assert classifier.classify([]) == []


def test_what_is_asked_of_the_wrong_model(model: Model, classifier: Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"contains a classifier, which does not generate text; use classify\(texts\)"):
        classifier.generate(["ab"])
    with pytest.raises(InputError, match=r"not a classifier; use generate\(texts\)"):
        model.classify(["ab"])
    with pytest.raises(InputError, match="no such folder"):
        load(tmp_path / "none")


def test_bad_calls(model: Model) -> None:
    with pytest.raises(InputError, match=r"unknown option 'num_beam'; did you mean 'num_beams'"):
        model.generate(["ab"], num_beam=3)
    with pytest.raises(InputError, match="--num-beams: 0 is too small; the minimum is 1"):
        model.generate(["ab"], num_beams=0)
    with pytest.raises(InputError, match="texts: row 2: 5 is not text"):
        model.generate(["", 5])
    with pytest.raises(InputError, match="targets: 1 for 2 texts"):
        model.score(["ab", "b"], ["a"])
    with pytest.raises(InputError, match="texts: one text; give a list of texts"):
        model.generate("ab")


def test_an_iterator_is_read_as_a_list(model: Model) -> None:
    with warnings.catch_warnings(action="ignore"):
        assert model.generate(iter(TEXTS)) == model.generate(TEXTS)
        assert model.score(iter(TEXTS), iter(TEXTS)) == model.score(TEXTS, TEXTS)


@pytest.mark.parametrize("place", [None, 5, "", "a" * 5000, ["x"]])
def test_what_is_no_place_of_a_model(place: Any) -> None:
    with pytest.raises(InputError, match="is no folder and no Hub id"):
        load(place)


def test_what_is_no_recipe() -> None:
    for recipe in (None, 3, b"rnn"):
        with pytest.raises(InputError, match="is no name, and no path"):
            train(recipe, train_file="x")  # type: ignore[arg-type]


def test_iterators_of_texts_keep_every_text(model: Model, classifier: Model) -> None:
    texts = ["ab", "ba"]
    assert classifier.classify(iter(texts), (text for text in texts)) == classifier.classify(texts, texts)
    attended = model.attention(iter(texts), iter(texts))
    assert [found.source_tokens for found in attended] == [found.source_tokens for found in model.attention(texts)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, classifier: model.generate(None), "texts: None is no list"),
        (lambda model, classifier: model.generate(5), "texts: 5 is no list"),
        (lambda model, classifier: model.generate(["a"], engine="ctranslate2"), "engine: is for load"),
        (lambda model, classifier: classifier.classify(["a"], stride=-1), "--stride: -1 is too small"),
        (lambda model, classifier: classifier.classify(["a"], per_device_eval_batch_size=0), "is too small"),
        (lambda model, classifier: classifier.classify(["a"], windw_pooling="max"), "did you mean 'window_pooling'"),
        (lambda model, classifier: classifier.classify({"a": 1}), "texts: {'a': 1} is no list"),
    ],
)
def test_odd_arguments_are_named(model: Model, classifier: Model, call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(model, classifier)
