"""Endpoints in OpenAI's form: `/v1/completions`, `/v1/chat/completions` and `/v1/models`.

Fields that this server has no counterpart for are refused unless they have no effect. Without `temperature` and
`top_p` the model's own search decides, which may be a beam; the search options of `generate` are fields, too.

Specification: https://platform.openai.com/docs/api-reference/completions
"""

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from hf_seq2seq.api.models import ONLY
from hf_seq2seq.data.messages import check_messages
from hf_seq2seq.decoding.counts import Counted
from hf_seq2seq.decoding.outputs import Output
from hf_seq2seq.serving.bodies import check_names, is_switch, read_fields, take, texts_of
from hf_seq2seq.serving.events import event, stream
from hf_seq2seq.serving.openai_texts import Stops, finish, usage_of
from hf_seq2seq.serving.refusals import Refusal, refusal_of
from hf_seq2seq.serving.replies import reply
from hf_seq2seq.serving.schemas import SCHEMAS
from hf_seq2seq.serving.served import FIELDS, Served
from hf_seq2seq.serving.server import Server

NAMES = {"max_tokens": "max_new_tokens", "max_completion_tokens": "max_new_tokens", "n": "num_return_sequences"}
"""OpenAI's names of search options."""
SAME = ("temperature", "top_p", "seed")
"""Search options whose names are OpenAI's, too."""
WITHOUT_EFFECT = {
    **{"frequency_penalty": (0,), "presence_penalty": (0,), "logit_bias": ({},), "best_of": (1,), "echo": (False,)},
    **{"logprobs": (0, False), "suffix": ("",), "tools": ([],), "response_format": ({"type": "text"},)},
}
"""Fields that are accepted with these values alone."""
IGNORED = ("user", "metadata", "store", "stream_options", "service_tier", "parallel_tool_calls", "safety_identifier")
"""Fields that say nothing of the output."""
COMMON = ("model", "stream", "stop", *NAMES, *SAME, *WITHOUT_EFFECT, *IGNORED)


def openai_routes(server: Server) -> APIRouter:
    """The routes under `/v1`."""
    routes = APIRouter(prefix="/v1", tags=["OpenAI"])
    limits = server.config.limits

    async def fields_of(request: Request, own: str) -> tuple[dict[str, Any], Served]:
        fields = await read_fields(request, limits.max_body_kib * 1024, limits.request_seconds)
        check_names(fields, (own, *COMMON, *FIELDS))
        return fields, server.find(fields.pop("model", None))

    @routes.post("/completions", openapi_extra=_documented("prompt"))
    async def completions(request: Request) -> Response:
        """Outputs of one or several prompts."""
        fields, served = await fields_of(request, "prompt")
        prompts = texts_of(fields, "prompt", limits.max_texts)
        return await _complete(server, request, served, prompts, fields, Completion(served.name))

    @routes.post("/chat/completions", openapi_extra=_documented("messages"))
    async def chat(request: Request) -> Response:
        """The next reply of a conversation; a model that reads texts is given the last message alone."""
        fields, served = await fields_of(request, "messages")
        if "messages" not in fields:
            raise Refusal(400, "messages: missing; send a list of messages", "messages")
        messages = check_messages(_plain(fields["messages"]), "messages", reply=False)
        source = messages if served.kind == "chat" else messages[-1]["content"]
        return await _complete(server, request, served, [source], fields, Chat(served.name))

    @routes.get("/models")
    async def models() -> Response:
        """The models that write texts."""
        found = [name for name, served in server.models.items() if served.kind != "classify"]
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "hf-seq2seq"} for name in found]
        return reply({"object": "list", "data": data})

    return routes


class Completion:
    """The form of `/v1/completions`."""

    kind, prefix, part_kind = "text_completion", "cmpl-", "text_completion"

    def __init__(self, model: str) -> None:
        made = {"created": int(time.time()), "model": model}
        self.head = {"id": self.prefix + uuid.uuid4().hex, "object": self.kind, **made}

    def choice(self, text: str, number: int, reason: str | None) -> dict[str, Any]:
        """A finished output."""
        return {"text": text, "index": number, "logprobs": None, "finish_reason": reason}

    def part(self, text: str, reason: str | None, first: bool) -> dict[str, Any]:
        """A part of an output that grows."""
        return self.head | {"object": self.part_kind, "choices": [self.choice(text, 0, reason)]}


class Chat(Completion):
    """The form of `/v1/chat/completions`."""

    kind, prefix, part_kind = "chat.completion", "chatcmpl-", "chat.completion.chunk"

    def choice(self, text: str, number: int, reason: str | None) -> dict[str, Any]:
        """A finished output."""
        message = {"role": "assistant", "content": text}
        return {"index": number, "message": message, "logprobs": None, "finish_reason": reason}

    def part(self, text: str, reason: str | None, first: bool) -> dict[str, Any]:
        """A part of an output that grows."""
        delta = ({"role": "assistant"} if first else {}) | ({"content": text} if text or first else {})
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self.head | {"object": self.part_kind, "choices": [choice]}


