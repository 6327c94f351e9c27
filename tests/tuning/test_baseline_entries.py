"""Baselines beside the trials of a search."""

from pathlib import Path

import pytest

from hf_seq2seq.tuning import baseline_entries as entries_module
from hf_seq2seq.tuning.baseline_entries import baseline_entries
from hf_seq2seq.tuning.following import Goal


def test_labels_have_linear_models(tmp_path: Path) -> None:
    rows = [("good film", "pos"), ("bad film", "neg"), ("so good", "pos"), ("so bad", "neg")] * 5
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    base = {"train_file": str(tmp_path / "rows.csv"), "validation_file": str(tmp_path / "rows.csv"), "dropout": 0.1}
    entries = {e.name: e for e in baseline_entries(base | {"metrics": ("accuracy",)}, Goal("accuracy", True), True)}
    assert {name: entry.score for name, entry in entries.items()} == {
        "majority": 50,
        "naive_bayes": 100,
        "logistic_regression": 100,
    }
    assert all(entry.kind == "baseline" and entry.state == "complete" for entry in entries.values())
    assert baseline_entries(base, Goal("loss", False), True) == ()


def test_pairs_have_theirs_and_a_failure_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("source,target\n" + "ab,a b\nba,b a\n" * 5)
    base = {"train_file": str(tmp_path / "rows.csv"), "validation_split_percentage": 20, "test_file": "absent.csv"}
    base |= {"metrics": ("word_error_rate",)}
    entries = {e.name: e for e in baseline_entries(base, Goal("word_error_rate", False), False)}
    assert (entries["copy"].score, entries["joint_ngram"].score) == (100, 0)
    (broken,) = {
        e.reason for e in baseline_entries(base | {"train_file": "no.csv"}, Goal("word_error_rate", False), False)
    }
    assert "no.csv: no such file" in broken


def test_a_baseline_that_breaks_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no rows")

    monkeypatch.setattr(entries_module, "run", broken)
    (entry, *_) = baseline_entries({"train_file": "a.csv"}, Goal("accuracy", True), True)
    assert (entry.state, entry.reason) == ("failed", "ZeroDivisionError: no rows")
