"""OpenAPI schemas of the endpoints' fields, from the options that they stand for."""

import types
import typing
from collections.abc import Sequence
from typing import Any

from hf_seq2seq.decoding.pipeline import Spoken
from hf_seq2seq.decoding.search_options import Lengths, Search
from hf_seq2seq.decoding.splitting_options import Splitting
from hf_seq2seq.serving.refusals import without_flags
from hf_seq2seq.serving.served import FIELDS

HINTS = {
    name: hint for part in (Lengths, Spoken, Splitting, Search) for name, hint in typing.get_type_hints(part).items()
}
TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}
TEXTS = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
SCHEMAS: dict[str, dict[str, Any]] = {
    "model": {"type": "string", "description": "Name of a served model; by default the first one."},
    "text": TEXTS | {"description": "A text or a list of texts."},
    "text_pair": TEXTS | {"description": "A second text for each."},
    "target": TEXTS | {"description": "A target for each text."},
    "messages": {
        "type": "array",
        "items": {"type": "object", "properties": {"role": {"type": "string"}, "content": {"type": "string"}}},
        "description": "A conversation, instead of text.",
    },
    "details": {
        "type": "array",
        "items": {"enum": ["score", "tokens", "log_probs", "alignment"]},
        "description": "What to tell about outputs.",
    },
    "choices": {
        "type": "array",
        "items": {"type": "string"},
        "description": "The only outputs to choose from; the best of them are found exactly.",
    },
    "stream": {"type": "boolean", "description": "Send the text as it grows, as server-sent events."},
}


def documented(name: str, fields: Sequence[str], *required: str) -> dict[str, Any]:
    """The arguments of a route that document its fields."""
    properties = {field: SCHEMAS.get(field) or schema_of(field) for field in fields}
    schema = {"title": name, "type": "object", "properties": properties, "required": list(required)}
    if "messages" in fields:
        del schema["required"]
    content = {"application/json": {"schema": schema}}
    return {"name": name, "openapi_extra": {"requestBody": {"required": True, "content": content}}}


def schema_of(name: str) -> dict[str, Any]:
    """The JSON schema of an option."""
    item, hint = FIELDS[name], HINTS[name]
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)] if _is_union(hint) else [hint]
    kind = kinds[0]
    found: dict[str, Any] = {"description": without_flags(item.metadata["help"])}
    if typing.get_origin(kind) is tuple:
        found |= {"type": "array", "items": {"type": TYPES[typing.get_args(kind)[0]]}}
    else:
        found |= {"type": TYPES[kind]}
    names = {"at_least": "minimum", "above": "exclusiveMinimum", "at_most": "maximum", "choices": "enum"}
    found |= {names[key]: value for key, value in item.metadata.items() if key in names and value not in (None, ())}
    return found


def _is_union(hint: Any) -> bool:
    return isinstance(hint, types.UnionType)
