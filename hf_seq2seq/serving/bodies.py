"""Bodies of requests: read within limits, parsed, and checked against the fields that an endpoint has."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from hf_seq2seq import strict_json
from hf_seq2seq.data.rows import is_unicode
from hf_seq2seq.errors import nearest, shorten
from hf_seq2seq.serving.refusals import Refusal

FORM = "application/x-www-form-urlencoded"


async def read_fields(request: Request, limit: int, seconds: float, forms: bool = False) -> dict[str, Any]:
    """The fields of a request.

    Args:
        request: the request.
        limit: size of its body in bytes.
        seconds: time in which it must arrive.
        forms: whether fields may come as a form, too.

    Raises:
        Refusal: the body is too large, too slow, or not an object in JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (forms and kind == FORM):
        raise Refusal(415, f"Content-Type: {shorten(repr(kind))} is not supported; send application/json")
    try:
        async with asyncio.timeout(seconds):
            text = _decoded(await _read(request, limit))
    except TimeoutError:
        raise Refusal(408, f"the body did not arrive within {seconds:g} seconds") from None
    return _form(text) if kind == FORM else _parsed(text)


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    large = Refusal(413, f"the body is larger than {limit // 1024} KiB; send less at a time")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise large
    try:
        async for part in request.stream():
            body += part
            if len(body) > limit:
                raise large
    except ClientDisconnect:
        raise Refusal(400, "the body ended early") from None
    return bytes(body)


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}") from None


def _form(text: str) -> dict[str, Any]:
    """The fields of a form; those of one that comes several times as a list."""
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise Refusal(400, "the body is not UTF-8, percent-encoded") from None
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = strict_json.loads(text, once=True)
    except json.JSONDecodeError as error:
        raise Refusal(400, f"the body is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except ValueError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refusal(400, f'the body is {_kind(found)}; send an object such as {{"text": "…"}}')
    return found


def check_names(fields: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuses fields that an endpoint does not have; names the nearest one."""
    for name in fields:
        if name not in known:
            raise Refusal(400, f"{shorten(name)}: no such field{nearest(name, known)}", name)


def texts_of(fields: Mapping[str, Any], name: str, most: int) -> list[str]:
    """The texts of a field, which may be one text or a list.

    Args:
        fields: the fields.
        name: its name.
        most: texts at most.

    Raises:
        Refusal: it is missing, or is neither; there are too many.
    """
    if name not in fields:
        raise Refusal(400, f"{name}: missing; send a text or a list of texts", name)
    given = fields[name]
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list):
        raise Refusal(400, f"{name}: {_kind(given)} is neither a text nor a list of texts", name)
    if len(texts) > most:
        raise Refusal(400, f"{name}: {len(texts)} texts are too many; the maximum is {most}", name)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise Refusal(400, f"{name}: item {number} is {_kind(text)}, not text", name)
        if not is_unicode(text):
            raise Refusal(400, f"{name}: item {number} has half of a surrogate pair, which is no character", name)
    return texts


def take(fields: dict[str, Any], name: str, default: Any, is_right: Callable[[Any], bool], what: str) -> Any:
    """Removes a field, and returns its value; the default where it is missing or null.

    Raises:
        Refusal: it is not what it should be.
    """
    value = fields.pop(name, None)
    if value is None:
        return default
    if not is_right(value):
        raise Refusal(400, f"{name}: {shorten(json.dumps(value))} is not {what}", name)
    return value


def is_switch(value: Any) -> bool:
    """Whether a value is true or false."""
    return isinstance(value, bool)


def is_text(value: Any) -> bool:
    """Whether a value is a text."""
    return isinstance(value, str) and is_unicode(value)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
