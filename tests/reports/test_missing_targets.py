"""Test rows without replies, references or labels: what needs none is reported, and the rest said to be left out."""

import json
from pathlib import Path
from typing import Any

import pytest

import hf_seq2seq
from hf_seq2seq.errors import InputError
from hf_seq2seq.reports.report import Analysis

FLAGS: dict[str, Any] = {"max_new_tokens": 4, "resamples": 100}
TALKS = [
    [{"role": "user", "content": text}, {"role": "assistant", "content": text[::-1]}] for text in ("ab", "ba", "bb")
]


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes: dict[str, Any] = {"hidden_size": 8, "embedding_size": 8, "tokenizer_type": "char", "max_steps": 1}
    folder = tmp_path_factory.mktemp("talker")
    data: dict[str, Any] = {"train_file": [{"messages": talk} for talk in TALKS] * 4, "max_target_length": 8}
    hf_seq2seq.train("rnn", objective="dialogue", output_dir=folder / "run", use_cpu=True, **data, **sizes)
    return folder / "run"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [{"text": text, "label": label} for text, label in [("ab", "x"), ("ba", "y")] * 6]
    flags: dict[str, Any] = {"from_scratch": True, "model_size": "tiny", "max_steps": 1, "use_cpu": True}
    folder = tmp_path_factory.mktemp("classifier") / "run"
    hf_seq2seq.train("bert_classifier", train_file=rows, output_dir=folder, **flags)
    return folder


def analyzed(model: Path, rows: list[Any] | str, folder: Path, **more: Any) -> Analysis:
    return hf_seq2seq.load(model).analyze(test_file=rows, output_dir=folder, **FLAGS | more)


@pytest.mark.parametrize(
    "rows", [[{"messages": talk[:1]} for talk in TALKS], [{"source": talk[0]["content"]} for talk in TALKS]]
)
def test_conversations_without_replies(talker: Path, tmp_path: Path, rows: list[Any]) -> None:
    found = analyzed(talker, rows, tmp_path)
    assert list(found.sections) == ["ledger", "failures", "attention", "saliency", "confidence", "rows"]
    assert found.summary()[0].startswith("The test rows have no references")
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == [talk[:1] for talk in TALKS]


def test_conversations_with_replies_have_a_ledger(talker: Path, tmp_path: Path) -> None:
    rows = [{"messages": talk} for talk in TALKS]
    assert analyzed(talker, rows, tmp_path, beam_rows=0).sections["ledger"].numbers["metric"]
    with pytest.raises(InputError, match="row 3, column 'messages': the last message is not"):
        analyzed(talker, [*rows[:2], {"messages": TALKS[2][:1]}], tmp_path)


def test_texts_without_labels(classifier: Path, tmp_path: Path) -> None:
    found = analyzed(classifier, [{"text": text} for text in ("ab", "ba", "aab")], tmp_path)
    assert [name for name in found.sections if name != "saliency"] == ["classes", "confidence", "rows"]
    assert found.summary()[0].startswith("The test rows have no labels: accuracy,")
    assert found.summary()[0] in found.page.read_text()
    assert sum(each["predicted"] for each in found.sections["classes"].numbers["predicted"]) == 3
    confidences = [row["confidence"] for row in found.sections["rows"].numbers["rows"]]
    assert confidences == sorted(confidences)
    assert all(0.5 <= each <= 1 for each in confidences)


def test_plain_text_without_labels(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("ab ba\nba\n\nbb ab\n")
    found = analyzed(classifier, str(tmp_path / "test.txt"), tmp_path)
    assert found.sections["classes"].numbers["predicted"][0]["class"] == "x"
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 3
    (tmp_path / "test.txt").write_text("x ab\ny ba\nz bb\n")
    with pytest.raises(InputError, match="none of the known ones"):
        analyzed(classifier, str(tmp_path / "test.txt"), tmp_path)


def test_a_label_column_is_never_overlooked(classifier: Path, tmp_path: Path) -> None:
    rows = [{"text": "ab", "label": ""}, {"text": "ba", "label": "x"}]
    with pytest.raises(InputError, match="row 1, column 'label'"):
        analyzed(classifier, rows, tmp_path)
    assert analyzed(classifier, [{"text": "ab", "label": "x"}], tmp_path).summary()[0].startswith("accuracy")
