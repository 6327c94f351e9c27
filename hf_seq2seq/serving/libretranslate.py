"""Endpoints in LibreTranslate's form: `/translate` and `/languages`.

Every model that reads texts serves the pair of languages of its training run; fields may come as JSON or as a form.

Specification: https://docs.libretranslate.com/guides/api_usage/
"""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from hf_seq2seq.errors import nearest, shorten
from hf_seq2seq.serving.bodies import check_names, read_fields, texts_of
from hf_seq2seq.serving.refusals import Refusal
from hf_seq2seq.serving.replies import reply
from hf_seq2seq.serving.served import Served
from hf_seq2seq.serving.server import Server

MOST_DIGITS = 9
KNOWN = ("q", "source", "target", "format", "alternatives", "api_key")
UNKNOWN = ("source", "target")
"""What the languages of a model are called whose training run names none."""


def libretranslate_routes(server: Server) -> APIRouter:
    """The routes `/translate` and `/languages`."""
    routes = APIRouter(tags=["LibreTranslate"])
    limits = server.config.limits

    @routes.post("/translate")
    async def translate(request: Request) -> Response:
        """Translates a text or a list of texts from `source` to `target`."""
        fields = await read_fields(request, limits.max_body_kib * 1024, limits.request_seconds, forms=True)
        check_names(fields, KNOWN)
        for name in ("source", "target", "format", "alternatives"):
            if isinstance(fields.get(name), list | dict):
                raise Refusal(400, f"{name}: {shorten(repr(fields[name]))} is not one value", name)
        if fields.get("format") not in (None, "text"):
            raise Refusal(400, f"format: {shorten(repr(fields['format']))} is not supported; send text", "format")
        texts = texts_of(fields, "q", limits.max_texts)
        served = _find(server, fields.get("source", "auto"), fields.get("target"))
        more = _alternatives(fields)
        beams = max(more + 1, served.model.settings.decoding.get("num_beams") or 1)
        flags: dict[str, Any] = {"num_return_sequences": more + 1, "num_beams": beams} if more else {}
        served.check(flags)
        found = await server.answer(request, lambda session: served.generate(session, texts, flags))
        best = [outputs[0].text for outputs in found]
        others = [[output.text for output in outputs[1:]] for outputs in found]
        single = isinstance(fields["q"], str)
        answer: dict[str, Any] = {"translatedText": best[0] if single else best}
        if more:
            answer["alternatives"] = others[0] if single else others
        return reply(answer | served.told(found, flags))

    @routes.get("/languages")
    async def languages() -> Response:
        """The languages that texts are translated from, and to which."""
        targets: dict[str, list[str]] = {}
        for source, target in _pairs(server):
            targets.setdefault(source, []).append(target)
        return reply([{"code": code, "name": code, "targets": found} for code, found in targets.items()])

    return routes


def languages_of(served: Served) -> tuple[str, str]:
    """The languages of a model's training run."""
    run = served.model.settings.run or {}
    source, target = run.get("source_lang"), run.get("target_lang")
    return str(source or UNKNOWN[0]), str(target or UNKNOWN[1])


def _pairs(server: Server) -> dict[tuple[str, str], Served]:
    """The first model of every pair of languages."""
    found: dict[tuple[str, str], Served] = {}
    for served in server.models.values():
        if served.kind == "generate":
            found.setdefault(languages_of(served), served)
    return found


def _find(server: Server, source: Any, target: Any) -> Served:
    pairs = _pairs(server)
    if not pairs:
        raise Refusal(400, "no served model translates texts")
    sources = {pair[0] for pair in pairs}
    if source != "auto" and source not in sources:
        raise Refusal(400, f"source: {shorten(repr(source))} is not supported{nearest(str(source), sources)}", "source")
    fitting = {pair[1]: served for pair, served in pairs.items() if source in ("auto", pair[0])}
    if target is None and len(fitting) == 1:
        return next(iter(fitting.values()))
    if target not in fitting:
        given = "missing" if target is None else f"{shorten(repr(target))} is not supported"
        raise Refusal(400, f"target: {given}{nearest(str(target), fitting)}", "target")
    return fitting[target]


def _alternatives(fields: dict[str, Any]) -> int:
    given = fields.get("alternatives", 0)
    if not str(given).isdecimal() or len(str(given)) > MOST_DIGITS:
        raise Refusal(400, f"alternatives: {shorten(repr(given))} is not a number", "alternatives")
    return int(given)
