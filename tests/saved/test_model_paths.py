"""Whether the Hub can be asked, told in a moment."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.model_paths import find_model, hub_answers, local_copy


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def port() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_a_hub_that_listens_can_be_asked(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    assert hub_answers()
    assert find_model("someone/model") == {"local_files_only": False}
    monkeypatch.setattr(huggingface_hub, "file_exists", lambda *_, **__: False)  # it is no adapter
    assert local_copy("someone/model") == "someone/model"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not hub_answers()


def test_a_hub_out_of_reach_is_given_up_at_once(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        closed = server.getsockname()[1]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed}")
    started = time.perf_counter()
    with pytest.raises(InputError, match=r"someone/model: no such folder, .*; the Hub does not respond"):
        local_copy("someone/model")
    assert time.perf_counter() - started < 5


def test_a_downloaded_model_is_used_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--someone--model"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text("{}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert local_copy("someone/model") == str(snapshot)
