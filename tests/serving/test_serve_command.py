"""`hf-seq2seq serve` as a process: what it refuses before loading, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from hf_seq2seq.cli import serve
from hf_seq2seq.errors import InputError
from hf_seq2seq.serving.options import KEY, Network


def test_names_of_models(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert serve.named([f"{tmp_path}/a/", "other=user/b", "user/c"]) == {
        "a": f"{tmp_path}/a/",
        "other": "user/b",
        "user/c": "user/c",
    }
    with pytest.raises(InputError, match=r"another model is already named 'a'; give it a name: OTHER="):
        serve.named([f"{tmp_path}/a", f"a={tmp_path}/b"])
    with pytest.raises(InputError, match="NAME=MODEL"):
        serve.named(["a="])


def test_places_are_those_of_the_engine(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "export_report.json").write_text('{"format": "ctranslate2", "is_encoder_decoder": true}')
    (tmp_path / "model.bin").touch()
    serve.check_place(str(tmp_path), "ctranslate2")
    serve.check_place(str(folders["rnn"]), "transformers")
    with pytest.raises(InputError, match="contains no CTranslate2 model"):
        serve.check_place(str(folders["rnn"]), "ctranslate2")
    with pytest.raises(InputError, match="contains an export to ctranslate2"):
        serve.check_place(str(tmp_path), "transformers")


def test_addresses_that_cannot_be_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port}: Address already in use; choose another"):
            serve.listening(Network(port=port))
    with pytest.raises(InputError, match=r"--host 203\.0\.113\.1"):
        serve.listening(Network(host="203.0.113.1", port=0))
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(InputError, match=rf"--host 0\.0\.0\.0: others could ask; set a key in {KEY}"):
        serve.check_key(Network(host="0.0.0.0"))
    monkeypatch.setenv(KEY, "secret")
    assert serve.check_key(Network(host="0.0.0.0")) == "secret"


@pytest.mark.usefixtures("forked")
def test_sigterm_finishes_what_was_taken(folders: dict[str, Path]) -> None:
    words = [sys.executable, "-m", "hf_seq2seq", "serve", str(folders["rnn"]), "--port", "0"]
    flags = ["--max-new-tokens-limit", "5000", "--request-seconds", "100"]
    with subprocess.Popen([*words, *flags], stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        place = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+:\d+", line)))
        answers: list[Any] = []
        slow = {"text": "the dog", "min_new_tokens": 200, "max_new_tokens": 200, "num_beams": 1}
        asking = threading.Thread(target=lambda: answers.append(httpx.post(f"{place}/generate", json=slow, timeout=90)))
        asking.start()
        while "hf_seq2seq_rows 1.0" not in httpx.get(f"{place}/metrics").text:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        asking.join()
        process.stderr.read()
        assert process.wait(30) == 0
    assert answers[0].status_code == 200
    assert len(answers[0].json()["results"][0]["outputs"][0]["text"].split()) > 50
