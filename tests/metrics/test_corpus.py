"""A corpus piece by piece: equal to the whole, and in memory that does not grow with it."""

import tracemalloc

import pytest

from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.metrics.corpus import Corpus

PREDICTIONS = [f"a {word} dog number {n} runs home" for n, word in enumerate(["red", "old", "big", "new"] * 10)]
REFERENCES = [[f"the {word} dog number {n} ran home", f"dog {n}"] for n, word in enumerate(["red", "old"] * 20)]


@pytest.mark.parametrize("name", sorted(TEXT_METRICS))
def test_pieces_give_what_the_whole_gives(name):
    metric = TEXT_METRICS[name]
    corpus = Corpus({name: metric})
    for start in range(0, 40, 7):
        corpus.add(PREDICTIONS[start : start + 7], REFERENCES[start : start + 7])
    assert corpus.scores() == pytest.approx(metric.compute(PREDICTIONS, REFERENCES), abs=1e-9)
    assert corpus.rows == 40


def test_signatures_know_the_references_of_all_pieces():
    corpus = Corpus({"bleu": TEXT_METRICS["bleu"]})
    corpus.add(["a"], [["a"]])
    assert corpus.signatures()["bleu"].startswith("nrefs:1|")
    corpus.add(["a"], [["a", "b"]])
    assert corpus.signatures()["bleu"].startswith("nrefs:var|")


def test_memory_does_not_grow_with_the_rows():
    def peak(pieces: int) -> int:
        corpus = Corpus({name: TEXT_METRICS[name] for name in ("bleu", "exact_match")})
        tracemalloc.start()
        for _ in range(pieces):
            corpus.add(list(PREDICTIONS), [list(row) for row in REFERENCES])
        corpus.scores()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)  # sacreBLEU keeps the tokens of the last 65,536 texts
    assert peak(25) < 1.2 * peak(5)


@pytest.mark.parametrize(
    ("name", "reference", "told"),
    [
        ("phoneme_error_rate", "kæt͡ʃiŋ", "no spaces and counts as one phoneme"),
        ("phoneme_error_rate", "AH0", None),
        ("phoneme_error_rate", "K AE T S", None),
        ("token_error_rate", "今天天气很好", "its words are not found"),
        ("token_error_rate", "catching", None),
        ("squad", "今天天气", "F1 finds no words"),
        ("squad", "Denver Broncos", None),
    ],
)
def test_scores_of_words_that_spaces_do_not_divide_are_doubted(name, reference, told):
    corpus = Corpus({name: TEXT_METRICS[name]})
    corpus.add(["x y", "x"], [[reference], ["a b"]])
    doubts = corpus.doubts()
    assert len(doubts) == bool(told)
    assert not told or (doubts[0].startswith(f"{name}: in 1 of 2 rows ") and told in doubts[0])


@pytest.mark.parametrize(
    ("outputs", "told"),
    [(["a dog runs", "the cat"], ["bleu: no output has 4 words, so BLEU is 0"]), (["a dog runs home", "the cat"], [])],
)
def test_outputs_too_short_for_bleu_are_said(outputs, told):
    corpus = Corpus({name: TEXT_METRICS[name] for name in ("bleu", "chrf")})
    for output in outputs:
        corpus.add([output], [[output]])
    assert corpus.doubts() == told
    assert bool(corpus.scores()["bleu"]) != bool(told)
