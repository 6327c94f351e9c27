"""Carries requests to the engine and back: places, deadlines, clients that leave, texts that grow."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.requests import Request

from hf_seq2seq.errors import nearest, shorten
from hf_seq2seq.serving.engine import Engine
from hf_seq2seq.serving.growing import GrowingText
from hf_seq2seq.serving.options import ServeConfig
from hf_seq2seq.serving.refusals import Refusal
from hf_seq2seq.serving.served import Served
from hf_seq2seq.serving.sessions import Listener, Session

Result = TypeVar("Result")


class Server:
    """What the endpoints share.

    Args:
        models: the models by name; the first one answers requests that name none.
        config: the options of `serve`.
        key: the key that requests must carry; None for none.
    """

    def __init__(self, models: Mapping[str, Served], config: ServeConfig, key: str | None = None) -> None:
        self.models, self.config, self.key = models, config, key
        self.engine = Engine(config.limits.max_batch_tokens)
        self.threads = ThreadPoolExecutor(config.limits.max_requests, thread_name_prefix="request")
        self.active, self.ready = 0, True

    def find(self, name: Any) -> Served:
        """The model of a name; the first one without.

        Raises:
            Refusal: there is none; names the nearest one.
        """
        if name is None:
            return next(iter(self.models.values()))
        if not isinstance(name, str) or name not in self.models:
            raise Refusal(404, f"model: no model named {shorten(repr(name))}{nearest(str(name), self.models)}", "model")
        return self.models[name]

    def stop(self) -> None:
        """Finishes what was taken, within the limit."""
        self.ready = False
        self.engine.stop(self.config.limits.shutdown_seconds)
        self.threads.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Context manager that takes one of the places for requests.

        Raises:
            Refusal: none is free.
        """
        if self.active >= self.config.limits.max_requests:
            raise Refusal(429, f"{self.active} requests are being answered; try again", headers={"Retry-After": "1"})
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    async def answer(
        self, request: Request, work: Callable[[Session], Result], listen: Listener | None = None
    ) -> Result:
        """Runs the work of a request in a thread; ends it when its client leaves or its time is over."""
        deadline = time.monotonic() + self.config.limits.request_seconds
        with self.place(), self.engine.session(deadline, listen) as session:
            running = asyncio.get_running_loop().run_in_executor(self.threads, work, session)
            gone: asyncio.Future[Any] = asyncio.ensure_future(_left(request))
            both: set[asyncio.Future[Any]] = {running, gone}
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if not running.done():
                    session.cancel()
                return await running
            finally:
                gone.cancel()
                session.cancel()

    async def grow(self, request: Request, served: Served, work: Callable[[Session], Result]) -> "Growing[Result]":
        """Begins the work of a request whose output is sent as it grows; fails if the work does before any output."""
        heard: asyncio.Queue[list[int] | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def listen(number: int, ids: list[int]) -> None:
            loop.call_soon_threadsafe(heard.put_nowait, list(ids))

        running = asyncio.ensure_future(self.answer(request, work, listen))
        running.add_done_callback(lambda _: heard.put_nowait(None))
        first = await heard.get()
        if first is None:
            await running
        return Growing(GrowingText(served.model.tokenizers.target), heard, running, first)


@dataclass
class Growing(Generic[Result]):
    """An output that grows.

    Attributes:
        text: the text that was sent.
        heard: the tokens so far, and None at the end.
        running: what the work returns.
        ids: the first tokens heard; None if there will be none.
    """

    text: GrowingText
    heard: "asyncio.Queue[list[int] | None]"
    running: "asyncio.Future[Result]"
    ids: list[int] | None

    async def parts(self) -> AsyncIterator[str]:
        """The parts by which the text grows; ends the work if nobody reads them."""
        try:
            while self.ids is not None:
                if part := self.text.part(self.ids):
                    yield part
                self.ids = await self.heard.get()
                while self.ids is not None and not self.heard.empty():
                    self.ids = self.heard.get_nowait()
        finally:
            if self.ids is not None:  # nobody reads on
                self.running.cancel()

    def rest(self, text: str) -> str:
        """What is new in the final text."""
        return self.text.rest(text)


async def _left(request: Request) -> None:
    """Waits until the client leaves."""
    with contextlib.suppress(asyncio.CancelledError):
        while (await request.receive())["type"] != "http.disconnect":
            pass
