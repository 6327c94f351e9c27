"""Labels written as words: by hand, with and without a list of labels."""

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics, trained_metrics
from hf_seq2seq.metrics.corpus import Corpus

PREDICTIONS = ["positive", "negative ", "positiv", "", "neutral"]
REFERENCES = [["positive"], ["positive"], ["negative"], ["negative"], ["negative", "neutral"]]


def scores(name, predictions=PREDICTIONS, references=REFERENCES):
    return check_metrics((name,), TEXT_METRICS)[name].compute(predictions, references)


def test_outputs_outside_the_list_are_wrong_and_counted():
    assert scores("label_words") == {"label_accuracy": 40.0, "label_share": 60.0}


def test_a_file_names_the_labels(tmp_path):
    (tmp_path / "labels.txt").write_text("positive\nnegative\nneutral\n\npositiv\n")
    assert scores(f"label_words:{tmp_path}/labels.txt") == {"label_accuracy": 40.0, "label_share": 80.0}
    (tmp_path / "labels.txt").with_name("few.txt").write_text("positive\nnegative\n")
    with pytest.raises(InputError, match="row 5: the reference 'neutral' is not in the list"):
        scores(f"label_words:{tmp_path}/few.txt")
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(InputError, match="holds no label"):
        scores(f"label_words:{tmp_path}/none.txt")
    with pytest.raises(InputError, match="No such file"):
        scores(f"label_words:{tmp_path}/absent.txt")


def test_windows_see_the_labels_of_all_rows():
    corpus = Corpus(check_metrics(("label_words",), TEXT_METRICS))
    corpus.add(["negative"], [["positive"]])
    corpus.add(["negative"], [["negative"]])
    assert corpus.scores() == {"label_accuracy": 50.0, "label_share": 100.0}


def test_a_run_may_name_it():
    assert trained_metrics(["label_words"], TEXT_METRICS, "model") == ("label_words",)
