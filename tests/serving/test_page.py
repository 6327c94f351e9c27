"""The page of `serve` in a real browser, with a real server."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.api.models import load
from hf_seq2seq.serving.server import Server
from tests.serving.conftest import running

TEXT = "the dog sees a red house"


@pytest.fixture
def page(browser: Any, served: tuple[str, Server]) -> Iterator[Any]:
    context = browser.new_context(accept_downloads=True)
    opened = context.new_page()
    broken: list[str] = []
    opened.on("console", lambda message: broken.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: broken.append(str(error)))
    opened.on(
        "request",
        lambda request: None if request.url.startswith((served[0], "data:", "blob:")) else broken.append(request.url),
    )
    opened.goto(served[0])
    opened.wait_for_selector("#model option[value=rnn]", state="attached")
    yield opened
    context.close()
    assert [each for each in broken if "400 (Bad Request)" not in each] == []


def set_length(page: Any) -> None:
    page.click("#settings summary")
    page.fill("#set-max_new_tokens", "8")
    page.press("#set-max_new_tokens", "Tab")
    assert page.inner_text("#changed") == "1 changed: max_new_tokens"


def test_an_output_with_what_is_known_of_it(page: Any, models: dict[str, Any]) -> None:
    set_length(page)
    page.select_option("#model", "rnn")
    assert page.inner_text("#changed") == ""
    page.fill("#set-max_new_tokens", "8")
    page.press("#set-max_new_tokens", "Tab")
    page.fill("#text", TEXT)
    page.press("#text", "Control+Enter")
    page.wait_for_selector(".score")
    (expected,) = models["rnn"].generate([TEXT], details=True, max_new_tokens=8)
    assert page.inner_text(".output") == expected.text
    page.click("text=How sure it was")
    words = page.locator(".words span")
    assert words.count() == len(expected.tokens)
    page.click("text=Attention on the source")
    page.wait_for_selector(".map td")
    assert page.locator(".map tbody tr").count() == len(expected.tokens)
    page.hover(".map tbody tr:first-child td")
    assert page.locator(".map td.linked").count() >= 1


def test_two_models_side_by_side_and_several_outputs(page: Any, models: dict[str, Any]) -> None:
    set_length(page)
    page.fill("#set-num_beams", "3")
    page.press("#set-num_beams", "Tab")
    page.fill("#set-num_return_sequences", "2")
    page.press("#set-num_return_sequences", "Tab")
    page.select_option("#beside", "rnn")
    page.fill("#text", TEXT)
    page.click("#go")
    page.locator(".score").nth(3).wait_for()
    for number, name in enumerate(("t5", "rnn"), start=1):
        (expected,) = models[name].generate([TEXT], num_return_sequences=2, num_beams=3, max_new_tokens=8)
        assert page.locator(f"#answers > section:nth-child({number}) .output").all_inner_texts() == expected


def test_mistakes_are_sentences(page: Any) -> None:
    page.click("#settings summary")
    page.fill("#set-temperature", "0.5")
    page.press("#set-temperature", "Tab")
    page.fill("#text", TEXT)
    page.press("#text", "Control+Enter")
    page.locator("#message:not(:empty)").wait_for()
    assert page.inner_text("#message") == "Temperature: only applies to sampling; add do_sample."


def test_labels_as_bars(page: Any, models: dict[str, Any]) -> None:
    page.select_option("#model", "labels")
    assert page.is_hidden("#settings")
    page.fill("#text", TEXT)
    page.click("#go")
    page.wait_for_selector("meter")
    (expected,) = models["labels"].classify([TEXT])
    assert page.inner_text(".output") == expected.label
    assert page.locator("meter").count() == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", f"{TEXT}\n\nthe cat\n"),
        ("a.csv", f'id,text\n1,"{TEXT}"\n2,""\n3,the cat\n'),
        ("a.jsonl", f'{{"text": "{TEXT}"}}\n{{"text": ""}}\n{{"text": "the cat"}}\n'),
    ],
)
def test_a_file_is_answered_row_by_row(
    name: str, content: str, page: Any, models: dict[str, Any], tmp_path: Path
) -> None:
    set_length(page)
    (tmp_path / name).write_text(content)
    page.set_input_files("#file", tmp_path / name)
    page.wait_for_selector("#batch-download:not([hidden])")
    with page.expect_download() as download:
        page.click("#batch-download")
    assert download.value.suggested_filename == "a.answers.jsonl"
    rows = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    texts = [TEXT, "", "the cat"]
    expected = models["t5"].generate(texts, max_new_tokens=8)
    assert rows == [{"source": text, "prediction": said} for text, said in zip(texts, expected, strict=True)]


def test_copies_of_the_request(page: Any, served: tuple[str, Server]) -> None:
    page.fill("#text", "it's")
    curl, python = page.evaluate("[asCurl(), asPython()]")
    assert f"curl {served[0]}/generate" in curl
    assert "it'\\''s" in curl
    compile(python, "copied", "exec")


def test_attention_of_a_t5_as_a_map(page: Any, models: dict[str, Any]) -> None:
    set_length(page)
    page.fill("#text", TEXT)
    page.click("#go")
    page.wait_for_selector(".score")
    page.click("text=Attention on the source")
    page.wait_for_selector(".map td")
    (found,) = models["t5"].attention([TEXT], [page.inner_text(".output")])
    assert page.locator(".map tbody tr").count() == len(found.target_tokens)
    assert page.locator(".map tbody tr:first-child td").count() == len(found.source_tokens)


def test_a_file_is_dropped(page: Any, models: dict[str, Any]) -> None:
    set_length(page)
    script = """() => {
        const data = new DataTransfer();
        data.items.add(new File(["the cat\\n"], "b.txt", { type: "text/plain" }));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(script)
    page.wait_for_selector("#batch-download:not([hidden])")
    with page.expect_download() as download:
        page.click("#batch-download")
    (expected,) = models["t5"].generate(["the cat"], max_new_tokens=8)
    assert json.loads(Path(download.value.path()).read_text()) == {"source": "the cat", "prediction": expected}


def test_a_conversation(browser: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["t5"], tmp_path / "talker")
    for file in (tmp_path / "talker").rglob("tokenizer_config.json"):
        template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": template}))
    (tmp_path / "talker" / "run.yaml").write_text("recipe: t5\nobjective: dialogue\nmax_target_length: 6\n")
    model = load(tmp_path / "talker")
    said = [{"role": "user", "content": "the dog"}]
    (first,) = model.generate([said])
    said += [{"role": "assistant", "content": first}, {"role": "user", "content": "a cat"}]
    (second,) = model.generate([said])
    with running({"talker": model}) as (place, _):
        page = browser.new_page()
        page.goto(place)
        page.wait_for_selector("#model option[value=talker]", state="attached")
        for number, text in enumerate(("the dog", "a cat"), start=1):
            page.fill("#text", text)
            page.press("#text", "Control+Enter")
            page.locator(".output").nth(2 * number - 1).wait_for()
            page.locator("#status", has_text="Answered").wait_for()
        shown = [each.strip() for each in page.locator(".output").all_inner_texts()]
        assert shown == ["the dog", first, "a cat", second]
        page.click("#clear")
        assert page.locator(".output").count() == 0
        page.close()


def test_a_key_is_asked_for(browser: Any, models: dict[str, Any]) -> None:
    with running(models, key="secret") as (place, _):
        page = browser.new_page()
        page.goto(place)
        page.wait_for_selector("#key-form:not([hidden])")
        page.fill("#key", "secret")
        page.press("#key", "Enter")
        page.wait_for_selector("#model option[value=rnn]", state="attached")
        assert page.is_hidden("#key-form")
        page.close()


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1600, "dark")])
def test_it_fits_every_width(width: int, scheme: str, browser: Any, served: tuple[str, Server]) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(served[0])
    page.wait_for_selector("#model option[value=rnn]", state="attached")
    page.fill("#text", TEXT)
    page.click("#go")
    page.wait_for_selector(".score")
    page.click("#settings summary")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
