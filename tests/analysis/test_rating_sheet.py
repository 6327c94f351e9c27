"""The rating sheet: what it shows, what it hides, and that no text gets out of its place."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from hf_seq2seq.analysis.rating_criteria import CRITERIA, Scale, parse_scale
from hf_seq2seq.analysis.rating_sheet import Texts, make_sheet, render
from hf_seq2seq.errors import InputError

FIVE = Scale(1, 5)
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "a\u2028b\0c\ud800",
    "' \" & $style ${data} \\u003c",
    "",
]


def texts(rows: int = 200) -> Texts:
    systems = {name: [f"{name[-1]} says {row}" for row in range(rows)] for name in ("System-X", "System-Y", "System-Z")}
    systems["System-Z"][::2] = systems["System-X"][::2]
    return Texts(systems, [f"source {row}" for row in range(rows)], [[f"right {row}"] for row in range(rows)])


class Page(HTMLParser):
    """The text of every script and style, by the element's id or name, and the policy."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: dict[str, str] = {}
        self.tags: list[str] = []
        self.links: list[str] = []
        self._open: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.links += [given[name] for name in ("src", "href", "action") if given.get(name)]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.parts["policy"] = given["content"]
        self._open = given.get("id", tag) if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_data(self, data: str) -> None:
        if self._open:
            self.parts[self._open] = self.parts.get(self._open, "") + data


def test_the_key_names_the_author_of_every_text() -> None:
    given = texts()
    page, key = make_sheet(given, ["fluency"], FIVE, None, 1)
    shown = {text["id"]: (row, text["text"]) for row in page["rows"] for text in row["texts"]}
    assert list(shown) == [text["id"] for text in key["texts"]]
    assert key["sheet"] == page["sheet"]
    found = []
    for text in key["texts"]:
        row, words = shown[text["id"]]
        assert row["source"] == given.sources[text["row"] - 1]
        assert row["references"] == given.references[text["row"] - 1]
        assert {given.systems[name][text["row"] - 1] for name in text["systems"]} == {words}
        found += [(text["row"], name) for name in text["systems"]]
    assert sorted(found) == sorted((row, name) for row in range(1, 201) for name in given.systems)


def test_texts_that_are_alike_are_shown_once() -> None:
    page, key = make_sheet(texts(), ["fluency"], FIVE, None, 1)
    assert sorted(len(row["texts"]) for row in page["rows"]) == [2] * 100 + [3] * 100
    assert sum(text["systems"] == ["System-X", "System-Z"] for text in key["texts"]) == 100
    page, _ = make_sheet(Texts({"a": ["one "], "b": ["one"]}, ["x"]), ["fluency"], FIVE, None, 1)
    assert [[text["text"] for text in row["texts"]] for row in page["rows"]] == [["one"]]


def test_neither_rows_nor_systems_keep_their_order() -> None:
    _, key = make_sheet(texts(), ["fluency"], FIVE, None, 1)
    rows = list(dict.fromkeys(text["row"] for text in key["texts"]))
    assert abs(np.corrcoef(rows, np.arange(200))[0, 1]) < 0.2
    first = [text["systems"] for text in key["texts"] if text["id"].endswith("A") and text["row"] % 2 == 0]
    counts = [first.count([name]) for name in ("System-X", "System-Y", "System-Z")]
    assert sum(counts) == 100
    assert min(counts) > 20


def test_a_sample_is_drawn_by_the_seed() -> None:
    page, key = make_sheet(texts(), ["fluency"], FIVE, 20, 1)
    rows = {text["row"] for text in key["texts"]}
    assert len(page["rows"]) == len(rows) == 20
    assert make_sheet(texts(), ["fluency"], FIVE, 20, 1) == (page, key)
    assert {text["row"] for text in make_sheet(texts(), ["fluency"], FIVE, 20, 2)[1]["texts"]} != rows
    assert len(make_sheet(texts(), ["fluency"], FIVE, 1000, 1)[0]["rows"]) == 200


def test_a_seed_alone_does_not_tell_who_wrote_what() -> None:
    """Another text anywhere, also in a row that is not drawn, gives every row another order."""
    other = texts()
    other.systems["System-Y"][0] += "!"
    orders = [
        [text["systems"] for text in make_sheet(each, ["fluency"], FIVE, None, 42)[1]["texts"]]
        for each in (texts(), other)
    ]
    assert orders[0] != orders[1]


def test_a_sheet_is_known_by_what_it_shows() -> None:
    ids = {
        make_sheet(given, criteria, scale, None, 1)[0]["sheet"]
        for given in (texts(), texts(199))
        for criteria in (["fluency"], ["fluency", "adequacy"])
        for scale in (FIVE, Scale(1, 7))
    }
    assert len(ids) == 8


def test_the_page_does_not_name_the_systems() -> None:
    page, _ = make_sheet(texts(), list(CRITERIA), FIVE, None, 77131)
    html = render(page)
    assert "System" not in html
    assert "77131" not in html


def test_no_text_leaves_its_place() -> None:
    page, _ = make_sheet(Texts({"a": HOSTILE}, HOSTILE, [[text] for text in HOSTILE]), ["fluency"], FIVE, None, 1)
    html = render(page)
    html.encode("utf-8")
    parsed = Page(html)
    assert json.loads(parsed.parts["sheet"]) == json.loads(json.dumps(page))
    assert parsed.tags == Page(render({**page, "rows": []})).tags
    assert {row["source"] for row in page["rows"]} == set(HOSTILE)


def test_the_page_asks_nothing_of_anyone() -> None:
    parsed = Page(render(make_sheet(texts(), ["fluency"], FIVE, 5, 1)[0]))
    policy = dict(part.strip().split(" ", 1) for part in parsed.parts["policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(parsed.parts[kind].encode()).digest()).decode()
        assert policy[f"{kind}-src"] == f"'sha256-{digest}'"
    assert not parsed.links
    assert not re.search(r"https?:|url\(|@import|fetch\(|innerHTML", parsed.parts["script"] + parsed.parts["style"])


def test_scales() -> None:
    assert parse_scale("0-100") == Scale(0, 100)
    for wrong in ("5", "5-1", "1-1", "1-5-7", "0-200", "a-b", ""):
        with pytest.raises(InputError, match="--scale: "):
            parse_scale(wrong)
    assert {len(criterion.points) for criterion in CRITERIA.values()} == {5}
