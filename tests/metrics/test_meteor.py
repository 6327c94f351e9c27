"""METEOR against the example of its paper and its formula, with and without synonyms."""

import gzip
import operator
import sys
from types import SimpleNamespace

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import TEXT_METRICS
from hf_seq2seq.metrics import meteor as module
from hf_seq2seq.metrics.meteor import NoWordNet, meteor
from hf_seq2seq.metrics.words import words

pytest.importorskip("nltk")


class Synonyms:
    """What METEOR asks WordNet for."""

    def synsets(self, word):
        group = next((group for group in ({"big", "tall"}, {"street", "road"}) if word in group), set())
        return [SimpleNamespace(lemmas=lambda: [SimpleNamespace(name=lambda w=w: w) for w in sorted(group)])]


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setattr(module, "thesaurus", NoWordNet)


def formula(matches, said, wanted, chunks):
    precision, recall = matches / said, matches / wanted
    return 100 * 10 * precision * recall / (recall + 9 * precision) * (1 - 0.5 * (chunks / matches) ** 3)


def test_the_example_of_the_paper():
    # Banerjee and Lavie 2005, section 2.2: two chunks, "the president" and "spoke to the audience".
    found = meteor(["the president spoke to the audience"], [["the president then spoke to the audience"]])
    assert found["meteor"] == pytest.approx(formula(6, 6, 7, 2))


def test_stems_match_after_equal_words_and_the_best_reference_counts():
    found = meteor(["Two dogs running"], [["cats", "two dog runs"]])
    assert found["meteor"] == pytest.approx(formula(3, 3, 3, 1))
    assert meteor(["x", ""], [["a b"], ["c"]]) == {"meteor": 0}


def test_synonyms_match_where_there_is_a_thesaurus(monkeypatch):
    rows = ["a tall road"], [["a big street"]]
    assert meteor(*rows)["meteor"] == pytest.approx(formula(1, 3, 3, 1))
    assert TEXT_METRICS["meteor"].signature(rows[1]).startswith("matchers:exact,stem|alpha:0.9|beta:3.0|gamma:0.5")
    monkeypatch.setattr(module, "thesaurus", Synonyms)
    assert meteor(*rows)["meteor"] == pytest.approx(formula(3, 3, 3, 1))
    assert TEXT_METRICS["meteor"].signature(rows[1]).startswith("matchers:exact,stem,synonym|")


def test_absent_data_mean_no_synonyms(monkeypatch, tmp_path):
    from nltk.corpus import LazyCorpusLoader, WordNetCorpusReader

    monkeypatch.undo()
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    # One that has not read anything yet: a test before this one may have found data.
    monkeypatch.setattr("nltk.corpus.wordnet", LazyCorpusLoader("wordnet", WordNetCorpusReader, None))
    module.thesaurus.cache_clear()
    assert isinstance(module.thesaurus(), NoWordNet)
    module.thesaurus.cache_clear()


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.undo()
    module.thesaurus.cache_clear()
    monkeypatch.setitem(sys.modules, "nltk.corpus", None)
    with pytest.raises(InputError, match=r"pip install 'hf-seq2seq\[meteor\]'"):
        meteor(["a"], [["a"]])


@pytest.fixture
def wordnet(monkeypatch):
    """WordNet as NLTK reads it, where its data are installed."""
    from nltk.corpus import wordnet

    monkeypatch.undo()
    try:
        wordnet.ensure_loaded()
    except LookupError:
        pytest.skip("WordNet's data are not installed: NLTK_DATA names no folder with corpora/wordnet")
    module.thesaurus.cache_clear()
    return wordnet


def test_synonyms_of_wordnet(wordnet):
    rows = ["the car is quick"], [["the car is fast"]]
    assert meteor(*rows)["meteor"] == pytest.approx(formula(4, 4, 4, 1))
    assert TEXT_METRICS["meteor"].signature(rows[1]).startswith("matchers:exact,stem,synonym|")


def test_equals_nltk_with_wordnet_on_real_data(wordnet, shared_data):
    from nltk.translate.meteor_score import meteor_score

    texts = []
    for year in (2016, 2017):
        with gzip.open(shared_data / "multi30k" / f"test_{year}_flickr.en.gz", "rt", encoding="utf-8") as file:
            texts.append(file.read().splitlines()[:100])
    said, references = texts[0], [list(row) for row in zip(texts[1], texts[0][1:] + texts[0][:1], strict=True)]
    found = [row[0] / 100 for row in TEXT_METRICS["meteor"].statistics(said, references)]
    tokens = [[words(reference) for reference in row] for row in references]
    expected = [meteor_score(row, words(text), wordnet=wordnet) for row, text in zip(tokens, said, strict=True)]
    assert found == pytest.approx(expected, abs=1e-9)
    plain = [meteor_score(row, words(text), wordnet=NoWordNet()) for row, text in zip(tokens, said, strict=True)]
    assert sum(map(operator.gt, expected, plain)) > 5
