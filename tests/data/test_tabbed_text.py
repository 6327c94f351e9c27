import logging

import pytest

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.pairs import read_pairs
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.data.tabbed_text import split_at_tabs, split_stream_at_tabs, tabbed_columns
from hf_seq2seq.errors import InputError

PAIRS = "abacus\tAE B AH K AH S\nabandon\tAH B AE N D AH N\n"


def read(path: str) -> list[tuple[str, str]]:
    data = PairData(train_file=path)
    pairs = read_pairs(load_splits(data, arrange=split_at_tabs), data)["train"]
    return list(zip(pairs.sources, pairs.targets, strict=True))


@pytest.mark.parametrize("name", ["g2p.txt", "g2p.tsv", "g2p.dict", "g2p.txt.gz", "g2p.csv"])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("word\tphonemes\n", ""), ("", "\n\n")])
def test_words_and_their_phonemes_need_no_flag(write, caplog, name, before, after):
    with caplog.at_level(logging.WARNING):
        assert read(write(name, before + PAIRS + after)) == [
            ("abacus", "AE B AH K AH S"),
            ("abandon", "AH B AE N D AH N"),
        ]
    assert bool(caplog.text) == (not before or ".txt" in name)
    assert before or "1, 2" in caplog.text


@pytest.mark.parametrize("texts", [["a\tb", "c"], ["a", "b"], ["", ""], ["a\tb", "c\td\te"]])
def test_other_text_stays_text(texts):
    assert tabbed_columns(texts) is None


def test_rows_read_one_by_one_are_split_by_the_sample():
    sample = [{"text": "a b\tx"}, {"text": ""}]
    rows, sample = split_stream_at_tabs(iter([*sample, {"text": "c\td"}]), sample, "x.txt")
    assert sample == [{"1": "a b", "2": "x"}, {"1": "", "2": ""}]
    assert list(rows) == [*sample, {"1": "c", "2": "d"}]
    named = [{"text": "word\tphonemes"}, {"text": "a\tb"}]
    rows, sample = split_stream_at_tabs(iter(named), named, "x.txt")
    assert (list(rows), sample) == ([{"word": "a", "phonemes": "b"}],) * 2
    other = [{"text": "a\tb", "id": 1}]
    assert list(split_stream_at_tabs(iter(other), other, "x.jsonl")[0]) == other


@pytest.mark.parametrize(("line", "found"), [("c\td\te", "3 fields"), ("c", "1 field,")])
def test_a_later_row_with_other_tabs_is_refused_with_its_line(line, found):
    head, row = {"text": "word\tphonemes"}, {"text": "a b\tx"}
    rows, _ = split_stream_at_tabs(iter([head, row, {"text": line}]), [head, row], "x.txt")
    assert next(rows) == {"word": "a b", "phonemes": "x"}
    with pytest.raises(InputError, match=rf"x\.txt:3: found {found}"):
        next(rows)
