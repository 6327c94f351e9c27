"""Windows over long inputs: lazy, in order, empty lines kept, cuts counted."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.text_generator import TextGenerator, in_windows


def test_no_more_than_a_window_is_read_ahead() -> None:
    read = 0

    def rows() -> Iterator[int]:
        nonlocal read
        while read < 1000:
            read += 1
            yield read

    results = in_windows(rows(), lambda rows: [row * 10 for row in rows], window=8)
    assert read == 0
    found = [next(results) for _ in range(20)]
    assert found == [(row, row * 10) for row in range(1, 21)]
    assert read == 24  # three windows


def test_rows_of_a_window_are_let_go() -> None:
    """What was yielded is not kept: an object of a past window is freed."""
    import weakref

    class Row:
        pass

    seen: list[weakref.ref[Row]] = []

    def rows() -> Iterator[Row]:
        for _ in range(12):
            row = Row()
            seen.append(weakref.ref(row))
            yield row

    for _ in in_windows(rows(), lambda block: [None] * len(block), window=4):
        assert sum(ref() is not None for ref in seen) <= 9  # a window, the next one, and the row in hand


def test_the_last_window_may_be_short() -> None:
    assert list(in_windows("abcde", lambda rows: [row.upper() for row in rows], window=2)) == list(
        zip("abcde", "ABCDE", strict=True)
    )
    assert list(in_windows([], lambda rows: rows)) == []


def test_windows_give_what_the_whole_gives(
    make_model: Callable[[str], Any], tokenizers: Tokenizers, texts: list[str]
) -> None:
    generator = TextGenerator(make_model("bart"), tokenizers, Decoding(per_device_eval_batch_size=4), 12)
    whole = generator(texts)
    assert [result for _, result in in_windows(iter(texts), generator, window=5)] == whole


def test_a_row_draws_by_its_number_whatever_window_it_is_in(
    make_model: Callable[[str], Any], tokenizers: Tokenizers, texts: list[str]
) -> None:
    rows = [texts[0], "", texts[0], texts[1], texts[0]]

    def make() -> TextGenerator:
        return TextGenerator(make_model("bart"), tokenizers, Search(do_sample=True, seed=3), 12)

    whole = make()(rows)
    assert len({whole[0], whole[2], whole[4]}) > 1  # one text, drawn for by three numbers
    generator = make()
    assert [*generator(rows[:2]), *generator(rows[2:], first=2)] == list(whole)


def test_empty_texts_stay_empty_and_in_place(
    make_model: Callable[[str], Any], tokenizers: Tokenizers, texts: list[str]
) -> None:
    generator = TextGenerator(make_model("bart"), tokenizers, Decoding(), 12)
    first, second = generator(texts[:2])
    assert generator(["", texts[0], "  ", texts[1], ""]) == ["", first, "", second, ""]
    assert generator(["", "\u200b", "\ufeff \u2060"]) == [""] * 3  # nothing is seen of them
    assert first != second


def test_cut_sources_are_counted_and_the_prefix_counts(
    make_model: Callable[[str], Any], tokenizers: Tokenizers
) -> None:
    model = make_model("bart")
    plain = TextGenerator(model, tokenizers, Decoding(), 4, max_source_length=4)
    found = plain(["the red dog", "the red old dog", "dog", "the red old small dog"])
    assert found.counts.truncated == 2
    assert plain(["the red old dog"]).counts.truncated == 1
    prefixed = TextGenerator(model, tokenizers, Decoding(), 4, max_source_length=4, prefix="big ")
    assert prefixed(["the red dog", "the dog"]).counts.truncated == 1
    assert prefixed(["the dog"]) == TextGenerator(model, tokenizers, Decoding(), 4)(["big the dog"])


SEARCHES = {
    "sampling": Search(do_sample=True, seed=7, num_return_sequences=2),
    "beams": Search(num_beams=3, num_return_sequences=2, coverage_penalty=0.2),
}


@pytest.mark.parametrize("family", ["bart", "rnn"])
@pytest.mark.parametrize("search", SEARCHES)
def test_equal_calls_give_equal_answers_from_any_thread(
    family: str, search: str, make_model: Callable[[str], Any], tokenizers: Tokenizers, texts: list[str]
) -> None:
    """Threads that generate, describe and score with one generator get what each would get alone."""
    details = ("score", "log_probs", "alignment")
    generator = TextGenerator(make_model(family), tokenizers, SEARCHES[search], 8, 6, details=details)
    whole, scores = generator.outputs(texts), generator.score(texts, texts)
    assert whole.counts.truncated > 0

    def ask(number: int) -> bool:
        if number % 3:
            found = generator.outputs(texts)
            return found == whole and found.counts == whole.counts
        return generator.score(texts, texts) == scores

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(24)))


def test_a_part_of_an_input_draws_by_its_numbers(
    make_model: Callable[[str], Any], tokenizers: Tokenizers, texts: list[str]
) -> None:
    generator = TextGenerator(make_model("bart"), tokenizers, SEARCHES["sampling"], 8)
    assert generator.outputs(texts)[5:] == generator.outputs(texts[5:], first=5)
    assert generator.outputs(texts)[5:] != generator.outputs(texts[5:])
