from itertools import pairwise

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.gap_sentences import GapSentences
from hf_seq2seq.noising.masked_tokens import MaskedTokens
from hf_seq2seq.noising.rows import runs_of
from hf_seq2seq.noising.sentence_scores import count_words, rouge1
from hf_seq2seq.ragged import IGNORE, Ragged

Sentence = list[int]


class Words:
    """Hands ids to rouge_score unchanged."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


SCORER = RougeScorer(["rouge1"], tokenizer=Words())


def reference(chosen: list[Sentence], others: list[Sentence], unique: bool) -> float:
    """ROUGE-1 F1 by rouge_score."""
    sides = [[token for sentence in side for token in sentence] for side in (chosen, others)]
    texts = [" ".join(map(str, dict.fromkeys(side) if unique else side)) for side in sides]
    return SCORER.score(*texts)["rouge1"].fmeasure


def documents_of(split, rows: int) -> list[list[Sentence]]:
    """Sentences of the first documents, as lists."""
    documents = []
    for row in range(rows):
        tokens = split.tokens[row].tolist()
        starts = split.sentences[split.tokens.offsets[row] : split.tokens.offsets[row + 1]].tolist()
        begins = [place for place in range(len(tokens)) if starts[place] or place == 0]
        documents.append([tokens[a:b] for a, b in pairwise([*begins, len(tokens)])])
    return documents


def gap_count(sentences: int, ratio: float) -> int:
    return min(max(round(sentences * ratio), 1), max(sentences - 1, 0))


@pytest.mark.parametrize("unique", [False, True])
def test_scores_are_rouges(split, unique: bool) -> None:
    sentences = runs_of(split.tokens, split.sentences)
    words = count_words(split.tokens, sentences)
    found = rouge1(words, np.zeros(len(words.rows), dtype=bool), unique)
    expected = [
        reference([sentence], document[:place] + document[place + 1 :], unique)
        for document in documents_of(split, 60)
        for place, sentence in enumerate(document)
    ]
    assert np.allclose(found[: len(expected)], expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("unique", [False, True])
def test_scores_with_chosen_ones_are_rouges(split, rng, unique: bool) -> None:
    sentences = runs_of(split.tokens, split.sentences)
    words = count_words(split.tokens, sentences)
    chosen = rng.random(len(words.rows)) < 0.3
    found = rouge1(words, chosen, unique)
    place = 0
    for document in documents_of(split, 40):
        inside = chosen[place : place + len(document)].tolist()
        for number in range(len(document)):
            if not inside[number]:
                taken = [i == number or inside[i] for i in range(len(document))]
                one = [s for s, t in zip(document, taken, strict=True) if t]
                rest = [s for s, t in zip(document, taken, strict=True) if not t]
                assert found[place + number] == pytest.approx(reference(one, rest, unique), rel=1e-12)
        place += len(document)


def chosen_by_loops(document: list[Sentence], count: int, sequential: bool, unique: bool) -> set[int]:
    """The paper's choice; scores are rounded so that equal ones are equal, and the earlier wins."""
    taken: list[int] = []

    def score(place: int) -> float:
        one = [*taken, place] if sequential else [place]
        others = [s for i, s in enumerate(document) if i not in one]
        return round(reference([document[i] for i in one], others, unique), 10)

    if not sequential:
        return set(sorted(range(len(document)), key=lambda i: -score(i))[:count])
    while len(taken) < count:
        taken.append(max((i for i in range(len(document)) if i not in taken), key=lambda i: (score(i), -i)))
    return set(taken)


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("sequential", [False, True])
def test_principal_sentences_are_the_papers(split, rng, mask, sequential: bool, unique: bool) -> None:
    found = GapSentences(mask, 0.3, "principal", sequential, unique)(split.tokens, rng, split.sentences)
    for row, document in enumerate(documents_of(split, 40)):
        gaps = chosen_by_loops(document, gap_count(len(document), 0.3), sequential, unique)
        source = [[mask] if i in gaps else s for i, s in enumerate(document)]
        assert found.source[row].tolist() == [token for s in source for token in s]
        assert found.target[row].tolist() == [token for i in sorted(gaps) for token in document[i]]


def recover(source: list[int], target: list[int], document: list[Sentence], mask: int) -> list[int]:
    """Fills the gaps with as many tokens of the target as the sentence there has."""
    tokens, place, begin = [], 0, 0
    for sentence in document:
        if source[place] == mask:
            tokens += target[begin : begin + len(sentence)]
            place, begin = place + 1, begin + len(sentence)
        else:
            tokens += source[place : place + len(sentence)]
            place += len(sentence)
    assert place == len(source)
    assert begin == len(target)
    return tokens


@pytest.mark.parametrize("selection", ["principal", "random", "lead"])
def test_every_row_comes_back(split, rng, mask, selection: str) -> None:
    found = GapSentences(mask, 0.3, selection)(split.tokens, rng, split.sentences)
    for row, document in enumerate(documents_of(split, len(split.tokens.offsets) - 1)):
        source, target = found.source[row].tolist(), found.target[row].tolist()
        assert source.count(mask) == gap_count(len(document), 0.3)
        assert recover(source, target, document, mask) == split.tokens[row].tolist()


def test_lead_takes_the_first(make_rows, rng) -> None:
    tokens = make_rows([[10, 11, 12, 13, 14, 15], [16]])
    starts = np.array([1, 0, 1, 1, 1, 0, 1], dtype=bool)
    found = GapSentences(5, 0.5, "lead")(tokens, rng, starts)
    assert [found.source[i].tolist() for i in range(2)] == [[5, 5, 13, 14, 15], [16]]
    assert [found.target[i].tolist() for i in range(2)] == [[10, 11, 12], []]


def test_random_takes_every_sentence_as_often(make_rows, rng) -> None:
    draws = 30_000
    tokens = Ragged(np.tile(np.arange(10, 15, dtype=np.int32), draws), np.arange(0, 5 * draws + 1, 5))
    target = GapSentences(5, 0.4, "random")(tokens, rng, np.ones(5 * draws, dtype=bool)).target.values
    assert abs(np.bincount(target)[10:] - draws * 0.4).max() < 5 * (draws * 0.24) ** 0.5


def test_masked_tokens_beside_gaps(split, rng, mask) -> None:
    both = GapSentences(mask, masked_tokens=MaskedTokens(5, 5_000))(split.tokens, rng, split.sentences)
    gaps = GapSentences(mask)(split.tokens, rng, split.sentences)
    labels = both.source_labels.values
    assert np.array_equal(np.where(labels == IGNORE, both.source.values, labels), gaps.source.values)
    assert np.array_equal(both.target.values, gaps.target.values)
    assert (both.source.values == 5).any()
    assert (labels[both.source.values == mask] == IGNORE).all()
    with pytest.raises(InputError, match="cannot be whole words here"):
        GapSentences(mask, masked_tokens=MaskedTokens(5, 5_000, whole_words=True))


def test_text_without_sentence_ends(make_rows, rng, mask) -> None:
    with pytest.raises(InputError, match="no row has two sentences; are there sentence ends in the text"):
        GapSentences(mask)(make_rows([[7, 8], [9]]), rng, np.zeros(3, dtype=bool))


def test_an_unknown_selection(mask) -> None:
    with pytest.raises(InputError, match="unknown selection 'principle'; did you mean 'principal'"):
        GapSentences(mask, selection="principle")
