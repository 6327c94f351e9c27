"""The rating sheet in a real browser, opened from a file: rated by mouse and by keyboard, kept, saved, and read back.

It needs Chromium: Playwright's own, or one that is installed (on Debian: apt-get install chromium).
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.analysis.rating_criteria import Scale
from hf_seq2seq.analysis.rating_sheet import Texts, make_sheet, render
from hf_seq2seq.cli.app import main

HOSTILE = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
ARABIC = "رجل يقول مرحبا"
SYSTEMS = {
    "ours": ["A man sleeps.", "Two dogs run.", HOSTILE],
    "theirs": ["A person sleeps.", "Two dogs run.", ""],
}
SOURCES = [f"{HOSTILE} Ein Mann schläft.", "Zwei Hunde\nrennen.", ARABIC]
NO_STORAGE = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied') } })"


class Sheet:
    """A sheet's folder, and the pages of it that a test opens."""

    def __init__(self, folder: Path, browser: Any, **flags: Any) -> None:
        self.folder, self.browser = folder, browser
        criteria, scale = flags.get("criteria", ["fluency", "adequacy"]), flags.get("scale", Scale(1, 5))
        page, self.key = make_sheet(Texts(SYSTEMS, SOURCES), criteria, scale, None, 3)
        (folder / "sheet.html").write_text(render(page), encoding="utf-8")
        (folder / "key.json").write_text(json.dumps(self.key))
        self.texts = [text["id"] for text in self.key["texts"]]
        self.problems: list[str] = []

    def open(self, context: Any) -> Any:
        page = context.new_page()
        page.set_default_timeout(20000)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self.problems.append(said.text))
        page.on("request", lambda request: self.problems.append(request.url))
        page.goto((self.folder / "sheet.html").as_uri())
        assert self.problems.pop(0).endswith("/sheet.html")
        return page

    def save(self, page: Any, act: Callable[[], Any]) -> Path:
        with page.expect_download() as download:
            act()
        path = self.folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def row_of(self, number: int) -> int:
        """Where on the sheet a row of the files stands, from 0."""
        text = next(text for text in self.key["texts"] if text["row"] == number)
        return int(re.match(r"\d+", text["id"])[0]) - 1


MakeSheet = Callable[..., Sheet]


@pytest.fixture
def make(browser: Any, tmp_path: Path) -> Iterator[MakeSheet]:
    sheets: list[Sheet] = []

    def new(**flags: Any) -> Sheet:
        sheets.append(Sheet(tmp_path, browser, **flags))
        return sheets[-1]

    yield new
    assert [problem for sheet in sheets for problem in sheet.problems] == []


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    opened = browser.new_context()
    yield opened
    opened.close()


def point(page: Any, criterion: str, letter: str, name: str) -> Any:
    """A radio button, found as a screen reader says it."""
    return page.get_by_role("group", name=f"{criterion} of text {letter}").get_by_role("radio", name=name)


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.name || document.activeElement.id")


