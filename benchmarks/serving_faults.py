"""Parts of the serving benchmark that try what may go wrong: mixed settings, bad requests, a server that is killed."""

import argparse
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from machine import table
from serving_process import LARGE, Process, requests_of, served, text_of


def soak_part(options: argparse.Namespace) -> str:
    """The table of what a mixture of good and bad requests led to."""
    requests, found = requests_of(options, 1), Counter[str]()
    with served(options.model) as process, httpx.Client(base_url=process.address, timeout=60) as client:
        known = {each["text"]: text_of(client.post("/generate", json=each)) for each in requests[:32]}
        goods = [each for each in requests if each["text"] in known]
        bads = [*BAD.values(), slow_sender, dropped]

        def work(number: int) -> None:
            if number % 2:
                bad = bads[number // 2 % len(bads)]
                status = bad(process.port) if callable(bad) else status_of(client, bad)
                found["500 and above" if status >= 500 else "below 500"] += 1
                return
            fields = goods[number // 2 % len(goods)]
            right = text_of(client.post("/generate", json=fields)) == known[fields["text"]]
            found["right" if right else "wrong"] += 1

        sizes, until = [], time.monotonic() + options.seconds
        with ThreadPoolExecutor(16) as pool:
            while time.monotonic() < until or not sizes:
                list(pool.map(work, range(options.requests)))
                sizes.append(process.resident)
    growth = 100 * (sizes[-1] / sizes[len(sizes) // 2] - 1)
    names = ("right", "wrong", "below 500", "500 and above")
    heads = [
        "good: right",
        "wrong",
        "bad: below 500",
        "500 and above",
        "MB at first",
        "at half",
        "at the end",
        "growth from half",
    ]
    memory = [f"{sizes[0]:.0f}", f"{sizes[len(sizes) // 2]:.0f}", f"{sizes[-1]:.0f}", f"{growth:.1f} %"]
    return table(heads, [[*(str(found[name]) for name in names), *memory]])


def status_of(client: httpx.Client, fields: dict[str, Any]) -> int:
    """The status of the answer; 0 where the server ends the connection while the body is being sent."""
    try:
        return client.post("/generate", **fields).status_code
    except (httpx.WriteError, httpx.ReadError):
        return 0


JSON = {"content-type": "application/json"}
BAD: dict[str, dict[str, Any]] = {
    "broken JSON": {"content": b'{"text": "a', "headers": JSON},
    "large body": {"content": b'{"text": "' + b"a" * LARGE + b'"}', "headers": JSON},
    "invalid UTF-8": {"content": b'{"text": "\xff"}', "headers": JSON},
    "too many beams": {"json": {"text": "a", "num_beams": 10_000}},
    "empty text": {"json": {"text": ""}},
    "no text": {"json": {"txt": "a"}},
}


def slow_sender(port: int) -> int:
    """Sends a part of a body, waits, and leaves."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
        connection.sendall(b'Content-Length: 99\r\n\r\n{"te')
        time.sleep(0.2)
    return 0


def dropped(port: int) -> int:
    """Asks for a text, and leaves before the answer."""
    body = b'{"text": "a", "min_new_tokens": 40}'
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
        connection.sendall(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return 0


SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"num_beams": 5},
    {"do_sample": True, "num_beams": 1, "temperature": 0.8},
    {"num_beams": 5, "num_return_sequences": 3},
    {"num_beams": 4, "length_penalty": 0.5},
    {"do_sample": True, "num_beams": 1, "num_return_sequences": 2, "top_k": 20},
    {"num_beams": 1, "min_new_tokens": 6, "no_repeat_ngram_size": 3},
    {"num_beams": 1, "max_new_tokens": 9},
)


def alone_part(options: argparse.Namespace) -> str:
    """The table of whether mixed requests that share batches get what each gets alone."""
    from hf_seq2seq.api.models import load

    texts, mixed = [fields["text"] for fields in requests_of(options, 1)], []
    for number, text in enumerate(texts):
        settings = SETTINGS[number % len(SETTINGS)]
        mixed.append({"text": text} | settings | ({"seed": number} if "do_sample" in settings else {}))

    def ask(fields: dict[str, Any]) -> list[str]:
        answer = client.post("/generate", json=fields)
        answer.raise_for_status()
        return [each["text"] for each in answer.json()["results"][0]["outputs"]]

    with (
        served(options.model) as process,
        httpx.Client(base_url=process.address, timeout=600) as client,
        ThreadPoolExecutor(options.clients) as pool,
    ):
        together = list(pool.map(ask, mixed))
    model, equal, until = load(options.model), Counter[str](), time.monotonic() + options.seconds
    for fields, found in zip(mixed, together, strict=True):
        if time.monotonic() > until:
            break
        flags = {"num_return_sequences": 1} | {name: value for name, value in fields.items() if name != "text"}
        (outputs,) = model.generate([fields["text"]], **flags)
        equal["equal" if outputs == found else "different"] += 1
        if outputs != found:
            print(fields, found, outputs, flush=True)
    heads = ["requests together", "compared", "equal", "different"]
    row = [len(together), equal.total(), equal["equal"], equal["different"]]
    return table(heads, [[str(value) for value in row]])


def restart_part(options: argparse.Namespace) -> str:
    """The table of what clients that try again lose when the server is killed under load."""
    requests, found = requests_of(options, 1), Counter[str]()
    process = Process(options.model)
    client = httpx.Client(base_url=process.address, timeout=30)
    lock, until = threading.Lock(), time.monotonic() + options.seconds

    def work(fields: dict[str, Any]) -> None:
        while time.monotonic() < until:
            try:
                text_of(client.post("/generate", json=fields))
            except httpx.HTTPError:
                found["tries again"] += 1
                time.sleep(0.5)
                continue
            with lock:
                found["answered"] += 1
            return

    try:
        with ThreadPoolExecutor(options.clients) as pool:
            waiting = [pool.submit(work, fields) for fields in requests]
            while found["answered"] < len(requests) // 4 and time.monotonic() < until:
                time.sleep(0.01)
            process.kill()
            process = Process(options.model, port=process.port)
            for each in waiting:
                each.result()
    finally:
        process.kill()
        client.close()
    lost = len(requests) - found["answered"]
    return table(
        ["requests", "answered", "tries again", "lost"],
        [[str(len(requests)), str(found["answered"]), str(found["tries again"]), str(lost)]],
    )
