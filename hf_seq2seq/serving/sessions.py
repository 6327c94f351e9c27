"""Requests of the engine: what each asks for, waits for, and hears."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np

from hf_seq2seq.decoding.generation import Advance, Runner
from hf_seq2seq.decoding.hypothesis import Hypothesis
from hf_seq2seq.decoding.joined_decoders import joins
from hf_seq2seq.decoding.library import library_reason
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.ragged import Ragged

Item = TypeVar("Item")
Result = TypeVar("Result")
FEW = 4
"""Items that are computed between two steps."""
Listener = Callable[[int, list[int]], None]
"""Called with the sampling number of a source and its tokens so far, after each step of a search without beams."""


class Ended(Exception):  # noqa: N818
    """A request that ended without a result: cancelled, out of time, or refused by an engine that stops."""


class Cancelled(Ended):
    """Its client is gone."""


class OutOfTime(Ended):
    """Its deadline has passed."""


class Stopped(Ended):
    """The engine takes no more work."""


@dataclass(eq=False)
class Ticket:
    """Sources that one call decodes."""

    searcher: Searcher
    pad: int
    session: "Session"
    found: list[list[Hypothesis] | None]
    sources: Ragged
    waiting: deque["Job"] = field(default_factory=deque)
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    def take(self, row: int, outputs: list[Hypothesis]) -> None:
        """Stores the outputs of a source."""
        self.found[row] = outputs
        if all(each is not None for each in self.found):
            self.done.set()

    def fail(self, error: BaseException) -> None:
        """Ends without a result."""
        self.error = self.error or error
        self.done.set()


@dataclass(eq=False)
class Job:
    """One source: its ids, its place in the ticket, and the number that seeds its sampling."""

    ticket: Ticket
    ids: np.ndarray
    row: int
    number: int

    @cached_property
    def cost(self) -> int:
        """Tokens that it may need."""
        return width_of(self.ticket.searcher) * (len(self.ids) + self.ticket.searcher.max_new_tokens)

    @property
    def watches(self) -> bool:
        """Whether its search reads the attention on the source."""
        return self.ticket.searcher.search.coverage_penalty > 0

    @cached_property
    def place(self) -> tuple[Any, ...]:
        """The pool that it can join: same model and number of hypotheses, a source of similar length.

        The last item is whether it can join any.
        """
        searcher, length = self.ticket.searcher, max(6, (len(self.ids) - 1).bit_length() + 1 & ~1)
        apart = searcher.others or searcher.repeats or library_reason(searcher.model) or not joins(searcher.model)
        return id(searcher.model), self.ticket.pad, width_of(searcher), self.watches, length, not apart


def place_of(job: Job) -> tuple[Any, ...]:
    """The pool that a source can join."""
    return job.place


def width_of(searcher: Searcher) -> int:
    """Hypotheses per source."""
    return max(searcher.search.num_beams, searcher.search.num_return_sequences)


class Computer(Protocol):
    """What takes the work of sessions."""

    def submit(self, ticket: Ticket) -> None:
        """Queues a ticket."""

    def submit_call(self, work: Callable[[], Any], answer: "Answer") -> None:
        """Queues a function."""


class Answer:
    """What a function returned or raised in another thread."""

    def __init__(self) -> None:
        self.done, self.result = threading.Event(), None
        self.error: Exception | None = None

    def run(self, work: Callable[[], Any]) -> None:
        """Runs a function, and keeps what it returns or raises."""
        try:
            self.result = work()
        except Exception as error:
            self.error = error
        self.done.set()


class Session(Runner):
    """The engine as one request sees it; a `Runner` of generators. See `Engine.session`."""

    def __init__(self, engine: Computer, deadline: float | None, listen: Listener | None) -> None:
        self.engine, self.deadline, self.listen = engine, deadline, listen
        self.cancelled = threading.Event()
        self.ticket: Ticket | None = None

    def decode(
        self,
        searcher: Searcher,
        sources: Ragged,
        tokenizer: Any,
        advance: Advance | None,
        numbers: Sequence[int],
    ) -> list[list[Hypothesis]]:
        """As `Runner` says; waits for the engine.

        Raises:
            Ended: the request was cancelled or is out of time.
        """
        if not len(sources):
            return []
        ticket = Ticket(searcher, tokenizer.pad_token_id or 0, self, [None] * len(sources), sources)
        ticket.waiting.extend(Job(ticket, sources[row], row, int(number)) for row, number in enumerate(numbers))
        self.ticket = ticket
        self.check()
        self.engine.submit(ticket)
        try:
            self._wait(ticket.done)
        except Ended as error:
            ticket.fail(error)
            raise
        if ticket.error is not None:
            raise ticket.error
        if advance:
            advance(len(sources))
        return [outputs or [] for outputs in ticket.found]

    def call(self, work: Callable[[], Result]) -> Result:
        """As `Runner` says.

        Raises:
            Ended: as for `decode`.
        """
        answer = Answer()
        self.check()
        self.engine.submit_call(work, answer)
        self._wait(answer.done)
        if answer.error is not None:
            raise answer.error
        return answer.result  # type: ignore[return-value]

    def each(self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
        """As `Runner` says; searches take steps in between.

        Raises:
            Ended: as for `decode`.
        """
        parts = (items[start : start + FEW] for start in range(0, len(items), FEW))
        return [result for part in parts for result in self.call(lambda part=part: work(part))]  # type: ignore[misc]

    def cancel(self) -> None:
        """Ends the request: its client is gone."""
        self.cancelled.set()
        if self.ticket is not None:
            self.ticket.fail(Cancelled("the request was cancelled"))

    def check(self) -> None:
        """Raises `Ended` if the request is over."""
        if self.cancelled.is_set():
            raise Cancelled("the request was cancelled")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise OutOfTime("the request is out of time")

    def _wait(self, event: threading.Event) -> None:
        left = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
        if not event.wait(left):
            raise OutOfTime("the request is out of time")
        if self.cancelled.is_set():
            raise Cancelled("the request was cancelled")
