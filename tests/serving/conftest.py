"""A server in a thread, asked over HTTP: a T5, an LSTM and a classifier with random weights."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from hf_seq2seq.api.models import load
from hf_seq2seq.cli.serve import listening
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.sections import build
from hf_seq2seq.serving.app import make_app
from hf_seq2seq.serving.options import ServeConfig
from hf_seq2seq.serving.served import Served
from hf_seq2seq.serving.server import Server
from tests.decoding.conftest import make_model, make_sized, saved_model, texts, tokenizers

__all__ = ["make_model", "make_sized", "saved_model", "texts", "tokenizers"]


@pytest.fixture(scope="session")
def folders(
    saved_model: Path,
    make_model: Callable[[str], Any],
    tokenizers: Tokenizers,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("served")
    make_model("rnn").save_pretrained(folder / "rnn")
    tokenizers.save(folder / "rnn")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    size = len(tokenizers.source)
    labels = {0: "good", 1: "bad"}
    BertForSequenceClassification(
        BertConfig(vocab_size=size, id2label=labels, pad_token_id=0, **shape)
    ).save_pretrained(folder / "labels")
    tokenizers.source.save_pretrained(folder / "labels")
    return {"t5": saved_model, "rnn": folder / "rnn", "labels": folder / "labels"}


@pytest.fixture(scope="session")
def models(folders: dict[str, Path]) -> dict[str, Any]:
    return {name: load(path) for name, path in folders.items()}


@contextmanager
def running(models: dict[str, Any], key: str | None = None, **flags: Any) -> Iterator[tuple[str, Server]]:
    """The address of a server, and the server."""
    config = build(ServeConfig, {"port": 0, "max_new_tokens_limit": 20_000} | flags)
    listener = listening(config.network)
    server = Server({name: Served(name, model, config.limits) for name, model in models.items()}, config, key)
    answering = uvicorn.Server(uvicorn.Config(make_app(server), log_config=None, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=answering.run, kwargs={"sockets": [listener]})
    thread.start()
    while not answering.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", server
    finally:
        answering.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def served(models: dict[str, Any]) -> Iterator[tuple[str, Server]]:
    with running(models, max_texts=8, max_body_kib=64) as found:
        yield found


@pytest.fixture(scope="session")
def client(served: tuple[str, Server]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served[0], timeout=60) as found:
        yield found
