"""The page of `analyze` in a real browser, opened from a file: tabs, hover, keyboard, sorting, filters, hostile text.

It needs Chromium: Playwright's own, or one that is installed (on Debian: apt-get install chromium).
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from hf_seq2seq.analysis.page import LARGEST_HEATS, packed, render, write_report
from hf_seq2seq.analysis.records import Heat, Marked, Record
from hf_seq2seq.analysis.sections import SECTIONS

HOSTILE = (
    "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">\0 & $style"
)
Plant = Callable[..., Record]


def heat(row: int = 0) -> Heat:
    weights = np.random.default_rng(row).dirichlet(np.ones(3), size=(2, 2, 4)).astype(np.float32)
    return Heat(row, "worst", ["ein", HOSTILE, "</s>"], ["a", "man", HOSTILE, "</s>"], weights, "0-0 1-1")


@pytest.fixture
def report(plant: Plant, tmp_path: Path) -> Record:
    rows = [
        {"source": f"der Satz-{n}x", "outputs": [f"the {n}"], "references": [f"the sentence {n}"], "confidence": n / 10}
        for n in range(9)
    ]
    rows.append({"source": HOSTILE, "outputs": [HOSTILE], "references": [HOSTILE], "attention_peak": 0.5})
    record = replace(plant(rows, model=HOSTILE), heats=[heat(0), heat(9)])
    write_report(
        tmp_path, record, {name: made for name, make in SECTIONS.items() if (made := make(record))}, "p.html", "f.json"
    )
    return record


def opened(browser: Any, folder: Path, problems: list[str], **options: Any) -> Any:
    page = browser.new_page(**options)
    page.set_default_timeout(20000)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text))
    page.on("request", lambda request: problems.append(request.url))
    page.goto((folder / "p.html").as_uri())
    assert problems.pop(0).endswith("/p.html")
    return page


def tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def test_tabs_by_mouse_and_keyboard(report: Record, browser: Any, tmp_path: Path) -> None:
    problems: list[str] = []
    page = opened(browser, tmp_path, problems)
    assert page.locator(".panel:visible").count() == 1
    tab(page, "Failure modes")
    assert page.locator("#failures").is_visible()
    assert not page.locator("#ledger").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.locator("#attention").is_visible()
    page.keyboard.press("Home")
    assert page.locator("#ledger").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".panel:visible").count() == page.locator(".panel").count() > 4
    assert not problems
    page.close()


def test_hostile_text_stays_text(report: Record, browser: Any, tmp_path: Path) -> None:
    problems: list[str] = []
    page = opened(browser, tmp_path, problems)
    for name in ("Attention", "Rows", "Words"):
        tab(page, name)
    assert page.title().startswith("Analysis of </script>")
    assert page.locator("img").count() == 0
    assert "<img src=x" in page.locator("#rows tbody").inner_text()
    assert not problems
    page.close()
    assert json.loads((tmp_path / "f.json").read_text())["facts"]["model"] == HOSTILE
    for picture in tmp_path.glob("*.svg"):
        assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    html = (tmp_path / "p.html").read_text()
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", html)


def test_characters_that_markup_cannot_hold_are_replaced(report: Record, tmp_path: Path) -> None:
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "\0" not in text
    assert "\ufffd" in text
    pictures = list(tmp_path.glob("*.svg"))
    assert len(pictures) > 4
    for path in pictures:
        ElementTree.parse(path)


def test_attention_shows_the_weights_and_links(report: Record, browser: Any, tmp_path: Path) -> None:
    problems: list[str] = []
    page = opened(browser, tmp_path, problems)
    tab(page, "Attention")
    cells = "cells => cells.map(cell => Number(cell.dataset.weight))"
    shown = page.locator(".map tbody td").evaluate_all(cells)
    np.testing.assert_allclose(shown, heat(0).weights.mean((0, 1)).ravel(), atol=1e-4)
    page.locator(".controls select").nth(1).select_option(index=2)
    page.locator(".controls select").nth(2).select_option(index=1)
    shown = page.locator(".map tbody td").evaluate_all(cells)
    np.testing.assert_allclose(shown, heat(0).weights[1, 0].ravel(), atol=1e-4)
    page.locator(".map tbody tr").nth(1).hover()
    best = int(heat(0).weights[1, 0, 1].argmax())
    assert page.locator(".links").inner_text().startswith(f"man ← {heat(0).source[best]}".split("\0")[0])
    assert "lit" in page.locator(".map thead th").nth(best).get_attribute("class")
    page.locator(".map tbody button").first.focus()
    assert page.locator(".links").inner_text().startswith("a ←")
    page.locator(".controls select").nth(0).select_option(index=1)
    shown = page.locator(".map tbody td").evaluate_all(cells)
    np.testing.assert_allclose(shown, heat(9).weights.mean((0, 1)).ravel(), atol=1e-4)
    assert not problems
    page.close()


def test_saliency_is_a_tab_beside_attention(report: Record, browser: Any, tmp_path: Path) -> None:
    own = replace(heat(9), weights=heat(9).weights[:1, :1])
    tokens = Marked(2, "worst", f"{HOSTILE} not b", ["good", HOSTILE, "·bad"], np.array([0.5, 0.0, -1.0]))
    made = replace(report, saliency=[own], prefixes={9: 0.25})
    sections = {"attention": SECTIONS["attention"](made), "saliency": SECTIONS["saliency"](made)}
    sections["saliency"] = replace(sections["saliency"], marked=(tokens,))
    write_report(tmp_path, made, sections, "p.html", "f.json")
    problems: list[str] = []
    page = opened(browser, tmp_path, problems, viewport={"width": 320, "height": 800})
    tab(page, "Saliency")
    shown = page.locator("#saliency .map tbody td").evaluate_all(
        "cells => cells.map(cell => Number(cell.dataset.weight))"
    )
    np.testing.assert_allclose(shown, own.weights.ravel(), atol=1e-4)
    assert page.locator("#saliency .controls label:visible").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    marks = page.locator("mark").evaluate_all("marks => marks.map(mark => [mark.className, mark.title])")
    assert marks == [["for step-2", "+0.5"], ["", "+0"], ["against step-5", "-1"]]
    assert page.locator("mark").nth(1).inner_text() == HOSTILE.replace("\0", "\ufffd")
    tab(page, "Attention")
    assert page.locator("#attention .controls label:visible").count() == 3
    assert not problems
    page.close()
    assert (tmp_path / "saliency-row-10.svg").is_file()


def test_sorting_and_filters(report: Record, browser: Any, tmp_path: Path) -> None:
    problems: list[str] = []
    page = opened(browser, tmp_path, problems)
    tab(page, "Rows")
    column = "rows => rows.filter(row => !row.hidden).map(row => Number(row.cells[0].dataset.value))"
    page.locator("#rows th button").first.click()
    assert page.locator("#rows tbody tr").evaluate_all(column) == list(range(10, 0, -1))
    page.locator("#rows th button").first.click()
    assert page.locator("#rows tbody tr").evaluate_all(column) == list(range(1, 11))
    page.locator("#rows input").fill("der satz-3x")
    assert page.locator("#rows tbody tr").evaluate_all(column) == [4]
    assert page.locator("#rows output").inner_text() == "1 of 10"
    assert not problems
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (320, "dark"), (1600, "light"), (1600, "dark")])
def test_it_fits_the_screen(report: Record, browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    problems: list[str] = []
    page = opened(browser, tmp_path, problems, viewport={"width": width, "height": 800}, color_scheme=scheme)
    for name in SECTIONS:
        if page.locator(f"#tab-{name}").count():
            page.locator(f"#tab-{name}").click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(22, 22, 24)" if scheme == "dark" else "rgb(255, 255, 255)")
    page.close()


def test_without_its_script_everything_is_there(report: Record, browser: Any, tmp_path: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto((tmp_path / "p.html").as_uri())
    assert page.locator(".panel:visible").count() == page.locator(".panel").count()
    assert page.locator("figure.printed svg").is_visible()
    page.close()


def test_long_rows_leave_the_page_small(plant: Plant, tmp_path: Path) -> None:
    rows = [
        {"source": f"{n}" + "源" * 310, "outputs": ["出源" * 155], "references": ["参考" * 155 + str(n)]}
        | {"attention_peak": 0.9, "attention_covered": 0.1, "ended": 0}
        for n in range(400)
    ]
    maps = np.full((2, 2, 200, 200), 1 / 200, dtype=np.float32)
    heats = [Heat(n, "worst", ["源"] * 200, ["出"] * 200, maps, "0-0 " * 200) for n in range(400)]
    record = replace(plant(rows), heats=heats, saliency=[replace(each, weights=maps[:1, :1]) for each in heats])
    sections = {name: made for name, make in SECTIONS.items() if (made := make(record))}
    assert 2_000_000 < len(render(record, sections).encode()) < 5_000_000


def test_many_heads_are_averaged_to_stay_small() -> None:
    large = replace(heat(), weights=np.full((12, 16, 90, 90), 1 / 90, dtype=np.float32))
    found = packed([large] * 20)
    assert found[0]["averaged"]
    assert sum(int(np.prod(each["shape"])) for each in found) <= LARGEST_HEATS
    assert packed([heat()])[0]["shape"] == [2, 2, 4, 3]
    (long,) = packed([replace(heat(), weights=np.zeros((1, 1, 400, 900), dtype=np.float32), source=["a"] * 900)])
    assert (long["shape"], len(long["source"]), long["cut"]) == ([1, 1, 150, 150], 150, True)
