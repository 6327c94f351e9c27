"""Choosing metrics by name, by problem and by path."""

import subprocess
import sys
from pathlib import Path

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import (
    LABEL_METRICS,
    MADE_METRICS,
    TEXT_METRICS,
    best_metric,
    check_metrics,
    metrics_for,
)

SCRIPT = """
import datasets
import evaluate


class LengthRatio(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="",
            features=datasets.Features({FEATURES}),
        )

    def _compute(self, predictions, references):
        texts = [r if isinstance(r, str) else r[0] for r in references]
        return {"length_ratio": sum(map(len, predictions)) / sum(map(len, texts)), "detail": [1, 2]}
"""
ONE = '{"predictions": datasets.Value("string"), "references": datasets.Value("string")}'
SEVERAL = '{"predictions": datasets.Value("string"), "references": datasets.List(datasets.Value("string"))}'
LABELS = '{"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}'


@pytest.fixture
def script(tmp_path):
    def write(features: str, name: str = "length_ratio.py") -> str:
        path: Path = tmp_path / name
        path.write_text(SCRIPT.replace("{FEATURES}", features), encoding="utf-8")
        return str(path)

    return write


def test_importing_loads_no_heavy_library():
    heavy = "torch transformers datasets evaluate sacrebleu sklearn scipy rouge_score nltk"
    code = f"import sys, hf_seq2seq.metrics; print([m for m in {heavy!r}.split() if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("names", ["bleu chrf exact_match", "ter", "squad levenshtein phoneme_error_rate"])
def test_metrics_of_text_score_without_numpy(names: str) -> None:
    code = f"""
import sys
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.corpus import Corpus
corpus = Corpus(check_metrics({names.split()!r}, TEXT_METRICS))
for _ in range(2):
    corpus.add(["a small dog", "the cat"], [["a dog", "the dog"], ["the cat"]])
print(sorted(corpus.scores()), "numpy" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == f"{sorted(key for name in names.split() for key in TEXT_METRICS[name].keys)} False\n"


def test_every_metric_has_its_own_keys_and_a_problem():
    metrics = [*TEXT_METRICS.values(), *LABEL_METRICS.values()]
    keys = [key for metric in metrics for key in metric.keys]
    assert len(keys) == len(set(keys))
    for name, metric in TEXT_METRICS.items():
        assert tuple(metric.compute(["a b"], [["a c"]])) == metric.keys, name


def test_problems_choose_the_metrics_that_fit():
    assert metrics_for("seq2seq") == TEXT_METRICS
    assert set(metrics_for("single_label")) == {"accuracy", "macro_f1", "matthews"}
    assert set(metrics_for("multi_label")) == {"accuracy", "macro_f1", "micro_f1"}
    assert set(metrics_for("regression")) == {"pearson", "spearman", "mse"}


def test_an_unknown_name_gets_the_nearest_one():
    assert list(check_metrics(("chrf", "bleu"), TEXT_METRICS)) == ["chrf", "bleu"]
    with pytest.raises(InputError, match=r"unknown metric 'bleuu'; did you mean 'bleu'\?"):
        check_metrics(("chrf", "bleuu"), TEXT_METRICS)
    with pytest.raises(InputError, match="'pearson' does not score what is predicted; choose from acc"):
        check_metrics(("pearson",), metrics_for("single_label"))


def test_the_score_that_chooses_the_best_checkpoint():
    assert best_metric("loss", ()) is False
    assert best_metric("eval_bleu", ("bleu", "ter")) is True
    assert best_metric("ter", ("bleu", "ter")) is False
    assert best_metric("rougeL", ("rouge",)) is True
    with pytest.raises(InputError, match="no chosen metric gives 'chrf'; choose from bleu, loss"):
        best_metric("chrf", ("bleu",))


def test_a_script_is_loaded_offline_and_scores_texts(script):
    path = script(SEVERAL)
    metric = check_metrics((path,), TEXT_METRICS)[path]
    assert metric.keys == ("length_ratio",)
    for _ in range(2):
        assert metric.compute(["abcd", ""], [["ab", "x"], ["cd"]]) == {"length_ratio": 1.0}
    assert best_metric("length_ratio", (path,)) is True


def test_a_script_for_one_reference_refuses_several(script):
    path = script(ONE)
    metric = check_metrics((path,), TEXT_METRICS)[path]
    assert metric.compute(["abcd"], [["ab"]]) == {"length_ratio": 2.0}
    with pytest.raises(InputError, match="one reference per row; row 2 has 2"):
        metric.compute(["a", "b"], [["a"], ["b", "c"]])


def test_scripts_that_cannot_be_used_are_refused_at_once(script, tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        check_metrics((str(tmp_path / "absent.py"),), TEXT_METRICS)
    with pytest.raises(InputError, match="cannot score texts"):
        check_metrics((script(LABELS, "labels.py"),), TEXT_METRICS)
    (tmp_path / "broken.py").write_text("def", encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.py' cannot score texts: SyntaxError"):
        check_metrics((str(tmp_path / "broken.py"),), TEXT_METRICS)
    with pytest.raises(InputError, match="unknown metric"):
        check_metrics((str(tmp_path / "absent.py"),), LABEL_METRICS)


def test_the_documentation_has_a_row_for_every_metric(repository):
    page = (repository / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = page.split("| `--metrics` |")[1].split("\n\n")[0]
    missing = [name for name in (*TEXT_METRICS, *LABEL_METRICS, *MADE_METRICS) if f"`{name}" not in table]
    assert not missing


def test_metrics_that_are_made_from_an_argument():
    chosen = check_metrics(("aer:0-1", "chrf++"), TEXT_METRICS)
    assert [metric.keys for metric in chosen.values()] == [("aer",), ("chrf++",)]
    assert best_metric("aer", ("aer:0-1",)) is False
    with pytest.raises(InputError, match=r"unknown metric 'bertscor'; did you mean 'bertscore'\?"):
        check_metrics(("bertscor",), TEXT_METRICS)
    with pytest.raises(InputError, match="'aer' does not score what is predicted"):
        check_metrics(("aer",), LABEL_METRICS)
