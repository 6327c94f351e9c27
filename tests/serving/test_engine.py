"""What a request gets from the shared engine is what it gets alone."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.serving.answering import slices
from hf_seq2seq.serving.engine import Engine
from hf_seq2seq.serving.sessions import Cancelled, OutOfTime, Stopped
from tests.decoding.conftest import make_texts

SEARCHES = [
    Search(),
    Search(num_beams=3),
    Search(num_beams=3, num_return_sequences=2, no_repeat_ngram_size=2),
    Search(num_beams=4, num_beam_groups=2, diversity_penalty=0.5),
    Search(do_sample=True, seed=1),
    Search(do_sample=True, seed=2, num_return_sequences=3, temperature=1.3),
    Search(num_beams=2, coverage_penalty=0.3),
    Search(num_beams=3, force_words=("dog",)),
    Search(do_sample=True, seed=3, num_return_sequences=4, mbr_metric="chrf"),
    Search(repetition_penalty=1.4, min_new_tokens=4),
]


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(budget=1000)
    yield made
    made.stop()


def make_generator(model: Any, tokenizers: Tokenizers, search: Search, limit: int = 14) -> TextGenerator:
    return TextGenerator(model, tokenizers, search, max_new_tokens=limit, details=("score",))


def outputs_of(engine: Engine, generator: TextGenerator, rows: list[str], **options: Any) -> Any:
    with engine.session(**options) as session:
        return replace(generator, runner=session).outputs(rows)


def test_mixed_requests_get_what_each_gets_alone(
    engine: Engine, make_model: Callable[[str], Any], tokenizers: Tokenizers
) -> None:
    models = [make_model(family).double() for family in ("t5", "bart", "rnn", "transformer")]
    random, texts = np.random.default_rng(0), make_texts(300, seed=7)
    requests = []
    for number in range(60):
        generator = make_generator(
            models[number % 4], tokenizers, SEARCHES[number // 4 % len(SEARCHES)], int(random.integers(1, 15))
        )
        first = int(random.integers(0, 290))
        requests.append((generator, texts[first : first + int(random.integers(1, 5))]))

    def ask(request: tuple[TextGenerator, list[str]]) -> Any:
        generator, rows = request
        return outputs_of(engine, generator, rows)

    with ThreadPoolExecutor(16) as threads:
        together = list(threads.map(ask, requests))
    for (generator, rows), found in zip(requests, together, strict=True):
        alone = generator.outputs(rows)
        assert [[each.text for each in outputs] for outputs in found] == [
            [each.text for each in outputs] for outputs in alone
        ]
        for ours, theirs in zip(found, alone, strict=True):
            scores = [each.details["score"] for each in theirs]
            assert [each.details["score"] for each in ours] == pytest.approx(scores, rel=1e-5)
        assert found.counts == alone.counts
    assert not engine.busy
    assert not engine.pools


def test_a_failing_request_harms_no_other(
    engine: Engine, make_model: Callable[[str], Any], tokenizers: Tokenizers
) -> None:
    good = make_generator(make_model("bart").double(), tokenizers, Search(num_beams=3))
    # Beyond the table of positions.
    bad = replace(good, max_new_tokens=100, decoding=Search(num_beams=3, min_new_tokens=99))
    rows = make_texts(4, seed=3)
    with ThreadPoolExecutor(2) as threads:
        failing = threads.submit(outputs_of, engine, bad, rows)
        fine = [threads.submit(outputs_of, engine, good, rows) for _ in range(3)]
        with pytest.raises(IndexError):
            failing.result()
        expected = [[each.text for each in outputs] for outputs in good.outputs(rows)]
        assert all([[each.text for each in o] for o in one.result()] == expected for one in fine)


def test_deadlines_and_clients_that_leave(
    engine: Engine, make_model: Callable[[str], Any], tokenizers: Tokenizers
) -> None:
    generator = make_generator(make_model("t5"), tokenizers, Search(min_new_tokens=4999), 5000)
    with pytest.raises(OutOfTime):
        outputs_of(engine, generator, ["the dog runs"], deadline=time.monotonic() + 0.3)
    with engine.session() as session:
        threading.Timer(0.3, session.cancel).start()
        with pytest.raises(Cancelled):
            replace(generator, runner=session).outputs(["the dog runs"])
    quick = make_generator(generator.model, tokenizers, Search())
    assert outputs_of(engine, quick, ["the dog runs"]) == quick.outputs(["the dog runs"])
    assert not engine.owned


def test_searches_take_steps_between_slices_of_other_work(
    engine: Engine, make_model: Callable[[str], Any], tokenizers: Tokenizers
) -> None:
    generator = make_generator(make_model("rnn"), tokenizers, Search(min_new_tokens=200), 300)
    turns: list[int] = []

    def work(items: Any) -> list[int]:
        turns.append(engine.turns)
        return [item + 1 for item in items]

    with ThreadPoolExecutor(1) as threads:
        searching = threads.submit(outputs_of, engine, generator, ["the dog runs"])
        while not engine.owned:
            time.sleep(0.001)
        with engine.session() as session:
            assert session.each(work, range(10)) == list(range(1, 11))
        assert not searching.done()
        searching.result()
    assert len(set(turns)) == len(turns) == 3


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([["a" * 3000, "b" * 1000, "c" * 1000, "d"]], [slice(0, 2), slice(2, 4)]),
        ([["a" * 9000, "", "b" * 5000]], [slice(0, 1), slice(1, 2), slice(2, 3)]),
        ([["a" * 2000, "b" * 2000], ["c" * 2000, "d" * 97]], [slice(0, 1), slice(1, 2)]),
        ([[""]], [slice(0, 1)]),
        ([[]], []),
    ],
)
def test_slices_are_bounded_by_characters(columns: Any, expected: list[slice]) -> None:
    assert list(slices(columns)) == expected


def test_the_tokens_so_far_are_heard(engine: Engine, make_model: Callable[[str], Any], tokenizers: Tokenizers) -> None:
    heard: list[list[int]] = []
    generator = make_generator(make_model("transformer"), tokenizers, Search())
    listen = lambda number, ids: heard.append(list(ids))  # noqa: E731
    (outputs,) = outputs_of(engine, generator, ["the dog runs"], listen=listen)
    texts = tokenizers.target.batch_decode(heard, skip_special_tokens=True)
    assert len(texts) > 2
    assert all(outputs[0].text.startswith(text) for text in texts)


def test_an_engine_that_stops_finishes_what_it_took(make_model: Callable[[str], Any], tokenizers: Tokenizers) -> None:
    engine = Engine()
    generator = make_generator(make_model("rnn"), tokenizers, Search(min_new_tokens=200), 300)
    with ThreadPoolExecutor(1) as threads:
        taken = threads.submit(outputs_of, engine, generator, ["the dog runs"])
        while not engine.owned:
            time.sleep(0.001)
        engine.stop()
        assert len(taken.result()) == 1
    with pytest.raises(Stopped):
        outputs_of(engine, generator, ["the dog runs"])
