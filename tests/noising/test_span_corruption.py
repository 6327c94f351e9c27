from itertools import pairwise

import numpy as np
import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.iid_denoising import DroppedTokens, ReplacedSpans
from hf_seq2seq.noising.noise import Noised
from hf_seq2seq.noising.rows import offsets_of
from hf_seq2seq.noising.sentinels import Sentinels
from hf_seq2seq.noising.span_corruption import SpanCorruption
from hf_seq2seq.ragged import Ragged


def recover(source: list[int], target: list[int], sentinels: tuple[int, ...], final: bool) -> list[int]:
    """Puts the spans of a target back into its source, by loops; checks the order of the sentinels on the way."""
    known = set(sentinels)
    used = [token for token in source if token in known]
    assert used == list(sentinels[: len(used)])
    marks = [place for place, token in enumerate(target) if token in known]
    assert [target[place] for place in marks] == list(sentinels[: len(used) + final])
    assert marks[:1] in ([], [0])
    assert not final or marks[-1] == len(target) - 1
    ends = marks if final else [*marks, len(target)]
    spans = [target[begin + 1 : end] for begin, end in pairwise(ends)]
    assert all(spans)
    filled = iter(spans)
    return [token for piece in source for token in (next(filled) if piece in known else [piece])]


def check_recovery(tokens: Ragged, found: Noised, sentinels: tuple[int, ...], final: bool) -> None:
    for row in range(len(tokens.offsets) - 1):
        source, target = found.source[row].tolist(), found.target[row].tolist()
        assert recover(source, target, sentinels, final) == tokens[row].tolist()


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize(("rate", "mean"), [(0.15, 3.0), (0.5, 1.0), (0.9, 2.0), (0.0, 3.0), (1.0, 10.0)])
def test_every_row_comes_back(split, rng, final: bool, rate: float, mean: float) -> None:
    ids = tuple(range(90_000, 90_400))
    found = SpanCorruption(ids, rate, mean, final)(split.tokens, rng)
    check_recovery(split.tokens, found, ids, final)


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("rate", [0.15, 0.5, 1.0])
def test_every_row_comes_back_from_single_tokens_too(split, rng, rate: float, final: bool) -> None:
    ids = tuple(range(90_000, 90_400))
    check_recovery(split.tokens, ReplacedSpans(ids, rate, final)(split.tokens, rng), ids, final)


def test_the_papers_example(make_rows) -> None:
    thank, you, for_, inviting, me, to, your, party, last, week = range(10, 20)
    tokens = make_rows([[thank, you, for_, inviting, me, to, your, party, last, week], [], [you]])
    noised = np.isin(tokens.values, [for_, inviting, last])
    found = Sentinels((99, 98, 97)).replace(tokens, noised)
    assert found.source[0].tolist() == [thank, you, 99, me, to, your, party, 98, week]
    assert found.target[0].tolist() == [99, for_, inviting, 98, last, 97]
    assert [found.source[i].tolist() for i in (1, 2)] == [[], [you]]
    assert [found.target[i].tolist() for i in (1, 2)] == [[99], [99]]


def test_spans_end_with_their_row(make_rows) -> None:
    found = Sentinels((99, 98, 97)).replace(make_rows([[1, 2], [3], [4, 5]]), np.array([0, 1, 1, 1, 0], dtype=bool))
    assert [found.source[i].tolist() for i in range(3)] == [[1, 99], [99], [99, 5]]
    assert [found.target[i].tolist() for i in range(3)] == [[99, 2, 98], [99, 3, 98], [99, 4, 98]]


def test_counts_are_the_papers(sentinels) -> None:
    lengths = np.arange(600)
    for length, (source, target) in zip(
        lengths.tolist(), SpanCorruption(sentinels).bound(lengths).tolist(), strict=True
    ):
        noised = min(max(round(length * 0.15), 1), max(length - 1, 0))
        spans = max(round(noised / 3), 1) if noised else 0
        assert (source, target) == (length - noised + spans, noised + spans + 1)


def test_short_rows(make_rows, rng, sentinels) -> None:
    found = SpanCorruption(sentinels)(make_rows([[], [5], [5, 6]]), rng)
    first, second = sentinels[:2]
    assert [found.source[i].tolist() for i in range(3)] == [[], [5], [5, first]]
    assert [found.target[i].tolist() for i in range(3)] == [[first], [first], [first, 6, second]]


def test_all_segmentations_are_equally_likely(rng) -> None:
    draws = 50_000
    tokens = Ragged(np.tile(np.arange(12, dtype=np.int32), draws), offsets_of(np.full(draws, 12)))
    source = SpanCorruption((90, 91, 92, 93), 0.5, 2.0)(tokens, rng).source.values.reshape(draws, 9)
    _, found = np.unique(source, axis=0, return_counts=True)
    # Six noised and six kept tokens, each in three runs: 10 × 10 ways.
    assert len(found) == 100
    assert abs(found - draws / 100).max() < 5 * (draws / 100) ** 0.5


def test_shares_of_real_text(real, rng, sentinels) -> None:
    found = SpanCorruption(sentinels)(real.tokens, rng)
    marks = np.isin(found.target.values, sentinels)
    spans = marks.sum() - (len(real.tokens.offsets) - 1)
    assert abs((~marks).sum() / len(real.tokens.values) - 0.15) < 0.002
    assert abs((~marks).sum() / spans - 3) < 0.1


def test_too_few_sentinels(split, rng) -> None:
    few = tuple(range(90_000, 90_005))
    for noise in (SpanCorruption(few), ReplacedSpans(few)):
        with pytest.raises(InputError, match=r"sentinels: 5 are too few, a row needs \d+; add sentinels"):
            noise(split.tokens, rng)
        with pytest.raises(InputError, match="sentinels: 5 are too few"):
            noise.bound(split.tokens.lengths)


def test_just_enough_sentinels(make_rows, rng) -> None:
    tokens = make_rows([list(range(40))])  # 6 noised tokens, 2 spans, one more at the end
    SpanCorruption((90, 91, 92))(tokens, rng)
    SpanCorruption((90, 91), final_sentinel=False)(tokens, rng)
    with pytest.raises(InputError, match="2 are too few, a row needs 3"):
        SpanCorruption((90, 91))(tokens, rng)


def test_sentinels_never_collide(make_rows, rng) -> None:
    with pytest.raises(InputError, match="same id is given twice"):
        SpanCorruption((90, 91, 90))
    with pytest.raises(InputError, match="row 3 already contains one"):
        SpanCorruption((90, 91))(make_rows([[1], [], [91, 4], [5]]), rng)


def test_mean_spans_of_less_than_a_token(sentinels) -> None:
    with pytest.raises(InputError, match=r"mean span length: 0.5 is less than one token"):
        SpanCorruption(sentinels, mean_span_length=0.5)


def test_dropped_tokens_are_the_target(split, rng) -> None:
    places = Ragged(np.arange(len(split.tokens.values), dtype=np.int32), split.tokens.offsets)
    found = DroppedTokens()(places, np.random.default_rng(3))
    for row in range(len(places.offsets) - 1):
        source, target = found.source[row].tolist(), found.target[row].tolist()
        assert sorted(source) == source
        assert sorted(target) == target
        assert sorted(source + target) == places[row].tolist()
    # What is dropped depends on lengths alone, so the ids are those of the same places.
    again = DroppedTokens()(split.tokens, np.random.default_rng(3))
    assert np.array_equal(again.source.values, split.tokens.values[found.source.values])
    assert np.array_equal(again.target.values, split.tokens.values[found.target.values])
