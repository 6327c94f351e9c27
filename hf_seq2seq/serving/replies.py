"""Answers in JSON."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from hf_seq2seq import strict_json


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer; non-finite numbers become null."""
    text = strict_json.dumps(value, ensure_ascii=False)
    return Response(text.encode("utf-8", "replace"), status, dict(headers or {}), "application/json")
