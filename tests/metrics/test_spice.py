"""SPICE with a parser of the user's own."""

from pathlib import Path

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.spice import spice

PARSER = "def parse(text):\n    words = text.split()\n    return [*words, *zip(words, words[1:])]\n"


def test_f1_of_facts_against_all_references():
    facts = {"a": [1, 2], "b": [2, 3], "c": [9], "": []}
    found = spice(["a", "c", ""], [["b", "c"], ["a"], ["a"]], lambda text: facts[text])
    assert found == {"spice": pytest.approx(100 * (2 * 1 / (2 + 3)) / 3)}  # {1, 2} and {2, 3, 9} share one


def test_a_parser_from_a_file(tmp_path: Path):
    (tmp_path / "parser.py").write_text(PARSER)
    name = f"spice:{tmp_path / 'parser.py'}"
    metric = check_metrics((name,), TEXT_METRICS)[name]
    assert metric.compute(["red dog"], [["red dog"]]) == {"spice": 100}
    assert metric.compute(["red dog"], [["red cat"]]) == {"spice": pytest.approx(100 / 3)}


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "there is no file"), ("def", "SyntaxError"), ("x = 1", r"no function parse\(text\)")],
)
def test_files_that_cannot_be_used(tmp_path: Path, text, message):
    file = tmp_path / "mine.py"
    if text:
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        check_metrics((f"spice:{file}",), TEXT_METRICS)


def test_without_a_parser_it_says_what_is_missing():
    with pytest.raises(InputError, match=r"scene-graph parser, which is a Java program.*spice:FILE\.py"):
        check_metrics(("spice",), TEXT_METRICS)
