import numpy as np

from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.ragged import Ragged
from hf_seq2seq.data.statistics import Lengths, describe_lengths


def test_percentiles_are_lengths_of_rows_and_shares_are_percent():
    source = Ragged.of([[0] * n for n in range(1, 201)])
    target = Ragged.of([[0] * 3] * 199 + [[0] * 90])
    described = describe_lengths(Examples(source, ["x"] * 200, target, truncated=(50, 1)))
    assert described == {
        "source": Lengths({50: 100, 90: 180, 95: 190, 99: 198, 100: 200}, 20_100, 25.0),
        "target": Lengths({50: 3, 90: 3, 95: 3, 99: 3, 100: 90}, 687, 0.5),
    }


def test_a_percentile_is_the_length_of_a_row():
    examples = Examples(Ragged.of([[0], [0] * 10]), ["x"] * 2)
    assert describe_lengths(examples)["source"].percentiles == {50: 1, 90: 10, 95: 10, 99: 10, 100: 10}


def test_labelled_rows_have_one_side():
    examples = Examples(Ragged.of([[1, 2]]), ["x"], labels=np.zeros(1, dtype=np.int64))
    assert describe_lengths(examples) == {"source": Lengths(dict.fromkeys((50, 90, 95, 99, 100), 2), 2, 0.0)}


def test_no_rows_have_no_length():
    assert describe_lengths(Examples(Ragged.of([]), []))["source"].percentiles[100] == 0
