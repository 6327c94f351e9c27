"""Requests that are refused: status, message, and the field at fault, in the form of the endpoint's API."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.serving.answer_options import ANSWER_OPTIONS
from hf_seq2seq.serving.sessions import Cancelled, OutOfTime, Stopped

FIELDS = {*ANSWER_OPTIONS, "text", "texts", "messages", "prompt", "q", "target", "text_pair", "details"}
"""Fields that a message may begin with."""
FLAGS = re.compile(r"--[a-z][a-z0-9-]*")
TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
"""OpenAI's kinds of errors; others are `invalid_request_error` below 500 and `server_error` from there on."""


@dataclass
class Refusal(Exception):  # noqa: N818 - it is no fault of the server
    """A request that is answered by an error.

    Attributes:
        status: HTTP status.
        message: one or two sentences with the value and a fix.
        name: the field at fault, if it is one.
        headers: further headers of the answer.
    """

    status: int
    message: str
    name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, path: str) -> dict[str, Any]:
        """The answer's body in the form of the API that the path belongs to."""
        if path.startswith("/v1/"):
            kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
            return {"error": {"message": self.message, "type": kind, "param": self.name, "code": None}}
        if path.startswith(("/translate", "/languages")):
            return {"error": self.message}
        return {"error": {"message": self.message, "field": self.name}}


def without_flags(message: str) -> str:
    """A message that names options as fields, `num_beams` instead of `--num-beams`."""
    return FLAGS.sub(lambda found: found[0][2:].replace("-", "_"), message)


def refusal_of(error: BaseException) -> Refusal:
    """How a request is answered that an exception ended."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, InputError):
        message = without_flags(str(error))
        name = re.match(r"[a-z][a-z0-9_]*(?=((, | and )[a-z0-9_]+)*:)", message)
        return Refusal(400, message, name[0] if name and name[0] in FIELDS else None)
    if isinstance(error, OutOfTime):
        return Refusal(504, "the request took longer than this server allows")
    if isinstance(error, Stopped):
        return Refusal(503, "the server is stopping", headers={"Retry-After": "5"})
    if isinstance(error, Cancelled | asyncio.CancelledError):
        return Refusal(503, "the request was cancelled, as the server is stopping", headers={"Retry-After": "5"})
    return Refusal(500, "the server failed; its log says more")
