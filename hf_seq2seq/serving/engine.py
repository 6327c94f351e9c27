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
from hf_seq2seq.decoding.hypothesis import Hypothesis
from hf_seq2seq.decoding.joined_decoders import joins
from hf_seq2seq.decoding.library import library_reason
from hf_seq2seq.decoding.pool import Pool
from hf_seq2seq.serving.sessions import Answer, Job, Listener, Session, Stopped, Ticket

BUDGET = 65_536
"""Tokens that are decoded together, sources and longest outputs counted, once for each hypothesis."""
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
        self.owned: dict[tuple[Any, ...], list[list[Job]]] = {}
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
        return sum(len(jobs) for groups in list(self.owned.values()) for jobs in list(groups))

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
        """Calls, admits, and lets every search take one step."""
        with self.changed:
            calls, self.calls = self.calls, deque()
        for work, answer in calls:
            answer.run(work)
        self._drop_ended()
        for jobs in grouped(self._admit()):
            self._begin(jobs)
        for place in list(self.owned):
            self._step(place)

    def _drop_ended(self) -> None:
        for place, groups in list(self.owned.items()):
            for jobs in [jobs for jobs in groups if all(job.ticket.done.is_set() for job in jobs)]:
                self.pools[place].drop(jobs)
                self._disown(place, jobs)

    def _admit(self) -> list[Job]:
        """The sources that enter now: one of each ticket in turn, within the budget."""
        spent = sum(job.cost for groups in self.owned.values() for jobs in groups for job in jobs)
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

    def _begin(self, jobs: list[Job]) -> None:
        """Begins the search for sources that share their settings."""
        ticket = jobs[0].ticket
        model, place = ticket.searcher.model, jobs[0].place
        if ticket.searcher.others or ticket.searcher.repeats or library_reason(model) or not joins(model):
            self._alone(jobs)
            return
        pool = self.pools.get(place) or Pool(model, watch=place[2])
        try:
            outputs = pool.add(jobs, ticket.searcher, self._batch(jobs), [job.number for job in jobs])
        except Exception as error:
            _fail(jobs, error)
            return
        if outputs is None:
            self.pools[place] = pool
            self.owned.setdefault(place, []).append(jobs)
        else:
            _deliver(jobs, outputs)

    def _step(self, place: tuple[Any, ...]) -> None:
        pool = self.pools[place]
        try:
            ended = pool.step()
        except Exception:
            # It may be the fault of one of them, so each is tried by itself.
            groups = self.owned.pop(place)
            del self.pools[place]
            for jobs in groups:
                self._alone(jobs)
            return
        for jobs, outputs in ended:
            _deliver(jobs, outputs)
            self._disown(place, jobs)
        for member in pool.members:
            for source in member.left if member.ids else ():
                job = member.owner[source]
                if job.ticket.session.listen and not job.ticket.done.is_set():
                    job.ticket.session.listen(job.number, member.ids[source])

    def _alone(self, jobs: list[Job]) -> None:
        """Decodes sources by a search of their own."""
        try:
            outputs = jobs[0].ticket.searcher(self._batch(jobs), [job.number for job in jobs])
        except Exception as error:
            _fail(jobs, error)
        else:
            _deliver(jobs, outputs)

    def _batch(self, jobs: list[Job]) -> dict[str, Any]:
        model = jobs[0].ticket.searcher.model
        sources = joined([job.ticket.sources.select(np.array([job.row])) for job in jobs])
        return batch_of(model, sources, np.arange(len(jobs)), jobs[0].ticket.pad)

    def _disown(self, place: tuple[Any, ...], jobs: list[Job]) -> None:
        self.owned[place].remove(jobs)
        if not self.owned[place]:
            del self.owned[place], self.pools[place]


def grouped(jobs: Iterable[Job]) -> list[list[Job]]:
    """Sources that can begin as one search: same pool, same settings."""
    found: list[list[Job]] = []
    for _, part in groupby(sorted(jobs, key=lambda job: job.place), key=lambda job: job.place):
        groups: list[list[Job]] = []
        for job in part:
            ticket = job.ticket
            fitting = (g for g in groups if g[0].ticket.searcher == ticket.searcher and g[0].ticket.pad == ticket.pad)
            group = next(fitting, None)
            if group is None:
                groups.append([job])
            else:
                group.append(job)
        found += groups
    return found


def _deliver(jobs: list[Job], outputs: list[list[Hypothesis]]) -> None:
    for job, each in zip(jobs, outputs, strict=True):
        job.ticket.take(job.row, each)


def _fail(jobs: list[Job], error: BaseException) -> None:
    for job in jobs:
        job.ticket.fail(error)
