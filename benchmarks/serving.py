"""Requests a second, latencies and failures of `serve` on loopback, by clients in threads of their own.

    python benchmarks/serving.py outputs/learning/multi30k-transformer                       # about 3 CPU minutes
    python benchmarks/serving.py outputs/g2p --input-file words.txt --requests 200

Each server is a process of its own with one thread of torch. Sources are lines of `--input-file`, by default Multi30k's
German test set in $HF_SEQ2SEQ_DATA or ../shared/data; every eighth request has three lines, so that lengths are mixed.
Parts, each bounded by its number of requests and by `--seconds`:

load      requests a second of 32 clients, greedy and with beam 5, in continuous batches; of the same engine when it
          waits for a batch to end before it takes the next one; and one request at a time. Beside it are the server's
          CPU seconds per request, which do not depend on what else the machine does.
latency   p50 and p99 of requests that arrive at random times, at half of that load, and the time to the first token.
soak      good requests among broken JSON, large bodies, invalid UTF-8, senders that stop, dropped connections, too many
          beams and empty texts: answers that differ from those given alone, answers of 500, growth of memory.
restart   the server is killed and restarted under load, and clients retry: requests that were lost.
"""

import argparse
import gzip
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
TEST_SET = DATA / "multi30k" / "test_2016_flickr.de.gz"
PARTS = ("load", "latency", "soak", "restart")
BEAMS = (1, 5)
TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Runs the parts and prints their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained model that writes text")
    parser.add_argument("--input-file", type=Path, default=TEST_SET, help="a source per line, also .gz")
    parser.add_argument("--requests", type=int, default=256, help="of each measurement")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120, help="of each measurement at most")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--serve", choices=("continuous", "waiting"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.model, options.serve, options.port)
        return
    print(describe())
    for part in options.parts:
        print(f"\n{part}\n{RUN[part](options)}", flush=True)


def serve(model: str, kind: str, port: int) -> None:
    """The server's process."""
    import torch
    import uvicorn

    from hf_seq2seq.api.models import load
    from hf_seq2seq.cli.serve import listening
    from hf_seq2seq.sections import build
    from hf_seq2seq.serving.app import make_app
    from hf_seq2seq.serving.engine import Engine
    from hf_seq2seq.serving.options import ServeConfig
    from hf_seq2seq.serving.served import Served
    from hf_seq2seq.serving.server import Server

    class WaitAndBatch(Engine):
        """Takes new sources only when none is being decoded."""

        def _admit(self) -> list[Any]:
            return [] if self.owned else super()._admit()

    torch.set_num_threads(1)
    config = build(ServeConfig, {"port": port, "max_body_kib": 256})
    listener = listening(config.network)
    server = Server({"model": Served("model", load(model), config.limits)}, config)
    if kind == "waiting":
        server.engine.stop()
        server.engine = WaitAndBatch(config.limits.max_batch_tokens)
    running = uvicorn.Server(uvicorn.Config(make_app(server), log_config=None, access_log=False))
    print(listener.getsockname()[1], flush=True)
    running.run(sockets=[listener])


