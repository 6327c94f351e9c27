"""Endpoints over real HTTP: what they answer, what they refuse, and in which form."""

import asyncio
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from hf_seq2seq.serving.app import Around, Figures
from hf_seq2seq.serving.served import FIELDS
from hf_seq2seq.serving.server import Server
from tests.serving.conftest import running

TEXT = "the dog sees a red house"


def ask(client: httpx.Client, path: str, fields: Any) -> Any:
    answer = client.post(path, json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def texts_of(answer: Any) -> list[list[str]]:
    return [[output["text"] for output in result["outputs"]] for result in answer["results"]]


@pytest.mark.parametrize("name", ["t5", "rnn"])
@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"num_beams": 3, "num_return_sequences": 2},
        {"do_sample": True, "seed": 5, "top_k": 4},
    ],
)
def test_outputs_are_those_of_python(
    name: str, flags: dict[str, Any], client: httpx.Client, models: dict[str, Any]
) -> None:
    answer = ask(client, "/generate", {"model": name, "text": [TEXT, "", "a cat"], "max_new_tokens": 9, **flags})
    count = flags.get("num_return_sequences", 1)
    expected = models[name].generate([TEXT, "", "a cat"], max_new_tokens=9, **{"num_return_sequences": count} | flags)
    assert texts_of(answer) == expected


def test_details_and_remarks(client: httpx.Client, models: dict[str, Any]) -> None:
    fields = {"model": "rnn", "text": TEXT, "max_source_length": 3, "max_new_tokens": 4}
    answer = ask(client, "/generate", fields | {"details": ["score", "tokens", "log_probs", "alignment"]})
    (output,) = answer["results"][0]["outputs"]
    with pytest.warns(UserWarning, match="truncated"):
        (expected,) = models["rnn"].generate([TEXT], details=True, max_source_length=3, max_new_tokens=4)
    assert output["score"] == pytest.approx(expected.score)
    assert output["tokens"] == expected.tokens
    assert "truncated to 3 tokens" in answer["remarks"][0]


