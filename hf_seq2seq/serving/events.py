"""Server-sent events."""

from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse

from hf_seq2seq import strict_json


def event(value: Any) -> str:
    """An event with a value in JSON, or with a text such as `[DONE]`."""
    return f"data: {value if isinstance(value, str) else strict_json.dumps(value, ensure_ascii=False)}\n\n"


def stream(events: AsyncIterator[str]) -> StreamingResponse:
    """An answer of events, which no proxy should hold back."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