class Process:
    """A server in a process of its own.

    Args:
        model: the model's folder.
        kind: "continuous" or "waiting".
        port: of an earlier one; 0 for any free one.
    """

    def __init__(self, model: str, kind: str = "continuous", port: int = 0) -> None:
        words = [sys.executable, __file__, model, "--serve", kind, "--port", str(port)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.address = f"http://127.0.0.1:{self.port}"
        until = time.monotonic() + 60
        while not is_ready(self.address):
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    @property
    def resident(self) -> float:
        """Its resident memory in MB."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def kill(self) -> None:
        """Ends it at once."""
        self.process.kill()
        self.process.wait()


@contextmanager
def served(model: str, kind: str = "continuous") -> Iterator[Process]:
    """A server, ended with the block."""
    process = Process(model, kind)
    try:
        yield process
    finally:
        process.kill()


def is_ready(address: str) -> bool:
    """Whether a server answers."""
    try:
        return httpx.get(f"{address}/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def requests_of(options: argparse.Namespace, beams: int) -> list[dict[str, Any]]:
    """The fields of each request."""
    opened = gzip.open if options.input_file.suffix == ".gz" else open
    with opened(options.input_file, "rt", encoding="utf-8") as stream:
        lines = [line.strip() for line in stream if line.strip()]
    draw = random.Random(1)
    texts = [" ".join(draw.choices(lines, k=3 if number % 8 == 7 else 1)) for number in range(options.requests)]
    return [{"text": text, "num_beams": beams} for text in texts]


def text_of(answer: httpx.Response) -> str:
    """The output in an answer."""
    answer.raise_for_status()
    return str(answer.json()["results"][0]["outputs"][0]["text"])


def drive(process: Process, requests: list[dict[str, Any]], clients: int, seconds: float) -> tuple[float, float]:
    """Requests a second of clients that each send the next request after an answer, and CPU seconds per request."""
    left, done, until = iter(requests), Counter[str](), time.monotonic() + seconds
    lock = threading.Lock()

    def work() -> None:
        with httpx.Client(base_url=process.address, timeout=seconds) as client:
            while time.monotonic() < until:
                with lock:
                    fields = next(left, None)
                if fields is None:
                    return
                text_of(client.post("/generate", json=fields))
                with lock:
                    done["all"] += 1

    started, before = time.monotonic(), process.cpu_seconds
    with ThreadPoolExecutor(clients) as pool:
        for each in [pool.submit(work) for _ in range(clients)]:
            each.result()
    return done["all"] / (time.monotonic() - started), (process.cpu_seconds - before) / max(done["all"], 1)


def load_part(options: argparse.Namespace) -> str:
    """The table of throughput."""
    found: dict[tuple[int, str], tuple[float, float]] = {}
    ways = {"continuous": ("continuous", options.clients), "waiting": ("waiting", options.clients)}
    ways |= {"one at a time": ("continuous", 1)}
    for name, (kind, clients) in ways.items():
        with served(options.model, kind) as process:
            for beams in BEAMS:
                requests = requests_of(options, beams)
                drive(process, requests[:8], clients, options.seconds)  # the first ones are slower
                part = requests[: len(requests) // 4] if clients == 1 else requests
                found[beams, name] = drive(process, part, clients, options.seconds)
    rows = []
    for (beams, name), (rate, cpu) in sorted(found.items()):
        ours, own = found[beams, "continuous"]
        rows.append([str(beams), name, f"{rate:.1f}", f"{ours / rate:.2f}", f"{1e3 * cpu:.1f}", f"{cpu / own:.2f}"])
    heads = ["beams", "server", "requests/s", "continuous is × faster", "CPU ms/request", "× CPU"]
    return table(heads, rows)


def latency_part(options: argparse.Namespace) -> str:
    """The table of latencies at half of the load, and of times to the first token."""
    rows = []
    with served(options.model) as process:
        for beams in BEAMS:
            requests = requests_of(options, beams)
            rate, _ = drive(process, requests, options.clients, options.seconds)
            whole = arrive(process, requests, rate / 2, finish)
            cells = [f"{1e3 * value:.0f}" for value in spread(whole)]
            first = [f"{1e3 * value:.0f}" for value in spread(arrive(process, requests, rate / 2, begin))]
            rows.append([str(beams), f"{rate / 2:.1f}", *cells, *(first if beams == 1 else ["-", "-"])])
    return table(["beams", "requests/s", "p50 ms", "p99 ms", "first token p50 ms", "p99 ms"], rows)


def spread(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    return statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]


def arrive(
    process: Process, requests: list[dict[str, Any]], rate: float, ask: Callable[[httpx.Client, Any], None]
) -> list[float]:
    """Seconds from each request's arrival, whose times are random, to its answer."""
    draw, seconds = random.Random(2), []

    def work(fields: dict[str, Any], due: float) -> None:
        ask(client, fields)
        seconds.append(time.monotonic() - due)

    limits = httpx.Limits(max_connections=256)
    with httpx.Client(base_url=process.address, timeout=120, limits=limits) as client, ThreadPoolExecutor(256) as pool:
        due, waiting = time.monotonic(), []
        for fields in requests:
            due += draw.expovariate(rate)
            time.sleep(max(0.0, due - time.monotonic()))
            waiting.append(pool.submit(work, fields, due))
        for each in waiting:
            each.result()
    return seconds


def finish(client: httpx.Client, fields: dict[str, Any]) -> None:
    """Waits for an answer."""
    text_of(client.post("/generate", json=fields))


def begin(client: httpx.Client, fields: dict[str, Any]) -> None:
    """Waits for the first part of a text, and leaves."""
    with client.stream("POST", "/generate", json=fields | {"stream": True}) as answer:
        answer.raise_for_status()
        next(answer.iter_lines())


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
                status = bad(process.port) if callable(bad) else client.post("/generate", **bad).status_code
                found["500 and above" if status >= 500 else "below 500"] += 1
                return
            fields = goods[number // 2 % len(goods)]
            right = text_of(client.post("/generate", json=fields)) == known[fields["text"]]
            found["right" if right else "wrong"] += 1

        sizes, until = [], time.monotonic() + options.seconds
        with ThreadPoolExecutor(16) as pool:
            for _ in range(10):
                if time.monotonic() < until:
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


JSON = {"content-type": "application/json"}
BAD: dict[str, dict[str, Any]] = {
    "broken JSON": {"content": b'{"text": "a', "headers": JSON},
    "large body": {"content": b'{"text": "' + b"a" * 300_000 + b'"}', "headers": JSON},
    "invalid UTF-8": {"content": b'{"text": "\xff"}', "headers": JSON},
    "too many beams": {"json": {"text": "a", "num_beams": 10_000}},
    "empty text": {"json": {"text": ""}},
    "no text": {"json": {"txt": "a"}},
}


def slow_sender(port: int) -> int:
    """Sends a part of a body, waits, and leaves."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        connection.sendall(b'Content-Length: 99\r\n\r\n{"te')
        time.sleep(0.2)
    return 0


def dropped(port: int) -> int:
    """Asks for a text, and leaves before the answer."""
    body = b'{"text": "a", "min_new_tokens": 40}'
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = f"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
    return 0


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


RUN: dict[str, Callable[[argparse.Namespace], str]] = {
    "load": load_part,
    "latency": latency_part,
    "soak": soak_part,
    "restart": restart_part,
}

if __name__ == "__main__":
    main()