def test_texts_stream_as_they_grow(client: httpx.Client) -> None:
    fields = {"text": TEXT, "num_beams": 1, "max_new_tokens": 12}
    expected = texts_of(ask(client, "/generate", fields))[0][0]
    with client.stream("POST", "/generate", json=fields | {"stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line]
    parts = [event["part"] for event in events[:-1]]
    assert len(parts) > 1
    assert "".join(parts) == expected
    assert events[-1]["done"]
    assert texts_of(events[-1]) == [[expected]]


def test_long_texts_are_read_in_pieces(client: httpx.Client, models: dict[str, Any]) -> None:
    text = "The dog sees a cat. The old man runs. A house."
    fields = {"text": [text, ""], "split": "sentences", "max_new_tokens": 6, "num_beams": 1}
    expected = models["t5"].generate([text, ""], split="sentences", max_new_tokens=6, num_beams=1)
    answer = ask(client, "/generate", fields)
    assert texts_of(answer) == [[each] for each in expected]
    assert answer["remarks"][0] == "1 of 2 texts were read in pieces, 3 in all"
    with client.stream("POST", "/generate", json=fields | {"text": text, "stream": True}) as streamed:
        events = [json.loads(line[6:]) for line in streamed.iter_lines() if line]
    assert [event.get("part") for event in events] == [expected[0], None]
    refused = client.post("/generate", json=fields | {"split": "sentence"})
    assert refused.status_code == 400
    assert refused.json()["error"] == {
        "message": "split: unknown value 'sentence'; did you mean 'sentences'?", "field": "split",
    }  # fmt: skip


def test_scores_labels_and_attention(client: httpx.Client, models: dict[str, Any]) -> None:
    (score,) = ask(client, "/score", {"text": TEXT, "target": "a dog"})["results"]
    assert score["log_prob"] == pytest.approx(models["t5"].score([TEXT], ["a dog"])[0].log_prob)
    (label,) = ask(client, "/classify", {"model": "labels", "text": TEXT})["results"]
    expected = models["labels"].classify([TEXT])[0]
    assert (label["label"], label["scores"]) == (expected.label, pytest.approx(expected.scores))
    seen = ask(client, "/attention", {"model": "rnn", "text": TEXT, "target": "a dog"})
    assert len(seen["weights"]) == len(seen["target_tokens"])
    assert all(sum(row) == pytest.approx(1, abs=0.01) for row in seen["weights"])
    kinds = {each["name"]: each["kind"] for each in client.get("/models").json()["models"]}
    assert kinds == {"t5": "generate", "rnn": "generate", "labels": "classify"}


def test_an_output_is_one_of_the_choices_of_a_request(
    client: httpx.Client, models: dict[str, Any], tmp_path: Path
) -> None:
    listed = ["a dog", "the cat runs", "a bird"]
    (tmp_path / "listed.txt").write_text("\n".join(listed))
    answer = ask(client, "/generate", {"text": [TEXT, "a cat"], "choices": listed, "num_return_sequences": 2})
    file = str(tmp_path / "listed.txt")
    assert texts_of(answer) == models["t5"].generate([TEXT, "a cat"], choices=file, num_return_sequences=2)
    assert (
        ask(client, "/generate", {"text": "a", "choices": ["a bird"]})["results"][0]["outputs"][0]["text"] == "a bird"
    )


WRONG: list[tuple[str, Any, int, str, str | None]] = [
    ("/generate", {}, 400, "text: missing; send a text or a list of texts", "text"),
    ("/generate", {"text": 3}, 400, "text: a number is neither a text nor a list of texts", "text"),
    ("/generate", {"text": ["a", None]}, 400, "text: item 2 is null, not text", "text"),
    ("/generate", {"text": "a", "choices": "/etc/passwd"}, 400, "choices: send a list of texts", "choices"),
    ("/generate", {"text": "a", "choices": ["a", "b\nc"]}, 400, "choices: item 2 is not a line of text", "choices"),
    ("/generate", {"text": "a", "choices": ["a"], "stop_strings": ["b"]}, 400, "choices and stop_strings", "choices"),
    ("/generate", {"text": ["a"] * 9}, 400, "text: 9 texts are too many; the maximum is 8", "text"),
    ("/generate", {"text": "a", "num_beam": 2}, 400, "num_beam: no such field; did you mean 'num_beams'?", "num_beam"),
    ("/generate", {"text": "a", "num_beams": "x"}, 400, "num_beams: 'x' is not an integer", "num_beams"),
    (
        "/generate",
        {"text": "a", "num_beams": 21},
        400,
        "num_beams: 21 is too large; this server allows 20",
        "num_beams",
    ),
    ("/generate", {"text": "a", "num_beams": 1e400}, 400, "num_beams", "num_beams"),
    (
        "/generate",
        {"text": "a", "temperature": 0.5},
        400,
        "temperature: only applies to sampling; add do_sample",
        "temperature",
    ),
    ("/generate", {"text": "a", "ensemble": ["/etc"]}, 400, "ensemble: no such field", "ensemble"),
    (
        "/generate",
        {"text": "a", "trust_remote_code": True},
        400,
        "trust_remote_code: no such field",
        "trust_remote_code",
    ),
    (
        "/generate",
        {"text": "a", "num_beams": "500"},
        400,
        "num_beams: 500 is too large; this server allows",
        "num_beams",
    ),
    (
        "/v1/completions",
        {"prompt": "a", "n": "30"},
        400,
        "num_return_sequences: 30 is too large",
        "num_return_sequences",
    ),
    (
        "/v1/completions",
        {"prompt": "a", "stream_options": "x"},
        400,
        'stream_options: "x" is not an object',
        "stream_options",
    ),
    (
        "/v1/completions",
        {"prompt": "a", "max_tokens": 3, "max_completion_tokens": 5},
        400,
        "max_completion_tokens: 5, but another field says 3",
        "max_completion_tokens",
    ),
    ("/generate", {"messages": [{"role": "user", "content": "a"}]}, 400, "chat template", None),
    (
        "/generate",
        {"text": "a", "stop_strings": ["", "a"]},
        400,
        "an empty text would end every output",
        "stop_strings",
    ),
    ("/generate", {"text": "a", "model": "rnnn"}, 404, "model: no model named 'rnnn'; did you mean 'rnn'?", "model"),
    ("/generate", {"text": "a", "model": "labels"}, 400, "model: 'labels' classifies texts: ask /classify", "model"),
    ("/generate", {"text": "a", "stream": "yes"}, 400, 'stream: "yes" is not true or false', "stream"),
    ("/generate", {"text": ["a", "b"], "stream": True}, 400, "only one text can be streamed", "stream"),
    (
        "/generate",
        {"text": "a", "details": ["scores"]},
        400,
        "'scores' is not among what this model can tell",
        "details",
    ),
    ("/generate", {"messages": "hi"}, 400, "messages", "messages"),
    ("/classify", {"text": "a"}, 400, "model: 't5' generates text: ask /generate", "model"),
    (
        "/classify",
        {"model": "labels", "text": ["a"], "text_pair": ["a", "b"]},
        400,
        "text_pair: 2 for 1 texts",
        "text_pair",
    ),
    ("/score", {"text": "a", "target": ["a", "b"]}, 400, "target: 2 for 1 texts", "target"),
    ("/attention", {"text": " "}, 400, "text: empty", "text"),
    ("/generate", ["a"], 400, "the body is a list; send an object", None),
]


@pytest.mark.parametrize(("path", "fields", "status", "message", "name"), WRONG)
def test_mistakes_are_named(
    path: str, fields: Any, status: int, message: str, name: str | None, client: httpx.Client
) -> None:
    body = json.dumps(fields).replace("Infinity", "1e400")
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param" if path.startswith("/v1/") else "field"]) == (status, name)
    assert message in error["message"]
    assert "--" not in error["message"]


RAW: list[tuple[bytes, dict[str, str], int, str]] = [
    (b'{"text": "a"', {}, 400, "not JSON"),
    (b"[" * 100_000, {}, 413, "larger than 64 KiB"),
    (b"[" * 30_000, {}, 400, "not JSON: nested too deep"),
    (b'{"text": "\xff"}', {}, 400, "not UTF-8: byte 10 is 0xff"),
    (b'{"text": "\\ud800"}', {}, 400, "half of a surrogate pair"),
    (b'{"text": "a"}', {"Content-Type": "text/plain"}, 415, "'text/plain' is not supported"),
    (b'{"text": "a"}', {"Origin": "http://evil.example"}, 403, "Origin"),
    (b'{"text": "a"}', {"Host": "evil.example"}, 403, "Host"),
    (b"", {}, 400, "not JSON"),
]


@pytest.mark.parametrize(("body", "headers", "status", "message"), RAW)
def test_broken_bodies_are_refused(
    body: bytes, headers: dict[str, str], status: int, message: str, client: httpx.Client
) -> None:
    answer = client.post("/generate", content=body, headers={"Content-Type": "application/json"} | headers)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


def test_a_field_that_comes_twice_is_refused(client: httpx.Client) -> None:
    body = '{"text": "a", "text": "b"}'
    answer = client.post("/generate", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "'text' is twice in one object" in answer.json()["error"]["message"]


def test_fields_that_requests_may_have() -> None:
    """A new option becomes a field only on purpose: it must neither name a file of the server nor load a model."""
    lengths = {"source_prefix", "max_source_length", "max_new_tokens", "min_new_tokens"}
    beams = {"num_beams", "num_return_sequences", "early_stopping", "length_penalty", "length_normalization"}
    groups = {"coverage_penalty", "num_beam_groups", "diversity_penalty", "diversity_ngram_size"}
    sampling = {"do_sample", "temperature", "top_k", "top_p", "typical_p", "min_p", "seed"}
    rules = {"no_repeat_ngram_size", "repetition_penalty", "min_length_ratio", "max_length_ratio"}
    words = {"forced_bos_token", "force_words", "bad_words", "stop_strings", "mbr_metric"}
    pieces = {"split", "on_too_long", "combine", "context_sentences", "context_separator", "split_language"}
    lengths |= {"source_lang", "target_lang"}
    assert set(FIELDS) == pieces | lengths | beams | groups | sampling | rules | words


def test_unknown_paths_and_methods(client: httpx.Client) -> None:
    assert client.get("/nothing").status_code == 404
    answer = client.get("/generate")
    assert (answer.status_code, answer.json()["error"]["message"]) == (405, "GET /generate: Method Not Allowed")


def test_openai_s_client(served: tuple[str, Server], models: dict[str, Any]) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=served[0] + "/v1", api_key="none") as asking:
        assert [model.id for model in asking.models.list()] == ["t5", "rnn"]
        found = asking.completions.create(model="t5", prompt=[TEXT, "a cat"], max_tokens=6, temperature=0)
        expected = models["t5"].generate([TEXT, "a cat"], max_new_tokens=6, num_beams=1)
        assert [choice.text for choice in found.choices] == expected
        assert found.choices[0].finish_reason in ("stop", "length")
        assert found.usage.total_tokens > 0
        messages = [{"role": "user", "content": TEXT}]
        reply = asking.chat.completions.create(model="t5", messages=messages, max_tokens=6, temperature=0)
        assert reply.choices[0].message.content == expected[0]
        grown = asking.chat.completions.create(
            model="t5",
            messages=messages,
            max_tokens=6,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(grown)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == expected[0]
        assert chunks[-1].usage.total_tokens == reply.usage.total_tokens
        sampled = [
            asking.completions.create(model="t5", prompt=TEXT, temperature=1.5, seed=seed, max_tokens=8).choices[0].text
            for seed in (1, 1, 2)
        ]
        assert sampled[0] == sampled[1] != sampled[2]
        word = expected[0].split()[1]
        cut = asking.completions.create(model="t5", prompt=TEXT, max_tokens=6, temperature=0, stop=[word])
        assert cut.choices[0].text == expected[0][: expected[0].index(word)]
        with pytest.raises(openai.BadRequestError, match="logit_bias"):
            asking.completions.create(model="t5", prompt=TEXT, logit_bias={"5": 1})
        with pytest.raises(openai.NotFoundError, match="did you mean 'rnn'"):
            asking.completions.create(model="rnnn", prompt=TEXT)


def test_libretranslate_s_client(served: tuple[str, Server], models: dict[str, Any], client: httpx.Client) -> None:
    libretranslatepy = pytest.importorskip("libretranslatepy")
    asking = libretranslatepy.LibreTranslateAPI(served[0] + "/")
    (expected,) = models["t5"].generate([TEXT])
    assert asking.translate(TEXT, "source", "target") == expected
    assert asking.languages() == [{"code": "source", "name": "source", "targets": ["target"]}]
    both = client.post("/translate", json={"q": [TEXT, TEXT], "source": "auto", "target": "target"})
    assert both.json()["translatedText"] == [expected, expected]
    wrong = client.post("/translate", json={"q": TEXT, "source": "sourc", "target": "target"})
    assert wrong.json() == {"error": "source: 'sourc' is not supported; did you mean 'source'?"}


@pytest.mark.parametrize("metric", ["{folder}/x.py", "x.py", "comet", "bertscore", "spice:x.py", "comet:/tmp", "/tmp"])
def test_requests_run_no_code_and_load_no_model(client: httpx.Client, tmp_path: Path, metric: str) -> None:
    (tmp_path / "x.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    fields = {"text": "a", "do_sample": True, "num_return_sequences": 2, "mbr_metric": metric.format(folder=tmp_path)}
    answer = client.post("/generate", json=fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "mbr_metric"
    assert "requests may name only bleu" in answer.json()["error"]["message"]
    assert not (tmp_path / "ran").exists()


def test_long_texts_are_classified_in_windows_as_in_training(models: dict[str, Any]) -> None:
    settings = replace(models["labels"].settings, max_source_length=6, run={"stride": 2, "window_pooling": "max"})
    trained = replace(models["labels"], settings=settings)
    text = "the dog sees a red house and a cat sees a dog"
    with running({"labels": trained}) as (address, _), httpx.Client(base_url=address, timeout=60) as asking:
        answer = ask(asking, "/classify", {"text": text})
    (expected,) = trained.classify([text])
    assert answer["results"][0]["scores"] == pytest.approx(expected.scores)
    assert not any("truncated" in line for line in answer["remarks"])


@pytest.mark.parametrize("path", ["/v1/completions", "/translate"])
def test_what_is_cut_is_told_in_every_form(client: httpx.Client, path: str) -> None:
    fields = {
        "/translate": {"q": TEXT * 400, "target": "target"},
        "/v1/completions": {"prompt": TEXT, "max_source_length": 3},
    }
    told = ask(client, path, fields[path])["remarks"]
    assert any("truncated" in line for line in told)


def test_each_output_says_why_it_ended(client: httpx.Client, models: dict[str, Any]) -> None:
    prompts = [TEXT, "a cat", "dog", "red"]
    choices = ask(client, "/v1/completions", {"model": "rnn", "prompt": prompts, "max_tokens": 4, "num_beams": 1})[
        "choices"
    ]
    found = models["rnn"].generator(prompts, {"max_new_tokens": 4, "num_beams": 1}, None, ()).outputs(prompts)
    assert [choice["finish_reason"] for choice in choices] == ["length" if row[0].unended else "stop" for row in found]


def test_languages_that_have_no_effect_are_told(client: httpx.Client, models: dict[str, Any]) -> None:
    answer = ask(client, "/generate", {"text": "a", "target_lang": "de", "max_new_tokens": 2})
    assert "target_lang de: no effect, as this model knows no languages" in answer["remarks"]
    with pytest.warns(UserWarning, match="target_lang de: no effect"):
        models["t5"].generate(["a"], target_lang="de", max_new_tokens=2)


def test_forms_keep_every_text(client: httpx.Client) -> None:
    header = {"Content-Type": "application/x-www-form-urlencoded"}
    twice = client.post("/translate", content="q=aa&q=bb&target=target", headers=header)
    assert len(twice.json()["translatedText"]) == 2
    broken = client.post("/translate", content="q=aa%FFbb&target=target", headers=header)
    assert (broken.status_code, broken.json()["error"]) == (400, "the body is not UTF-8, percent-encoded")


@pytest.mark.parametrize(
    "fields", [{"source": ["x"], "target": "target"}, {"target": {}}, {"alternatives": "9" * 5000}]
)
def test_odd_fields_of_a_translation_are_refused(client: httpx.Client, fields: dict[str, Any]) -> None:
    assert client.post("/translate", json={"q": "a", "target": "target"} | fields).status_code == 400


def test_half_of_a_surrogate_pair_in_a_conversation_is_refused(client: httpx.Client) -> None:
    body = '{"messages": [{"role": "user", "content": "a\\ud800"}]}'
    answer = client.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "half of a surrogate pair" in answer.json()["error"]["message"]


def test_a_proxy_may_pass_the_host_on_where_a_key_is_set(models: dict[str, Any], client: httpx.Client) -> None:
    assert client.get("/v1/models", headers={"Host": "example.org"}).status_code == 403
    with running({"t5": models["t5"]}, key="secret") as (address, _):
        headers = {"Host": "example.org", "Authorization": "Bearer secret"}
        assert httpx.get(f"{address}/v1/models", headers=headers).status_code == 200
        assert httpx.get(f"{address}/v1/models", headers={"Host": "example.org"}).status_code == 401


def test_health_figures_and_request_numbers(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    answer = client.post("/generate", json={"text": "a"}, headers={"X-Request-ID": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert re.fullmatch("[0-9a-f]{32}", client.get("/health", headers={"X-Request-ID": "a b"}).headers["x-request-id"])
    figures = client.get("/metrics").text
    assert re.search(r'hf_seq2seq_requests_total{path="/generate",status="200"} [1-9]', figures)
    described = client.get("/openapi.json").json()["paths"]["/generate"]["post"]["requestBody"]
    assert "--" not in str(described)


def test_the_reference_describes_every_endpoint_without_other_hosts(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert not re.search("https?://|<script", page.text)
    documented = client.get("/openapi.json").json()["paths"]
    assert all(f"{method.upper()} {path}<" in page.text for path, each in documented.items() for method in each)
    assert "<code>num_beams</code></td><td>integer, at least 1" in page.text
    assert "list of one of score, tokens, log_probs, alignment" in page.text


def test_a_key_is_needed_where_one_is_set(models: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    with running(models, key="secret-1") as (place, _), httpx.Client(base_url=place) as client:
        for headers in ({}, {"Authorization": "Bearer secret-2"}, {"X-API-Key": "é".encode()}):
            answer = client.post("/generate", json={"text": "a"}, headers=headers)
            assert answer.status_code == 401
        for headers in ({"Authorization": "Bearer secret-1"}, {"X-API-Key": "secret-1"}):
            assert client.post("/generate", json={"text": "the dog"}, headers=headers).status_code == 200
        assert client.get("/health").status_code == 200
        assert client.get("/").status_code == 200
        assert client.get("/metrics").status_code == 401
    log = capfd.readouterr().err
    assert "secret" not in log
    assert "the dog" not in log


def test_too_many_requests_and_too_long_ones(models: dict[str, Any]) -> None:
    long = {"text": TEXT, "min_new_tokens": 15_000, "max_new_tokens": 20_000}
    with running(models, max_requests=1, request_seconds=2.0) as (place, server):
        with ThreadPoolExecutor(1) as threads:
            slow = threads.submit(httpx.post, place + "/generate", json=long, timeout=30)
            while not server.active:
                time.sleep(0.01)
            full = httpx.post(place + "/generate", json={"text": "a"})
            assert (full.status_code, full.headers["retry-after"]) == (429, "1")
            assert slow.result().status_code == 504
        assert httpx.post(place + "/generate", json={"text": "a", "max_new_tokens": 2}).status_code == 200


def test_a_client_that_leaves_stops_its_request(served: tuple[str, Server]) -> None:
    place, server = served
    long = {"text": TEXT, "min_new_tokens": 15_000, "max_new_tokens": 20_000}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(place + "/generate", json=long, timeout=0.5)
    wait_until_idle(server)
    with httpx.stream("POST", place + "/generate", json=long | {"stream": True, "num_beams": 1}) as answer:
        assert next(answer.iter_lines())
    wait_until_idle(server)


def wait_until_idle(server: Server) -> None:
    limit = time.monotonic() + 20
    while server.active or server.engine.rows:
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_senders_that_are_slow(models: dict[str, Any]) -> None:
    with running(models, request_seconds=0.5) as (place, _):
        host, port = place.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as sender:
            sender.sendall(
                b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            assert b"408" in sender.recv(1000).splitlines()[0]


def test_mixed_requests_in_parallel(client: httpx.Client, models: dict[str, Any]) -> None:
    settings: list[dict[str, Any]] = [{}, {"num_beams": 3}, {"do_sample": True, "seed": 1}]
    settings = [each | {"max_new_tokens": 10} for each in settings]
    asked = [(name, flags) for name in ("t5", "rnn") for flags in settings for _ in range(4)]

    def work(number: int) -> list[list[str]]:
        name, flags = asked[number]
        return texts_of(ask(client, "/generate", {"model": name, "text": TEXT, **flags}))

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(work, range(len(asked))))
    for (name, flags), each in zip(asked, found, strict=True):
        assert each == [models[name].generate([TEXT], **flags)]
    assert threading.active_count() < 200


def test_a_request_that_the_server_cancels_is_answered(served: tuple[str, Server]) -> None:
    async def cancelled(*_: Any) -> None:
        raise asyncio.CancelledError

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    request = {"type": "http", "method": "POST", "path": "/generate", "query_string": b"", "scheme": "http"}
    request |= {"headers": [(b"host", b"localhost")], "server": ("127.0.0.1", 80)}
    asyncio.run(Around(cancelled, served[1], Figures(served[1]))(request, cancelled, send))
    assert sent[0]["status"] == 503
    assert b"the server is stopping" in sent[1]["body"]
