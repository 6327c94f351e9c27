"""The page at `/`."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from hf_seq2seq.analysis.page_parts import themed

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KINDS = {"page.css": "text/css", "page.js": "text/javascript"}


def page_routes() -> APIRouter:
    """The routes of the page and of its parts."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def page() -> Response:
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
        return Response(_read("page.html"), media_type="text/html", headers=headers)

    for name, kind in KINDS.items():
        routes.add_api_route(f"/page/{name}", _part(name, kind), methods=["GET"])
    return routes


def _part(name: str, kind: str):  # type: ignore[no-untyped-def]
    async def part() -> Response:
        return Response(_read(name), media_type=kind, headers={"X-Content-Type-Options": "nosniff"})

    return part


def _read(name: str) -> str:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return themed(text) if name.endswith(".css") else text
