"""The servers of the serving benchmark, one in each process: `python benchmarks/serving_servers.py MODEL KIND PORT`.

continuous    `hf-seq2seq serve`.
waiting       the same engine, which takes new texts only when none is being decoded.
ctranslate2   an exported model behind FastAPI, as CTranslate2's documentation does it: threads call one `Translator`.
transformers  `generate` behind FastAPI, a text at a time, because nothing in transformers batches what arrives.
"""

import socket
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn


def serve(model: str, kind: str, port: int) -> None:
    """Serves a model until the process is ended; prints the port."""
    import torch

    torch.set_num_threads(1)
    made = {"ctranslate2": ctranslate2_app, "transformers": transformers_app}
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    app = made[kind](model) if kind in made else own_app(model, kind)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])


def own_app(model: str, kind: str) -> Any:
    """This project's server."""
    from hf_seq2seq.api.models import load
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

    config = build(ServeConfig, {"max_body_kib": 256})
    server = Server({"model": Served("model", load(model), config.limits)}, config)
    if kind == "waiting":
        server.engine.stop()
        server.engine = WaitAndBatch(config.limits.max_batch_tokens)
    return make_app(server)


def ctranslate2_app(folder: str) -> Any:
    """A `Translator`, which threads of FastAPI call."""
    import ctranslate2

    translator = ctranslate2.Translator(folder, device="cpu", inter_threads=1, intra_threads=1)
    source, target = tokenizers_of(folder)

    def write(text: str, beams: int) -> str:
        tokens = source.convert_ids_to_tokens(source(text).input_ids)
        (found,) = translator.translate_batch([tokens], beam_size=beams, max_decoding_length=128)
        ids = target.convert_tokens_to_ids(found.hypotheses[0])
        return str(target.decode(ids, skip_special_tokens=True))

    return app_of(write)


def transformers_app(folder: str) -> Any:
    """A model of transformers, which computes one text at a time."""
    import torch
    from transformers import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True).eval()
    (source, target), lock = tokenizers_of(folder), threading.Lock()

    def write(text: str, beams: int) -> str:
        with lock, torch.inference_mode():
            found = model.generate(**source(text, return_tensors="pt"), num_beams=beams, max_new_tokens=128)
        return str(target.decode(found[0], skip_special_tokens=True))

    return app_of(write)


def tokenizers_of(folder: str) -> tuple[Any, Any]:
    """The tokenizers of sources and of targets."""
    from transformers import AutoTokenizer

    other = Path(folder) / "target_tokenizer"
    source = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    source.model_input_names = ["input_ids", "attention_mask"]
    return source, AutoTokenizer.from_pretrained(other, trust_remote_code=True) if other.is_dir() else source


def app_of(write: Any) -> Any:
    """An application that answers as this project's does, in FastAPI's pool of threads."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/generate")
    def generate(fields: dict[str, Any]) -> dict[str, Any]:
        return {"results": [{"outputs": [{"text": write(fields["text"], fields["num_beams"])}]}]}

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
