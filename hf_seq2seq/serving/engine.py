"""One thread that computes for all requests, in continuous batches: new rows enter between two steps of the others.

What a request gets does not depend on what else is being computed. Requests with different settings, of different
models too, run side by side; rows of the same model with as many hypotheses share its passes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np

from hf_seq2seq.data.inputs import joined
from hf_seq2seq.decoding.decoder import batch_of
from hf_seq2seq.decoding.float32 import SHORT, quick_float32
from hf_seq2seq.decoding.generation import ONE_AT_A_TIME
from hf_seq2seq.decoding.pool import Arrival, Ended, Pool
from hf_seq2seq.serving.sessions import Answer, Job, Listener, Session, Stopped, Ticket, place_of

BUDGET = 65_536
"""Tokens that are decoded together, sources and longest outputs counted, once for each hypothesis."""
EVERY = 4
"""Steps after which new sources enter, because entering costs about as much as a step, whatever their number."""
BURST = 64
"""Steps after which other users of the models get a turn."""


class Engine:
    """Computes in one thread for all sessions.

    Args:
        budget: tokens that are decoded together; a single source may exceed it.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.changed = threading.Condition()
        self.tickets: deque[Ticket] = deque()
        self.calls: deque[tuple[Callable[[], Any], Answer]] = deque()
        self.pools: dict[tuple[Any, ...], Pool] = {}
        self.owned: dict[tuple[Any, ...], set[Job]] = {}
        self.turns = 0
        self.sessions: set[Session] = set()
        self.stopping = False
        self.thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.thread.start()

    @property
    def waiting(self) -> int:
        """Requests none of whose sources is being decoded yet."""
        with self.changed:
            return sum(len(each.waiting) == len(each.found) and not each.done.is_set() for each in self.tickets)

    @property
    def rows(self) -> int:
        """Sources being decoded."""
        return sum(len(jobs) for jobs in list(self.owned.values()))

    @contextmanager
    def session(self, deadline: float | None = None, listen: Listener | None = None) -> Iterator[Session]:
        """Context manager with the engine as one request sees it.

        Args:
            deadline: time by `time.monotonic` at which the request ends; None for never.
            listen: hears of the tokens so far.

        Raises:
            Stopped: the engine takes no more requests.
        """
        session = Session(self, deadline, listen)
        with self.changed:
            if self.stopping:
                raise Stopped("the server is stopping")
            self.sessions.add(session)
        try:
            yield session
        finally:
            with self.changed:
                self.sessions.discard(session)
                self.changed.notify_all()

    def stop(self, limit: float | None = None) -> None:
        """Takes no more requests, and finishes those that it has.

        Args:
            limit: seconds after which those that are left are cancelled; None for never.
        """
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
        self.thread.join(limit)
        with self.changed:
            left = list(self.sessions)
        for session in left:
            session.cancel()
        self.thread.join()

    def submit(self, ticket: Ticket) -> None:
        """Queues a ticket."""
        with self.changed:
            self.tickets.append(ticket)
            self.changed.notify_all()

    def submit_call(self, work: Callable[[], Any], answer: Answer) -> None:
        """Queues a function that computes between two steps."""
        with self.changed:
            self.calls.append((work, answer))
            self.changed.notify_all()

    def _run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.busy or (self.stopping and not self.sessions))
                if not self.busy:
                    return
            with ONE_AT_A_TIME, quick_float32(self._longest()):
                for _ in range(BURST):
                    if not self.busy:
                        break
                    self._turn()
            time.sleep(0)

    @property
    def busy(self) -> bool:
        """Whether there is something to compute."""
        return bool(self.tickets or self.calls or self.owned)

    def _longest(self) -> int:
        with self.changed:
            long = any(len(job.ids) > SHORT for ticket in self.tickets for job in ticket.waiting)
        return SHORT + long

    def _turn(self) -> None:
        """Calls one function, admits, and lets every search take one step."""
        with self.changed:
            call = self.calls.popleft() if self.calls else None
        if call is not None:
            work, answer = call
            answer.run(work)
        self._drop_ended()
        self.turns += 1
        if not self.owned or self.turns % EVERY == 0:
            for place, jobs in groupby(sorted(self._admit(), key=place_of), key=place_of):
                self._begin(place, list(jobs))
        for place in list(self.owned):
            self._step(place)

    def _drop_ended(self) -> None:
        for place, jobs in list(self.owned.items()):
            if ended := frozenset(job for job in jobs if job.ticket.done.is_set()):
                self.pools[place].drop(ended)
                self._disown(place, ended)

    def _admit(self) -> list[Job]:
        """The sources that enter now: one of each ticket in turn, within the budget."""
        spent = sum(job.cost for jobs in self.owned.values() for job in jobs)
        admitted: list[Job] = []
        with self.changed:
            while self.tickets:
                ticket = self.tickets[0]
                if ticket.done.is_set() or not ticket.waiting:
                    self.tickets.popleft()
                    continue
                cost = ticket.waiting[0].cost
                if spent and spent + cost > self.budget:
                    break
                spent += cost
                admitted.append(ticket.waiting.popleft())
                self.tickets.rotate(-1)
        return admitted

    def _begin(self, place: tuple[Any, ...], jobs: list[Job]) -> None:
        """Begins the search for sources that can share a pool."""
        groups = grouped(jobs)
        if not place[-1]:
            for group in groups:
                self._alone(group)
            return
        self.pools.setdefault(place, Pool(jobs[0].ticket.searcher.model, watch=jobs[0].watches))
        self.owned.setdefault(place, set()).update(jobs)
        arrivals = [Arrival(group[0].ticket.searcher, group, [job.number for job in group]) for group in groups]
        self._run_pool(place, lambda pool: pool.add(arrivals, self._batch([job for group in groups for job in group])))

    def _step(self, place: tuple[Any, ...]) -> None:
        self._run_pool(place, Pool.step)
        jobs = self.owned.get(place, ())
        if any(job.ticket.session.listen for job in jobs):
            for job, ids in self.pools[place].so_far():
                if job.ticket.session.listen and not job.ticket.done.is_set():
                    job.ticket.session.listen(job.number, ids)

    def _run_pool(self, place: tuple[Any, ...], work: Callable[[Pool], Ended]) -> None:
        """Lets a pool work, and delivers what has ended."""
        try:
            ended = work(self.pools[place])
        except Exception:
            # It may be the fault of one of them, so each is tried by itself.
            jobs = self.owned.pop(place)
            del self.pools[place]
            for job in jobs:
                self._alone([job])
            return
        for job, outputs in ended:
            job.ticket.take(job.row, outputs)
        self._disown(place, frozenset(job for job, _ in ended))

    def _alone(self, jobs: list[Job]) -> None:
        """Decodes sources by a search of their own."""
        try:
            outputs = jobs[0].ticket.searcher(self._batch(jobs), [job.number for job in jobs])
        except Exception as error:
            _fail(jobs, error)
        else:
            for job, each in zip(jobs, outputs, strict=True):
                job.ticket.take(job.row, each)

    def _batch(self, jobs: list[Job]) -> dict[str, Any]:
        model = jobs[0].ticket.searcher.model
        sources = joined([job.ticket.sources.select(np.array([job.row])) for job in jobs])
        return batch_of(model, sources, np.arange(len(jobs)), jobs[0].ticket.pad)

    def _disown(self, place: tuple[Any, ...], jobs: frozenset[Job]) -> None:
        self.owned[place] -= jobs
        if not self.owned[place]:
            del self.owned[place], self.pools[place]


def grouped(jobs: Iterable[Job]) -> list[list[Job]]:
    """Sources that share their settings."""
    groups: list[list[Job]] = []
    for job in jobs:
        group = next((each for each in groups if each[0].ticket.searcher == job.ticket.searcher), None)
        if group is None:
            groups.append([job])
        else:
            group.append(job)
    return groups


def _fail(jobs: list[Job], error: BaseException) -> None:
    for job in jobs:
        job.ticket.fail(error)