def test_clicks_are_kept_saved_and_reported(
    make: MakeSheet, context: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = make()
    page = sheet.open(context)
    assert page.get_by_text("0 of 10 ratings given").is_visible()
    expected: dict[str, dict[str, int]] = {}
    for row in range(3):
        if row:
            page.get_by_role("button", name="Next").click()
        for text in (text for text in sheet.texts if text[0] == str(row + 1)):
            point(page, "Fluency", text[1], "4 Good").click()
            point(page, "Adequacy", text[1], "5 All").click()
            expected[text] = {"fluency": 4, "adequacy": 5}
    point(page, "Adequacy", "A", "2 Little").click()
    expected["3A"]["adequacy"] = 2
    assert page.get_by_text("10 of 10 ratings given").is_visible()
    page.get_by_label("Your name").fill("Ann O'Hara")
    page.reload()
    assert sheet.problems.pop().endswith("/sheet.html")
    page.close()
    page = sheet.open(context)
    assert page.get_by_text("10 of 10 ratings given").is_visible()
    assert page.get_by_label("Your name").input_value() == "Ann O'Hara"
    assert point(page, "Fluency", "A", "4 Good").is_checked()
    file = sheet.save(page, page.get_by_role("button", name="Save ratings").click)
    assert page.get_by_role("status").inner_text().endswith("All ratings are given: thank you.")
    assert file.name == f"ratings-Ann-O-Hara-{sheet.key['sheet'][:6]}.json"
    saved = json.loads(file.read_text(encoding="utf-8"))
    assert saved == {"sheet": sheet.key["sheet"], "rater": "Ann O'Hara", "ratings": expected}
    monkeypatch.setattr(sys, "argv", ["hf-seq2seq", "ratings", str(sheet.folder / "key.json"), str(file), "--json"])
    with pytest.raises(SystemExit, match="0"):
        main()
    report = json.loads(capsys.readouterr().out)
    assert report["raters"] == {"Ann O'Hara": 10}
    assert report["criteria"]["fluency"]["systems"]["ours"]["mean"] == 4


def test_the_keyboard_is_enough(make: MakeSheet, context: Any) -> None:
    sheet = make()
    page = sheet.open(context)
    keys = page.keyboard
    for _ in range(2):  # past the guidelines
        keys.press("Tab")
    for row in range(3):
        texts = [text for text in sheet.texts if text[0] == str(row + 1)]
        for text in texts:
            assert focused(page) == f"{text}-fluency"
            keys.press("4")  # and the focus moves on
            assert focused(page) == f"{text}-adequacy"
            keys.press("Space")
            keys.press("ArrowRight")
            if text != texts[-1]:
                keys.press("Tab")
        stops = [*(["previous"] if row else []), "go", *(["next"] if row < 2 else ["rater"])]
        for stop in stops:
            keys.press("Tab")
            assert focused(page) == stop
        if row < 2:
            keys.press("Enter")
            assert focused(page) == "row-title"
            keys.press("Tab")
    keys.type("Bob")
    saved = json.loads(sheet.save(page, lambda: keys.press("Enter")).read_text())
    assert saved["rater"] == "Bob"
    assert saved["ratings"] == {text: {"fluency": 4, "adequacy": 2} for text in sheet.texts}


def test_a_digit_beyond_the_scale_and_a_shortcut_do_nothing(make: MakeSheet, context: Any) -> None:
    page = make().open(context)
    page.get_by_role("radio").first.focus()
    for key in ("6", "0", "Control+4", "x"):
        page.keyboard.press(key)
    assert page.get_by_text("0 of 10 ratings given").is_visible()


def test_a_name_is_asked_for_and_gaps_are_reported(make: MakeSheet, context: Any) -> None:
    sheet = make()
    page = sheet.open(context)
    point(page, "Fluency", "A", "1 Incomprehensible").click()
    page.get_by_role("button", name="Save ratings").click()
    assert "Please give a name" in page.get_by_role("alert").inner_text()
    assert focused(page) == "rater"
    assert page.locator("#rater").get_attribute("aria-invalid") == "true"
    page.keyboard.type("日本 ../x")
    file = sheet.save(page, lambda: page.keyboard.press("Enter"))
    assert file.name.startswith("ratings-日本-x-")
    assert page.get_by_role("alert").inner_text() == ""
    assert "still open, the first in row 1" in page.get_by_role("status").inner_text()


def test_texts_are_shown_and_never_run(make: MakeSheet, context: Any) -> None:
    sheet = make()
    page = sheet.open(context)
    page.get_by_label("Row", exact=True).select_option(index=sheet.row_of(1))
    assert page.locator(".context .text").inner_text() == SOURCES[0]
    page.get_by_label("Row", exact=True).select_option(index=sheet.row_of(2))
    assert page.locator(".context .text").inner_text() == SOURCES[1]
    assert page.locator("article").count() == 1  # both systems wrote the same
    page.get_by_label("Row", exact=True).select_option(index=sheet.row_of(3))
    assert page.locator(".context .text").evaluate("element => getComputedStyle(element).direction") == "rtl"
    assert page.locator("article .text").evaluate("element => getComputedStyle(element).direction") == "ltr"
    assert page.get_by_text("(an empty text)").is_visible()
    assert page.title() == "Rating sheet"
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'taken'";
        document.body.append(script);
    }""")
    assert page.title() == "Rating sheet"
    assert "Content Security Policy" in sheet.problems.pop()
    assert not {"ours", "theirs"} & set(re.findall(r"\w+", page.content()))


def test_where_the_browser_keeps_nothing_a_file_does(make: MakeSheet, context: Any) -> None:
    context.add_init_script(NO_STORAGE)
    sheet = make()
    page = sheet.open(context)
    assert page.get_by_text("This browser keeps nothing").is_visible()
    point(page, "Adequacy", "A", "3 Much").click()
    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    page.get_by_label("Your name").fill("Cyd")
    file = sheet.save(page, page.get_by_role("button", name="Save ratings").click)
    page.close(run_before_unload=True)
    page = sheet.open(context)
    assert page.get_by_text("0 of 10 ratings given").is_visible()
    page.get_by_label("Continue with ratings").set_input_files(file)
    page.get_by_text("1 of 10 ratings given").wait_for()
    assert point(page, "Adequacy", "A", "3 Much").is_checked()
    assert page.get_by_label("Your name").input_value() == "Cyd"


def test_only_ratings_of_this_sheet_are_taken(make: MakeSheet, context: Any, tmp_path: Path) -> None:
    sheet = make()
    page = sheet.open(context)
    ratings = {"1A": {"fluency": 9, "adequacy": 2, "__proto__": 3}, "9Z": {"fluency": 1}}
    for name, content in {
        "other.json": {"sheet": "other", "rater": "x", "ratings": ratings},
        "broken.json": [],
        "mine.json": {"sheet": sheet.key["sheet"], "rater": 5, "ratings": ratings},
    }.items():
        (tmp_path / name).write_text(json.dumps(content))
        page.get_by_label("Continue with ratings").set_input_files(tmp_path / name)
        said = page.get_by_role("status")
        said.get_by_text(name).wait_for()
        assert ("no ratings of this sheet" in said.inner_text()) == (name != "mine.json")
    assert page.get_by_text("1 of 10 ratings given").is_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Clear all ratings").click()
    assert page.get_by_text("0 of 10 ratings given").is_visible()
    page.reload()
    assert sheet.problems.pop().endswith("/sheet.html")
    assert page.get_by_text("0 of 10 ratings given").is_visible()


def test_two_tabs_show_the_same(make: MakeSheet, context: Any) -> None:
    sheet = make()
    first, second = sheet.open(context), sheet.open(context)
    point(first, "Fluency", "A", "2 Disfluent").click()
    second.get_by_text("1 of 10 ratings given").wait_for()
    point(second, "Adequacy", "A", "2 Little").click()
    first.get_by_text("2 of 10 ratings given").wait_for()


def test_a_long_scale_is_a_slider(make: MakeSheet, context: Any) -> None:
    sheet = make(criteria=["readability"], scale=Scale(0, 100))
    page = sheet.open(context)
    sliders = page.get_by_role("slider", name="Readability, 0 to 100")
    assert page.get_by_text("not rated").count() == sliders.count()
    sliders.first.focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_text("1 of 5 ratings given").is_visible()
    page.get_by_label("Row", exact=True).select_option(index=sheet.row_of(3))
    page.get_by_role("slider").last.click()  # in the middle, where it stands
    page.get_by_label("Your name").fill("Dan")
    saved = json.loads(sheet.save(page, page.get_by_role("button", name="Save ratings").click).read_text())
    last = [text for text in sheet.texts if int(text[0]) == sheet.row_of(3) + 1][-1]
    assert saved["ratings"] == {"1A": {"readability": 51}} | {last: {"readability": pytest.approx(50, abs=1)}}


def contrast(page: Any, selector: str) -> float:
    """WCAG's ratio of a text's colour to the first background behind it that is not transparent."""
    colours = page.locator(selector).first.evaluate("""element => {
        let behind = element;
        const background = () => getComputedStyle(behind).backgroundColor;
        while (background() === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
        return [getComputedStyle(element).color, background()];
    }""")
    lights = []
    for colour in colours:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_day_by_night_and_on_a_phone(make: MakeSheet, browser: Any, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 320, "height": 640})
    page = make().open(context)
    point(page, "Fluency", "A", "4 Good").click()
    for selector in ("p", ".hint", ".context h3", "article .text", "label:has(:checked)", "#next", "#progress-text"):
        assert contrast(page, selector) >= 4.5, selector
    page.evaluate("document.getElementById('rater-error').textContent = 'x'")
    assert contrast(page, "#rater-error") >= 4.5
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    ink = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ink == "rgb(255, 255, 255)") == (scheme == "light")
    context.close()
