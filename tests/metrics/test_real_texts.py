"""Metrics of texts on real data, several references per row, against the reference implementations called by hand."""

import gzip
import json
import random
from itertools import zip_longest

import pytest
import sacrebleu
from nltk.translate.meteor_score import single_meteor_score

from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.metrics import meteor as meteor_module
from hf_seq2seq.metrics.words import words


@pytest.fixture(scope="module")
def captions(shared_data):
    """English captions, some words of which are lost, doubled or exchanged, and one of which is empty."""
    with gzip.open(shared_data / "multi30k" / "test_2016_flickr.en.gz", "rt", encoding="utf-8") as file:
        texts = file.read().splitlines()[:300]
    generator = random.Random(5)
    changed = []
    for text in texts:
        tokens = [
            generator.choice((token, token, token, token.upper(), f"{token} {token}", "")) for token in text.split()
        ]
        changed.append(" ".join(filter(None, tokens)))
    changed[7] = ""
    return changed, [[text] for text in texts]


@pytest.fixture(scope="module")
def summaries(shared_data):
    """First sentences of abstracts, against one to many summaries."""
    with gzip.open(shared_data / "scitldr" / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][:40]
    assert len({len(row["target"]) for row in rows}) > 1
    return [row["source"][0] for row in rows], [row["target"] for row in rows]


@pytest.mark.parametrize("data", ["captions", "summaries"])
@pytest.mark.parametrize(
    ("name", "function", "options"),
    [
        ("bleu", sacrebleu.corpus_bleu, {}),
        ("chrf", sacrebleu.corpus_chrf, {}),
        ("chrf++", sacrebleu.corpus_chrf, {"word_order": 2}),
        ("ter", sacrebleu.corpus_ter, {}),
    ],
)
def test_sacrebleu(request, data, name, function, options):
    predictions, references = request.getfixturevalue(data)
    expected = function(predictions, list(zip_longest(*references)), **options).score
    assert TEXT_METRICS[name].compute(predictions, references)[name] == pytest.approx(expected, abs=1e-9)
    assert 0 < expected < 200


def test_rouge_score(summaries):
    scorers = pytest.importorskip("rouge_score.rouge_scorer")
    predictions, references = (part[:30] for part in summaries)
    keys = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    scorer = scorers.RougeScorer(keys, use_stemmer=True)
    found = TEXT_METRICS["rouge"].compute(predictions, references)
    for key in keys:
        best = [
            max(scorer.score(reference, text)[key].fmeasure for reference in row)
            for text, row in zip(predictions, references, strict=True)
        ]
        assert found[key] / 100 == pytest.approx(sum(best) / len(best), abs=1e-9)


def test_nltk_s_meteor(summaries):
    predictions, references = (part[:30] for part in summaries)
    best = [
        max(single_meteor_score(words(each), words(text), wordnet=meteor_module.thesaurus()) for each in row)
        for text, row in zip(predictions, references, strict=True)
    ]
    assert TEXT_METRICS["meteor"].compute(predictions, references)["meteor"] / 100 == pytest.approx(sum(best) / 30)


@pytest.mark.parametrize("data", ["captions", "summaries"])
def test_every_metric_tells_the_right_text_from_a_wrong_one(request, data):
    predictions, references = request.getfixturevalue(data)
    right = [row[0] for row in references[:20]]
    for name, metric in TEXT_METRICS.items():
        if name != "seqeval":
            best, worse = (metric.compute(texts[:20], references[:20]) for texts in (right, predictions))
            for key in metric.keys:
                assert (best[key] > worse[key]) if metric.greater_is_better else (best[key] < worse[key]), key
