"""`hf-seq2seq serve MODEL...`: answer requests over HTTP, and show a page to try the models."""

import os
import socket
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.folders import named_place
from hf_seq2seq.sections import build
from hf_seq2seq.serving.options import KEY, LOOPBACK, Network, ServeConfig

if TYPE_CHECKING:
    from hf_seq2seq.serving.served import Served

Models = Annotated[
    list[str],
    Argument(metavar="MODEL", help="Folder, or Hub id; NAME=MODEL gives it the name that requests use."),
]


def serve(models: Models, *, values: Values) -> None:
    """Serves models until it is stopped."""
    config = build(ServeConfig, values, origin="serve")
    places = named(models)
    key = check_key(config.network)
    check_extra()
    with listening(config.network) as listener:
        for path in places.values():
            check_place(path, config.loading.engine)
        loaded = {name: load_served(name, path, config) for name, path in places.items()}
        _run(loaded, config, key, listener)


def named(models: Sequence[str]) -> dict[str, str]:
    """The places of models by the names that requests use.

    Raises:
        InputError: two have the same name.
    """
    found: dict[str, str] = {}
    for given in models:
        name, path = named_place(given)
        if name is None:
            name = Path(path).expanduser().resolve().name if Path(path).expanduser().exists() else path
        if not name or not path:
            raise InputError(f"{shorten(given)!r}: give a model, or NAME=MODEL")
        if name in found:
            raise InputError(f"{given}: another model is already named {name!r}; give it a name: OTHER={path}")
        found[name] = path
    return found


def check_place(path: str, engine: str) -> None:
    """Rejects what an engine cannot load, before anything is.

    Raises:
        InputError: there is no model, or not one for this engine.
    """
    from hf_seq2seq.decoding.ctranslate2_loading import read_report
    from hf_seq2seq.saved.model_paths import local_copy

    if engine == "ctranslate2":
        read_report(Path(path).expanduser())
    else:
        local_copy(path)


def check_key(network: Network) -> str | None:
    """The key from the environment, without which only this machine may ask.

    Raises:
        InputError: the address can be reached from elsewhere, and there is no key.
    """
    key = os.environ.get(KEY) or None
    if key is None and network.host not in LOOPBACK:
        raise InputError(f"--host {network.host}: others could ask; set a key in {KEY}, or listen on 127.0.0.1")
    return key


def check_extra() -> None:
    """Rejects an installation without the packages of a server.

    Raises:
        InputError: a package is missing; says how to install it.
    """
    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise InputError(f"serve: {missing[0]} is not installed: pip install 'hf-seq2seq[serve]'")


def listening(network: Network) -> socket.socket:
    """A socket that is bound to the address.

    Raises:
        InputError: the port is in use, or the address is not this machine's.
    """
    try:
        kind, _, _, _, address = socket.getaddrinfo(network.host, network.port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(kind)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(1024)
    except PermissionError as error:
        raise InputError(f"--port {network.port}: {error.strerror}; ports below 1024 need privileges") from None
    except OSError as error:
        what = f"--port {network.port}" if "in use" in str(error).lower() else f"--host {network.host}"
        raise InputError(f"{what}: {error.strerror or error}; choose another") from None
    return found


def load_served(name: str, path: str, config: ServeConfig) -> "Served":
    """Loads a model under its name."""
    from hf_seq2seq.api.models import load
    from hf_seq2seq.serving.served import Served

    loading = config.loading
    model = load(path, trust_remote_code=loading.trust_remote_code, engine=loading.engine)
    return Served(name, model, config.limits)


def _run(models: "dict[str, Served]", config: ServeConfig, key: str | None, listener: socket.socket) -> None:
    import uvicorn

    from hf_seq2seq.serving.app import make_app
    from hf_seq2seq.serving.server import Server

    server = Server(models, config, key)
    patience = max(1, round(config.limits.shutdown_seconds))
    app = make_app(server)
    running = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=patience)
    )
    host, port = listener.getsockname()[:2]
    place = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    for name, served in models.items():
        print(f"{name}  {served.kind}", file=sys.stderr)
    print(f"{place}  (the page to try; {place}/docs describes the endpoints)", file=sys.stderr, flush=True)
    try:
        running.run(sockets=[listener])
    except (SystemExit, KeyboardInterrupt):  # by a signal, after all was answered
        if not running.should_exit:
            raise


COMMAND = FlagCommand(serve, ServeConfig)
build_command = COMMAND.build
