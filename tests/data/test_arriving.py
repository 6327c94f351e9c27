import threading
import time

import pytest

from hf_seq2seq.data.arriving import Arriving
from hf_seq2seq.errors import InputError


def test_what_is_there_is_taken_and_nothing_is_waited_for():
    go_on = threading.Event()

    def slow():
        yield 1
        assert go_on.wait(10)
        yield from range(2, 8)

    arriving = Arriving(slow())
    start = time.monotonic()
    assert arriving.take(100) == [1]
    assert time.monotonic() - start < 5
    go_on.set()
    found = arriving.take(3)
    while len(found) < 6:
        found += arriving.take(3)
    assert found == [2, 3, 4, 5, 6, 7]
    assert arriving.take(3) == []
    assert arriving.take(3) == []


def test_rows_that_wait_fill_a_window():
    arriving = Arriving(range(10_000))
    sizes = []
    while found := arriving.take(1000):
        sizes.append(len(found))
        time.sleep(0.01)
    assert sum(sizes) == 10_000
    assert sizes[1] == 1000


def test_an_error_comes_after_the_rows_before_it():
    def broken():
        yield from "ab"
        raise InputError("row 3 is broken")

    arriving = Arriving(broken())
    found = arriving.take(1) + arriving.take(1)
    with pytest.raises(InputError, match="row 3"):
        arriving.take(5)
    assert found == ["a", "b"]
    assert list(Arriving("xyz")) == ["x", "y", "z"]


def test_no_more_is_read_ahead_than_there_is_room_for():
    asked = []
    arriving = Arriving((asked.append(n) or n for n in range(100)), room=5)
    assert arriving.take(1) == [0]
    time.sleep(0.05)
    assert len(asked) <= 8