async def _complete(
    server: Server, request: Request, served: Served, sources: list[Any], fields: dict[str, Any], form: Completion
) -> Response:
    """Answers a request in either form."""
    growing = take(fields, "stream", False, is_switch, "true or false")
    stops = Stops.of(fields.pop("stop", None))
    options = take(fields, "stream_options", {}, lambda value: isinstance(value, dict), "an object")
    usage_asked = bool(options.get("include_usage"))
    flags = flags_of(fields)
    if stops.strings and served.model.flags.engine != ONLY:
        flags.setdefault("stop_strings", list(stops.strings))
    served.check(flags)
    if growing and (len(sources) != 1 or flags.get("num_return_sequences", 1) != 1):
        raise Refusal(400, "stream: only one output can be streamed at a time", "stream")

    def work(session: Any) -> Counted[list[Output]]:
        return served.generate(session, sources, flags)

    if growing:
        begun = await server.grow(request, served, work)
        usage = _usage(served, sources) if usage_asked else None
        return stream(_events((served, flags), begun, form, stops, usage))
    found = await server.answer(request, work)
    choices: list[dict[str, Any]] = []
    texts: list[str] = []
    for outputs in found:
        for output in outputs:
            text, reason = finish(output, stops)
            texts.append(text)
            choices.append(form.choice(text, len(choices), reason))
    answer = form.head | {"choices": choices, "usage": _usage(served, sources)(texts)}
    return reply(answer | served.told(found, flags))


async def _events(
    asked: tuple[Served, Mapping[str, Any]],
    begun: Any,
    form: Completion,
    stops: Stops,
    usage: Callable[[list[str]], Any] | None,
) -> AsyncIterator[str]:
    """The parts of an output as they grow, the reason of its end, and `[DONE]`; `asked` are a model and its flags."""
    served, flags = asked
    first, sent, whole = True, "", ""
    async for part in begun.parts():
        whole += part
        safe = stops.safe(whole)
        if len(safe) > len(sent):
            yield event(form.part(safe[len(sent) :], None, first))
            sent, first = safe, False
    try:
        found = await begun.running
    except Exception as error:
        yield event(refusal_of(error).body("/v1/"))
        return
    text, reason = finish(found[0][0], stops)
    rest = text[len(sent) :] if text.startswith(sent) else ""
    if rest or first:
        yield event(form.part(rest, None, first))
    yield event(form.part("", reason, False) | served.told(found, flags))
    if usage is not None:
        yield event(form.head | {"object": form.part_kind, "choices": [], "usage": usage([text])})
    yield event("[DONE]")


def flags_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Search options from OpenAI's fields and from those of `generate`.

    Raises:
        Refusal: a field asks for something that this server cannot do.
    """
    flags: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None or name in IGNORED or name in ("prompt", "messages"):
            continue
        if name in WITHOUT_EFFECT:
            if value not in WITHOUT_EFFECT[name]:
                given = json.dumps(value)[:60]
                raise Refusal(400, f"{name}: {given} is not supported; leave the field out", name)
        else:
            here = NAMES.get(name, name)
            if flags.setdefault(here, value) != value:
                raise Refusal(400, f"{name}: {json.dumps(value)[:60]}, but another field says {flags[here]}", name)
    warmth = flags.get("temperature")
    if warmth is not None and not isinstance(warmth, bool) and warmth == 0:
        del flags["temperature"]
        flags.pop("top_p", None)
        flags.setdefault("num_beams", 1)
    elif {"temperature", "top_p"} & set(flags) or ("num_return_sequences" in flags and "num_beams" not in flags):
        flags.setdefault("do_sample", True)
    return flags


def _usage(served: Served, sources: list[Any]) -> Callable[[list[str]], dict[str, int]]:
    return lambda texts: usage_of(served.model.tokenizers, sources, texts)


def _plain(messages: Any) -> Any:
    """Messages whose content may come in parts, of which only text is known."""
    if not isinstance(messages, list):
        return messages
    found = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            texts = [part["text"] for part in content if is_text_part(part)]
            if len(texts) != len(content):
                raise Refusal(400, "messages: only parts of type text are supported", "messages")
            message = message | {"content": "".join(texts)}
        known = ("role", "content")
        found.append({name: message.get(name) for name in known} if isinstance(message, dict) else message)
    return found


def is_text_part(part: Any) -> bool:
    """Whether a part of a message's content is text."""
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _documented(own: str) -> dict[str, Any]:
    names = {"prompt": SCHEMAS["text"], "messages": SCHEMAS["messages"], "model": SCHEMAS["model"]}
    known = {name: names[name] for name in (own, "model")}
    schema = {"type": "object", "properties": known, "required": [own], "additionalProperties": True}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
