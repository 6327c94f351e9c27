"""The last lines of a run, and the lines of an evaluation of several sets."""

import re
import shlex
from pathlib import Path

import pytest

from hf_seq2seq.recipes import bert_classifier, rnn
from hf_seq2seq.sections import build

PAIRS = "source\ttarget\n" + "".join(f"{'ab' * n}\t{'ba' * n}\n" for n in range(1, 9))
LABELS = "text,label\n" + "".join(f"{'ab' * n},{'xy'[n % 2]}\n" for n in range(1, 13))
SMALL = {"hidden_size": 8, "embedding_size": 8, "tokenizer_type": "char", "num_train_epochs": 1, "use_cpu": True}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("train", "a", "b", "c", "d"):
        (tmp_path / f"{name}.tsv").write_text(PAIRS)
    (tmp_path / "labels.csv").write_text(LABELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(folder: Path, capsys: pytest.CaptureFixture[str], **options: object) -> list[str]:
    values = SMALL | {"train_file": "train.tsv", "output_dir": "my run", "metrics": "chrf"} | options
    rnn.main(build(rnn.Config, values))
    return capsys.readouterr().err.splitlines()


def test_the_last_lines_of_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = trained(folder, capsys, validation_file="a.tsv", test_file="b.tsv")
    header, loss, chrf, *places = said[-6:]
    assert header.split() == ["validation", "test"]
    assert re.fullmatch(r"Loss ↓ +\d+\.\d{4} +\d+\.\d{4}", loss)
    assert re.fullmatch(r"chrF ↑( +\d+\.\d\d \(\d+\.\d\d–\d+\.\d\d\)){2}", chrf)
    assert places == [
        "folder  my run",
        "card    my run/README.md",
        "next    hf-seq2seq generate 'my run' ab",
    ]
    assert chrf.split("  ")[-1].strip() in Path("my run/README.md").read_text()


def test_a_run_without_scores(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = trained(folder, capsys)
    assert said[-4].startswith("no scores")


def test_an_evaluation_of_several_sets_is_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = trained(folder, capsys, validation_file="one=a.tsv,two=b.tsv")
    start = next(number for number, line in enumerate(said) if line.endswith("evaluation"))
    assert re.split(r"  +", said[start + 1].strip()) == ["validation one", "validation two", "validation, mean"]
    assert said[start + 2].startswith("Loss ↓")
    assert len(said[start + 2].split()) == 5
    said = trained(folder, capsys, validation_file="k=a.tsv,l=b.tsv,m=c.tsv,n=d.tsv", overwrite_output_dir=True)
    start = next(number for number, line in enumerate(said) if line.endswith("evaluation"))
    assert re.split(r"  +", said[start + 1].strip()) == ["Loss ↓", "chrF ↑"]
    names = [" ".join(line.split()[:2]) for line in said[start + 2 : start + 7]]
    assert names == ["validation k", "validation l", "validation m", "validation n", "validation, mean"]


def test_a_classifier_is_asked_by_classify(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"train_file": "labels.csv", "from_scratch": True, "tokenizer_type": "char", "output_dir": "out"}
    overrides = "hidden_size=8,num_hidden_layers=1,num_attention_heads=1,intermediate_size=8"
    bert_classifier.main(build(bert_classifier.Config, values | {"config_overrides": overrides, "use_cpu": True}))
    last = capsys.readouterr().err.splitlines()[-1]
    *command, text = shlex.split(last.split("next", 1)[1])
    assert command == ["hf-seq2seq", "classify", "out"]
    assert text in LABELS
