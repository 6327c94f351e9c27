"""The page at `/docs`: every endpoint and its fields, from the OpenAPI document, without anything from other hosts."""

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from hf_seq2seq.serving.page import POLICY

HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hf-seq2seq: endpoints</title>
<link rel="stylesheet" href="/page/page.css">
<main>
<h1>Endpoints</h1>
<p>The same as <a href="/openapi.json">OpenAPI</a>; a page to try models is at <a href="/">/</a>.</p>
"""
LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}


def add_reference(app: FastAPI) -> None:
    """Adds the page to an application that has its other routes."""

    @app.get("/docs", include_in_schema=False)
    async def reference() -> Response:
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
        return Response(reference_page(app.openapi()), media_type="text/html", headers=headers)


def reference_page(document: dict[str, Any]) -> str:
    """HTML of an OpenAPI document: an entry per endpoint, with a table of its fields."""
    sections = (
        _section(method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    return HEAD + "\n".join(sections) + "\n</main>\n</html>\n"


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    fields = [*_fields(body.get("properties", {}), body.get("required", []))]
    head = "<tr><th>field</th><th>type</th><th>meaning</th></tr>"
    table = f'<div class="fields"><table>{head}{"".join(fields)}</table></div>' if fields else ""
    about = escape(operation.get("description") or operation.get("summary") or "")
    return f"<details><summary>{method} {escape(path)}</summary><p>{about}</p>{table}</details>"


def _fields(properties: dict[str, Any], required: list[str]) -> Iterator[str]:
    for name, schema in properties.items():
        limits = [f"{word} {schema[key]}" for key, word in LIMITS.items() if key in schema]
        meaning = " ".join([schema.get("description", ""), *(["Required."] if name in required else [])])
        cells = [f"<code>{escape(name)}</code>", escape(", ".join([_type(schema), *limits])), escape(meaning)]
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _type(schema: dict[str, Any]) -> str:
    """A type in words: `string or list of string`, `one of greedy, beam`."""
    if "oneOf" in schema:
        return " or ".join(map(_type, schema["oneOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "value"))
