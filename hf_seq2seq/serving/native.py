"""Endpoints of this project's own form: every search option of `generate` is a field."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from hf_seq2seq.data.messages import check_messages
from hf_seq2seq.decoding.choices import listed
from hf_seq2seq.decoding.counts import Counted
from hf_seq2seq.decoding.outputs import Output
from hf_seq2seq.serving.bodies import check_names, is_switch, is_text, read_fields, take, texts_of
from hf_seq2seq.serving.events import event, stream
from hf_seq2seq.serving.refusals import Refusal, refusal_of
from hf_seq2seq.serving.replies import reply
from hf_seq2seq.serving.schemas import documented
from hf_seq2seq.serving.served import FIELDS, Served
from hf_seq2seq.serving.server import Server

GENERATE = ("model", "text", "messages", "details", "stream", "choices", *FIELDS)


class Native:
    """The endpoints `/generate`, `/score`, `/classify`, `/attention` and `/models`.

    Args:
        server: the server.
    """

    def __init__(self, server: Server) -> None:
        self.server, self.limits = server, server.config.limits

    def routes(self) -> APIRouter:
        """The routes."""
        found = APIRouter(tags=["hf-seq2seq"])
        found.post("/generate", **documented("generate", GENERATE, "text"))(self.generate)
        found.post("/score", **documented("score", ("model", "text", "target"), "text", "target"))(self.score)
        found.post("/classify", **documented("classify", ("model", "text", "text_pair"), "text"))(self.classify)
        found.post("/attention", **documented("attention", ("model", "text", "target"), "text"))(self.attention)
        found.get("/models")(self.models)
        return found

    async def _fields(self, request: Request, known: tuple[str, ...]) -> dict[str, Any]:
        fields = await read_fields(request, self.limits.max_body_kib * 1024, self.limits.request_seconds)
        check_names(fields, known)
        return fields

    async def generate(self, request: Request) -> Response:
        """Generates the outputs of one or several texts, or the next reply of a conversation."""
        fields = await self._fields(request, GENERATE)
        served = self.server.find(fields.pop("model", None))
        growing = take(fields, "stream", False, is_switch, "true or false")
        details = tuple(take(fields, "details", (), _is_names, 'a list of names such as ["score"]'))
        sources = sources_of(fields, self.limits.max_texts)
        flags = {name: fields[name] for name in FIELDS if fields.get(name) is not None}
        if fields.get("choices") is not None:
            flags["choices"] = listed(choices_of(fields["choices"]))
        served.check(flags, details)
        if growing and len(sources) != 1:
            raise Refusal(400, "stream: only one text can be streamed at a time", "stream")

        def work(session: Any) -> Counted[list[Output]]:
            return served.generate(session, sources, flags, details)

        if not growing:
            return reply(_described(served, await self.server.answer(request, work), flags))
        begun = await self.server.grow(request, served, work)
        return stream(_events(served, begun, flags))

    async def score(self, request: Request) -> Response:
        """The likelihood of given targets: log-probability, perplexity, and the log-probability of each token."""
        fields = await self._fields(request, ("model", "text", "target"))
        served = self.server.find(fields.get("model"))
        served.check({})
        _need_torch(served)
        texts, targets = (texts_of(fields, name, self.limits.max_texts) for name in ("text", "target"))
        _check_counts(texts, targets, "target")
        found = await self.server.answer(request, lambda session: served.score(session, texts, targets))
        return reply({"model": served.name, "results": list(found), "remarks": served.remarks(found, {})})

    async def classify(self, request: Request) -> Response:
        """The label of one or several texts, or pairs of texts, with the scores of all labels."""
        fields = await self._fields(request, ("model", "text", "text_pair"))
        served = self.server.find(fields.get("model"))
        served.need("classify")
        texts = texts_of(fields, "text", self.limits.max_texts)
        pairs = texts_of(fields, "text_pair", self.limits.max_texts) if fields.get("text_pair") is not None else None
        _check_counts(texts, texts if pairs is None else pairs, "text_pair")
        found = await self.server.answer(request, lambda session: served.classify(session, texts, pairs))
        results = [vars(label) for label in found]
        return reply({"model": served.name, "results": results, "remarks": served.remarks(found, {})})

    async def attention(self, request: Request) -> Response:
        """Attention of an output's tokens on the source's, averaged over layers and heads."""
        fields = await self._fields(request, ("model", "text", "target"))
        served = self.server.find(fields.get("model"))
        served.need("generate", "chat")
        _need_torch(served)
        if "text" not in fields:
            raise Refusal(400, "text: missing", "text")
        text = take(fields, "text", "", is_text, "a text")
        target = take(fields, "target", None, is_text, "a text")
        if not text.strip():
            raise Refusal(400, "text: empty; there is nothing to attend to", "text")
        return reply(await self.server.answer(request, lambda session: served.attend(session, text, target)))

    async def models(self) -> Response:
        """The models, what each does, and the defaults of its options."""
        return reply({"models": [served.description for served in self.server.models.values()]})


def sources_of(fields: dict[str, Any], most: int) -> list[Any]:
    """The texts of a request, or its conversation."""
    if fields.get("messages") is None:
        return list(texts_of(fields, "text", most))
    if "text" in fields:
        raise Refusal(400, "messages: exclude text; send either", "messages")
    return [check_messages(fields["messages"], "messages", reply=False)]


def choices_of(given: Any) -> list[str]:
    """The only outputs to choose from.

    Raises:
        Refusal: they are no list of lines of text.
    """
    if not isinstance(given, list) or not given:
        raise Refusal(400, 'choices: send a list of texts, such as ["yes", "no"]', "choices")
    for number, text in enumerate(given, start=1):
        if not is_text(text) or not text.strip() or "\n" in text or "\r" in text:
            raise Refusal(400, f"choices: item {number} is not a line of text", "choices")
    return given


def _described(served: Served, found: Counted[list[Output]], flags: dict[str, Any]) -> dict[str, Any]:
    results = [{"outputs": [{"text": each.text} | each.details for each in outputs]} for outputs in found]
    return {"model": served.name, "results": results, "remarks": served.remarks(found, flags)}


async def _events(served: Served, begun: Any, flags: dict[str, Any]) -> AsyncIterator[str]:
    """The parts of an output as they grow, then the whole answer."""
    async for part in begun.parts():
        yield event({"part": part})
    try:
        found = await begun.running
        if part := begun.rest(found[0][0].text):
            yield event({"part": part})
        yield event(_described(served, found, flags) | {"done": True})
    except Exception as error:
        yield event(refusal_of(error).body("/generate"))


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _need_torch(served: Served) -> None:
    if served.model.flags.engine != "transformers":
        raise Refusal(400, f"model: {served.name!r} is served by another engine, which only generates", "model")


def _check_counts(texts: list[str], others: list[str], name: str) -> None:
    if len(texts) != len(others):
        raise Refusal(400, f"{name}: {len(others)} for {len(texts)} texts; send as many", name)
