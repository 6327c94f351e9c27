import json
import os
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from datasets import IterableDataset

from hf_seq2seq.configs import Sources
from hf_seq2seq.data import named_sets
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError

NAME = "team/pairs"
COMMIT, EARLIER = "c" * 40, "e" * 40
CARD = """---
configs:
- config_name: small
  data_files:
  - {split: train, path: small/train.csv}
  - {split: valid, path: small/valid.csv}
- config_name: big
  data_files:
  - {split: train, path: big/train.csv}
---
"""
FILES = {
    "README.md": CARD,
    "small/train.csv": "source,target\n" + "".join(f"s{n},t{n}\n" for n in range(50)),
    "small/valid.csv": "source,target\nv,w\n",
    "big/train.csv": "source,target\nB,C\n",
}
EARLIER_FILES = FILES | {"big/train.csv": "source,target\nE,F\n"}


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's interface as `datasets` uses to read one public data set."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        api, files = f"/api/datasets/{NAME}", f"/datasets/{NAME}/resolve/"
        revision = path.removeprefix(f"{api}/revision/")
        if path == api or revision in ("main", COMMIT, "v1", EARLIER):
            siblings = [{"rfilename": name} for name in FILES]
            sha = EARLIER if revision in ("v1", EARLIER) else COMMIT
            self.answer(json.dumps({"id": NAME, "sha": sha, "tags": [], "siblings": siblings}))
        elif path.startswith(f"{api}/revision/"):
            self.answer("{}", 404, {"X-Error-Code": "RevisionNotFound"})
        elif path.startswith(f"{api}/tree/"):
            folder = path.removeprefix(f"{api}/tree/").partition("/")[2]
            names = [name for name in FILES if name.startswith(folder)]
            self.answer(json.dumps([{"type": "file", "path": n, "size": len(FILES[n]), "oid": n} for n in names]))
        elif path.startswith(files):
            revision, _, name = path.removeprefix(files).partition("/")
            earlier = revision in ("v1", EARLIER)
            self.answer_file(name, EARLIER_FILES if earlier else FILES, EARLIER if earlier else COMMIT)
        else:
            self.answer("{}", 404, {"X-Error-Code": "RepoNotFound"})

    def answer_file(self, name: str, files: dict[str, str], commit: str) -> None:
        tag = f'"{commit[0]}{name.encode().hex()}"'
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes", "ETag": tag}
        if name not in files:
            self.answer("", 404, headers | {"X-Error-Code": "EntryNotFound"})
        elif "Range" in self.headers and self.command == "GET":
            first, last = (int(n) for n in self.headers["Range"].removeprefix("bytes=").split("-"))
            headers["Content-Range"] = f"bytes {first}-{last}/{len(files[name])}"
            self.answer(files[name][first : last + 1], 206, headers)
        else:
            self.answer(files[name], 200, headers)

    def answer(self, body: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


# Loads by each set of options; prints the rows of every split, or the message.
SCRIPT = """
import json, sys
from hf_seq2seq.configs import Sources
from hf_seq2seq.data.sources import load_splits
from hf_seq2seq.errors import InputError
for options in json.loads(sys.argv[1]):
    try:
        print(json.dumps({s: rows.to_list() for s, rows in load_splits(Sources(**options)).items()}))
    except InputError as error:
        print(json.dumps(str(error)))
"""


def load_at(processes: Any, endpoint: str, cache: Path, *options: dict) -> list[dict | str]:
    """Loads in a process that has not read the Hub's address yet."""
    environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    asked = json.dumps([{"dataset_name": NAME} | o for o in options])
    done = processes.run(asked, program=SCRIPT, environment=os.environ | environment)
    assert done.returncode == 0, done.stderr
    assert "Retrying" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_data_set_on_the_hub(torch_processes, hub, tmp_path):
    small = {"dataset_config_name": "small"}
    rows = [{"source": f"s{n}", "target": f"t{n}"} for n in range(50)]
    other = [{"source": "v", "target": "w"}]
    found = load_at(
        torch_processes,
        hub,
        tmp_path,
        small,
        {"dataset_config_name": "big"},
        small | {"streaming": True, "max_train_samples": 3},
        small
        | {"dataset_revision": "main", "train_split": "valid", "validation_split": "train", "max_eval_samples": 2},
        {"dataset_config_name": "big", "dataset_revision": "v1"},
        {},
        {"dataset_config_name": "smal"},
        small | {"dataset_revision": "v9"},
        small | {"train_split": "trian"},
        {"dataset_name": "team/none"},
    )
    assert found[:5] == [
        {"train": rows, "validation": other},
        {"train": [{"source": "B", "target": "C"}]},
        {"train": rows[:3], "validation": other},
        {"train": other, "validation": rows[:2]},
        {"train": [{"source": "E", "target": "F"}]},
    ]
    parts = [
        "pick one among the available configs: ['small', 'big']",
        "BuilderConfig 'smal' not found. Available: ['small', 'big'] (--dataset-config-name)",
        "team/pairs: the data set has no revision 'v9' (--dataset-revision)",
        "no split 'trian' (--train-split); its splits are train, valid; did you mean 'train'?",
        "team/none: no such folder, and no such data set on the Hub",
    ]
    for message, part in zip(found[5:], parts, strict=True):
        assert part in message
        assert message.count("\n") == 0


def test_what_was_fetched_once_is_there_when_the_hub_is_gone(torch_processes, hub, tmp_path):
    nowhere = "http://127.0.0.1:9"
    big, small = {"dataset_config_name": "big"}, {"dataset_config_name": "small"}
    fetched = load_at(torch_processes, hub, tmp_path, big)
    again, other, streamed = load_at(
        torch_processes, nowhere, tmp_path, big, small, big | {"streaming": True, "max_train_samples": 1}
    )
    assert [again] == fetched
    assert "available" in other.lower()
    assert "the Hub cannot be reached" in streamed


def test_a_stream_is_read_no_further_than_the_cap(monkeypatch):
    def rows():
        yield from ({"source": str(n)} for n in range(9))
        raise AssertionError("read on")

    stream = {"train": IterableDataset.from_generator(rows)}
    monkeypatch.setattr(named_sets, "_load_hub", lambda _: stream)
    sources = Sources(dataset_name=NAME, streaming=True, max_train_samples=3)
    assert load_splits(sources)["train"].to_list() == [{"source": "0"}, {"source": "1"}, {"source": "2"}]


def test_an_unreachable_hub_is_reported_immediately():
    start = time.monotonic()
    with pytest.raises(
        InputError, match=r"team/pairs: the Hub cannot be reached, .* give local files with --train-file"
    ):
        load_splits(Sources(dataset_name=NAME))
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("name", ["./nothing", "a/b/c"])
def test_a_path_is_not_looked_up_on_the_hub(name):
    with pytest.raises(InputError, match=f"{name}: no such folder, and not a valid name of a data set on the Hub"):
        load_splits(Sources(dataset_name=name))


def test_other_files_and_folders_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("a\n")
    with pytest.raises(InputError, match=r"a\.csv: is a file; use --train-file"):
        load_splits(Sources(dataset_name=str(tmp_path / "a.csv")))
    with pytest.raises(InputError, match="not a folder written by save_to_disk"):
        load_splits(Sources(dataset_name=str(tmp_path)))
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_splits(Sources(dataset_name=str(tmp_path)))
