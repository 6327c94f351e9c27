"""Quality by how often words stand in the training rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.analysis.sections.frequencies import frequencies
from hf_seq2seq.errors import InputError
from hf_seq2seq.reports.frequencies import frequencies_of, training_counts


def test_rare_words_and_words_that_training_never_had(plant: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("ein\tone dog\n" + "zwei\tdog dog dog\n" * 3)
    run = {"train_file": str(tmp_path / "train.tsv")}
    trained = training_counts(None, run)
    assert trained is not None
    assert trained[0] == {"one": 1, "dog": 10}
    texts = [("one dog", "one dog"), ("a cat", "a dog"), ("dog", "dog dog")]
    record = plant([{"source": "x", "outputs": [output], "references": [right]} for output, right in texts])
    found = frequencies_of(record, trained)
    groups = {each["frequency"]: (each["words"], round(each["f1"])) for each in found["groups"]}
    assert groups == {"0": (1, 67), "1": (1, 100), "10–99": (4, 67)}
    assert (found["unseen"]["rows"], found["unseen"]["score_of_others"] > found["unseen"]["score"]) == (1, True)
    record.frequencies.update(found)
    section = frequencies(record)
    assert section is not None
    assert section.text[1].startswith("In 1 of 3 rows the reference has a word that training never had")


def test_training_rows_that_are_not_known(plant: Callable[..., Any], tmp_path: Path) -> None:
    assert training_counts(None, {"train_file": str(tmp_path / "gone.tsv")}) is None
    assert training_counts(None, {}) is None
    with pytest.raises(InputError, match=r"gone\.tsv"):
        training_counts(str(tmp_path / "gone.tsv"), {})
    section = frequencies(plant([{"source": "x", "outputs": ["a"], "references": ["a"]}]))
    assert section is not None
    assert "left out (--train-file)" in section.left_out
