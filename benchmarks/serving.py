"""Requests a second, latencies and failures of `serve` on loopback, by clients in threads of their own.

    python benchmarks/serving.py outputs/learning/multi30k-transformer                       # about 3 CPU minutes
    python benchmarks/serving.py outputs/g2p --input-file words.txt --requests 200

Each server is a process of its own with one thread of torch. Sources are lines of `--input-file`, by default Multi30k's
German test set in $HF_SEQ2SEQ_DATA or ../shared/data; every eighth request has three lines, so that lengths are mixed.
Parts, each bounded by its number of requests and by `--seconds`:

load      requests a second of 32 clients, greedy and with beam 5, in continuous batches; of the same engine when it
          waits for a batch to end before it takes the next one; and one request at a time. Beside it are the server's
          CPU seconds per request, which do not depend on what else the machine does.
latency   p50 and p99 of requests that arrive at random times, at half of that load, and the time to the first token;
          the same for a server of CTranslate2, if it can convert the model, and for one of transformers
          (`serving_servers.py`).
alone     requests with different settings, at the same time: how many get what `generate` gives to each alone.
soak      good requests among broken JSON, large bodies, invalid UTF-8, senders that stop, dropped connections, too many
          beams and empty texts: answers that differ from those given alone, answers of 500, growth of memory.
restart   the server is killed and restarted under load, and clients retry: requests that were lost.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from machine import describe, table
from serving_faults import alone_part, restart_part, soak_part
from serving_process import Process, requests_of, served, text_of

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
TEST_SET = DATA / "multi30k" / "test_2016_flickr.de.gz"
BEAMS = (1, 5)


def main() -> None:
    """Runs the parts and prints their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained model that writes text")
    parser.add_argument("--input-file", type=Path, default=TEST_SET, help="a source per line, also .gz")
    parser.add_argument("--requests", type=int, default=256, help="of each measurement")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120, help="of each measurement at most")
    parser.add_argument("--parts", nargs="+", choices=RUN, default=list(RUN))
    options = parser.parse_args()
    print(describe())
    for part in options.parts:
        print(f"\n{part}\n{RUN[part](options)}", flush=True)


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
    rows, rates = [], dict[int, float]()
    with TemporaryDirectory() as folder:
        kinds = {"continuous": options.model, "transformers": options.model, "ctranslate2": f"{folder}/exported"}
        words = [sys.executable, "-m", "hf_seq2seq", "export", options.model, kinds["ctranslate2"]]
        if subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode:
            del kinds["ctranslate2"]
        for kind, model in kinds.items():
            with served(model, kind) as process:
                for beams in BEAMS:
                    requests = requests_of(options, beams)
                    if kind == "continuous":
                        rates[beams] = drive(process, requests, options.clients, options.seconds)[0] / 2
                    found = [*spread(arrive(process, requests, rates[beams], finish))]
                    if kind == "continuous" and beams == 1:
                        found += spread(arrive(process, requests, rates[beams], begin))
                    cells = [f"{1e3 * value:.0f}" for value in found]
                    rows.append([kind, str(beams), f"{rates[beams]:.1f}", *cells, *["-"] * (4 - len(cells))])
    return table(["server", "beams", "requests/s", "p50 ms", "p99 ms", "first token p50 ms", "p99 ms"], rows)


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


RUN: dict[str, Callable[[argparse.Namespace], str]] = {
    "load": load_part,
    "latency": latency_part,
    "alone": alone_part,
    "soak": soak_part,
    "restart": restart_part,
}

if __name__ == "__main__":
    main()
