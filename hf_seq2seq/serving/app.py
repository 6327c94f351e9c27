"""The application: routes, what is done for every request, health and figures."""

import asyncio
import hmac
import json
import re
import sys
import time
import traceback
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hf_seq2seq.serving.libretranslate import libretranslate_routes
from hf_seq2seq.serving.native import Native
from hf_seq2seq.serving.openai import openai_routes
from hf_seq2seq.serving.options import LOOPBACK
from hf_seq2seq.serving.page import page_routes
from hf_seq2seq.serving.reference import add_reference
from hf_seq2seq.serving.refusals import Refusal, refusal_of
from hf_seq2seq.serving.replies import reply
from hf_seq2seq.serving.server import Server

OPEN = ("/", "/health", "/ready", "/docs", "/openapi.json")
"""Paths that need no key: they tell nothing about texts, and a browser must be able to ask for the page."""
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def make_app(server: Server) -> FastAPI:
    """The application of a server."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(server.stop)

    app = FastAPI(title="hf-seq2seq", version=version("hf-seq2seq"), lifespan=lifespan, docs_url=None, redoc_url=None)
    figures = Figures(server)
    app.include_router(Native(server).routes())
    app.include_router(openai_routes(server))
    app.include_router(libretranslate_routes(server))
    app.include_router(page_routes())
    add_reference(app)

    @app.get("/health", tags=["server"])
    async def health() -> Response:
        """Whether the process lives."""
        return reply({"status": "ok"})

    @app.get("/ready", tags=["server"])
    async def ready() -> Response:
        """Whether requests are taken."""
        return reply({"status": "ready" if server.ready else "stopping"}, 200 if server.ready else 503)

    @app.get("/metrics", tags=["server"])
    async def metrics() -> Response:
        """Figures in Prometheus' format."""
        return Response(generate_latest(figures.registry), media_type="text/plain; version=0.0.4")

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        refusal = Refusal(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
        return reply(refusal.body(request.url.path), refusal.status, error.headers)

    app.add_middleware(Around, server=server, figures=figures)
    if server.config.network.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=server.config.network.cors_origins, allow_methods=["*"], allow_headers=["*"]
        )
    return app


class Around:
    """What is done for every request: origin, key, number, log, figures; errors in the form of the endpoint's API.

    Args:
        app: the application within.
        server: the server.
        figures: where answers are counted.
    """

    def __init__(self, app: ASGIApp, server: Server, figures: "Figures") -> None:
        self.app, self.server, self.figures = app, server, figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, began, status = Request(scope, receive), time.monotonic(), 0
        given = request.headers.get("x-request-id", "")
        number = given if ID.fullmatch(given) else uuid.uuid4().hex

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode())]
            await send(message)

        try:
            check_origin(self.server, request)
            check_key(self.server, request)
            await self.app(scope, receive, numbered)
        except (Exception, asyncio.CancelledError) as error:  # a server that is to stop at once cancels what it does
            refusal = refusal_of(error)
            if refusal.status == 500:
                traceback.print_exc()
            if not status:
                body = refusal.body(request.url.path)
                await reply(body, refusal.status, refusal.headers)(scope, receive, numbered)
        seconds = time.monotonic() - began
        self.figures.count(request, status, seconds)
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line: dict[str, Any] = {"time": moment, "id": number, "method": request.method}
        line |= {"path": request.url.path[:200], "status": status, "seconds": round(seconds, 3)}
        print(json.dumps(line), file=sys.stderr, flush=True)


def check_origin(server: Server, request: Request) -> None:
    """Refuses what a web page of another origin sends, directly or by a host name that it made point here.

    Pages do not know the key, if there is one; so a proxy may then pass the host's name on.

    Raises:
        Refusal: the host or the origin is another.
    """
    network = server.config.network
    host = request.url.hostname or ""
    if network.host in LOOPBACK and host not in LOOPBACK and server.key is None:
        hint = "a proxy has to send its address as Host, or the server to have a key"
        raise Refusal(403, f"Host: {host!r} is not this server; it listens on {network.host}: {hint}")
    origin = request.headers.get("origin")
    if origin is None or origin in network.cors_origins or "*" in network.cors_origins:
        return
    if origin.partition("://")[2] != request.headers.get("host"):
        raise Refusal(403, f"Origin: pages of {origin!r} may not ask this server; see --cors-origins")


def check_key(server: Server, request: Request) -> None:
    """Refuses requests without the key, compared in constant time.

    Raises:
        Refusal: there is none, or it is another.
    """
    if server.key is None or request.url.path in OPEN or request.url.path.startswith("/page/"):
        return
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    given = given if kind.lower() == "bearer" else request.headers.get("x-api-key", "")
    if not hmac.compare_digest(given.encode(), server.key.encode()):
        hint = "send it as Authorization: Bearer KEY"
        message = f"the API key is {'wrong' if given else 'missing'}; {hint}"
        raise Refusal(401, message, headers={"WWW-Authenticate": "Bearer"})


class Figures:
    """What `/metrics` tells: requests by path and status, their time, and what the engine does."""

    def __init__(self, server: Server) -> None:
        self.registry = CollectorRegistry()
        names = ("path", "status")
        self.requests = Counter("hf_seq2seq_requests", "Requests answered.", names, registry=self.registry)
        self.seconds = Histogram("hf_seq2seq_request_seconds", "Time to answer.", ("path",), registry=self.registry)
        active = Gauge("hf_seq2seq_active_requests", "Requests being answered.", registry=self.registry)
        active.set_function(lambda: server.active)
        waiting = Gauge("hf_seq2seq_waiting_requests", "Requests that wait to be decoded.", registry=self.registry)
        waiting.set_function(lambda: server.engine.waiting)
        rows = Gauge("hf_seq2seq_rows", "Texts being decoded.", registry=self.registry)
        rows.set_function(lambda: server.engine.rows)

    def count(self, request: Request, status: int, seconds: float) -> None:
        """Counts an answer; unknown paths count together."""
        route: Any = request.scope.get("route")
        path = getattr(route, "path", "unknown")
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)
