"""BLEU, chrF and TER against sacreBLEU called by hand, with unequal numbers of references."""

import pytest
import sacrebleu

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import TEXT_METRICS

PREDICTIONS = ["the cat sat on the mat .", "there is a dog in the garden", "", "two men walk"]
REFERENCES = [
    ["the cat sat on a mat .", "a cat was sitting on the mat ."],
    ["a dog is in the garden", "there is a dog in the yard"],
    ["an empty street at night"],
    ["two men walk", "two people are walking home", "two men are walking"],
]
STREAMS = [
    [row[position] if position < len(row) else None for row in REFERENCES]
    for position in range(max(len(row) for row in REFERENCES))
]


@pytest.mark.parametrize(
    ("name", "reference"),
    [("bleu", sacrebleu.corpus_bleu), ("chrf", sacrebleu.corpus_chrf), ("ter", sacrebleu.corpus_ter)],
)
def test_equals_sacrebleu_with_unequal_references(name, reference):
    expected = reference(PREDICTIONS, STREAMS).score
    assert TEXT_METRICS[name].compute(PREDICTIONS, REFERENCES) == {name: expected}
    assert 0 < expected < 100


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_second_references_count(name):
    first_only = TEXT_METRICS[name].compute(PREDICTIONS, [row[:1] for row in REFERENCES])
    assert first_only != TEXT_METRICS[name].compute(PREDICTIONS, REFERENCES)


def test_perfect_output_and_empty_output():
    texts = ["a man rides a red bicycle .", "two dogs run on the beach ."]
    references = [[text] for text in texts]
    for name, best, worst in (("bleu", 100, 0), ("chrf", 100, 0), ("ter", 0, 100)):
        assert TEXT_METRICS[name].compute(texts, references)[name] == pytest.approx(best)
        assert TEXT_METRICS[name].compute(["", ""], references)[name] == pytest.approx(worst)


def test_signature_says_tokenizer_and_number_of_references():
    bleu, chrf = TEXT_METRICS["bleu"].signature, TEXT_METRICS["chrf"].signature
    assert f"nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}" == bleu(REFERENCES)
    assert "nrefs:2" in bleu([["a", "b"], ["c", "d"]])
    assert "nc:6|nw:0" in chrf(REFERENCES)


@pytest.mark.parametrize("name", sorted(TEXT_METRICS))
@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        (["a", "b"], [["a"]], "2 predictions, but references for 1 rows"),
        ([], [], "no predictions"),
        (["a", "b"], [["a"], []], "row 2 has no reference"),
        (["a", "b"], [["a"], "b"], "references of row 2 are one text"),
    ],
)
def test_rows_that_cannot_be_scored_are_refused(name, predictions, references, message):
    with pytest.raises(InputError, match=message):
        TEXT_METRICS[name].compute(predictions, references)
