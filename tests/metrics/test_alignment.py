"""Alignment error rate by hand and on a published system's output."""

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.alignment import make_aer, make_alignment_f1, read_links


def test_links_are_sure_or_possible():
    assert read_links("0-0 1p2\t3-1 ") == ({(0, 0), (3, 1)}, {(0, 0), (1, 2), (3, 1)})
    assert read_links("") == (set(), set())
    for wrong in ("1", "a-b", "1-2-3", "-1-2", "1 - 2"):
        with pytest.raises(InputError, match="is not a link; write 3-4, or 3p4"):
            read_links(wrong)


def test_by_hand():
    predictions, references = ["0-0 1-1 2-2", "0-0"], [["0-0 1p1 3-3"], ["0-1"]]
    # links 4, right 2 (0-0, 1-1), sure and found 1, sure 3
    assert make_aer().compute(predictions, references) == {"aer": pytest.approx(100 * (1 - 3 / 7))}
    found = make_alignment_f1().compute(predictions, references)
    assert found["alignment_precision"] == 50
    assert found["alignment_recall"] == pytest.approx(100 / 3)
    assert found["alignment_f1"] == pytest.approx(40)
    assert make_aer().compute([""], [[""]]) == {"aer": 0}


def test_bases_that_differ_are_refused_unless_they_are_named():
    zero, one = ["0-0 1-2", "0-1"], [["1-1 2-3"], ["1-2"]]
    assert make_aer("0-1").compute(zero, one) == {"aer": 0}
    assert make_aer("1-0").compute([row[0] for row in one], [[line] for line in zero]) == {"aer": 0}
    assert make_aer("0-0").compute(zero, one)["aer"] == 100
    with pytest.raises(InputError, match=r"the predictions have links from 0, the gold .* only from 1; .* aer:0-1"):
        make_aer().compute(zero, one)
    with pytest.raises(InputError, match="the gold standard should count words from 1, but a link has a 0"):
        make_aer("0-1").compute(zero, [["0-0"], ["1-2"]])
    with pytest.raises(InputError, match=r"aer:2-1: write aer:0-1"):
        make_aer("2-1")
    with pytest.raises(InputError, match="one gold alignment, not 2"):
        make_aer().compute(["0-0"], [["0-0", "0-1"]])


@pytest.mark.parametrize(("pair", "expected"), [("enfr", 4.1), ("roen", 20.7)])
def test_published_figures(shared_data, pair, expected):
    folder = shared_data / "alignment"
    predictions = (folder / f"{pair}.awesome-align.out").read_text().splitlines()
    gold = [[line] for line in (folder / f"{pair}.gold").read_text().splitlines()]
    assert round(make_aer("0-1").compute(predictions, gold)["aer"], 1) == expected
