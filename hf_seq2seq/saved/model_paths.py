"""Locating a model: a folder, the cache, or the Hub; before anything is loaded."""

import os
import re
import socket
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hf_seq2seq.errors import InputError, nearest, shorten
from hf_seq2seq.folders import check_link
from hf_seq2seq.settings_files import read_json_object

WEIGHTS_FILE = "model.safetensors"
BASELINE_FILE = "baseline.yaml"
"""The flags of a baseline, in the folder of its predictions."""
ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
BASE_CONFIG = "base_config.json"
"""Configuration of the base model of an adapter in the same folder."""
REPORT_FILE = "export_report.json"
"""Metadata of an export, in its folder."""
STATE_FILE = "trainer_state.json"
"""What a checkpoint knows of its run."""
RESUME = "--resume-from-checkpoint last"
CONNECT_SECONDS = 5.0
BASELINE_USES = (
    "`hf-seq2seq evaluate --predictions FOLDER --references FILE` scores it, and `hf-seq2seq compare FOLDER OTHER` "
    "compares it"
)
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_ADAPTER_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "run.yaml"]
"""What is downloaded of an adapter: nothing that could run."""
_TOKENIZER_FILES = ("tokenizer*", "vocab*", "spiece*", "sentencepiece*", "*.model")


def find_model(name: str) -> dict[str, bool]:
    """Checks that `name` is a folder with a model, or could be a Hub id.

    Returns:
        Options of `from_pretrained` besides the name: `local_files_only` if the Hub must not or cannot be reached.

    Raises:
        InputError: the folder has no model (names the nearest that does), or it is neither a folder nor a Hub id.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        _check_folder(path)
        return {"local_files_only": True}
    if path.is_file():
        raise InputError(f"{name}: a file, not a model folder; give the folder that contains config.json")
    check_link(path)
    if not _HUB_NAME.fullmatch(name) or (path.parent != Path() and path.parent.is_dir()):
        raise InputError(f"{name}: no such folder{_nearest_folder(path)}")
    return {"local_files_only": not hub_answers()}


def config_place(path: str) -> str:
    """Where to read a model's configuration from: for an adapter, the file next to it or its base model."""
    folder = Path(path).expanduser()
    if (folder / "config.json").is_file() or not (folder / ADAPTER_CONFIG).is_file():
        return path
    if (folder / BASE_CONFIG).is_file():
        return str(folder / BASE_CONFIG)
    return _base_name(folder)


def _base_name(folder: Path) -> str:
    """The base model named in an adapter's folder: a Hub id or a path."""
    path = folder / ADAPTER_CONFIG
    base = read_json_object(path).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise InputError(f"{path}: base_model_name_or_path: {shorten(repr(base))} is not the name of a model")
    return base


@lru_cache
def adapter_copy(name: str, revision: str | None = None) -> str:
    """The folder of a downloaded adapter if a name is that of a repository with an adapter alone; otherwise the name.

    Libraries look for the adapter's base in its repository, and the configuration with it.
    """
    from huggingface_hub import file_exists, snapshot_download

    if Path(name).expanduser().exists() or not _HUB_NAME.fullmatch(name) or not hub_answers():
        return name
    try:
        has = partial(file_exists, name, revision=revision)
        if not has(filename=ADAPTER_CONFIG) or has(filename="config.json"):
            return name
        return snapshot_download(name, revision=revision, allow_patterns=_ADAPTER_FILES)
    except Exception:  # of several libraries; what loads the model explains it
        return name


def is_adapter(place: str) -> bool:
    """Whether a folder contains only an adapter, and no model."""
    folder = Path(place).expanduser()
    return (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").is_file()


def tokenizer_place(place: str) -> str:
    """Where a model's tokenizer is: for an adapter without one of its own, next to its base."""
    folder = Path(place).expanduser()
    return _base_name(folder) if is_adapter(place) and not _has_tokenizer(folder) else place


def _has_tokenizer(folder: Path) -> bool:
    return any(any(folder.glob(pattern)) for pattern in _TOKENIZER_FILES)


def local_copy(name: str) -> str:
    """The folder to load from: `name` itself, or an earlier download if the Hub cannot be reached.

    Returns:
        A folder, or a Hub id if the Hub responds; of an adapter on the Hub, the folder that it was downloaded to.

    Raises:
        InputError: as for `find_model`, or a Hub id was never downloaded and the Hub does not respond.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if not find_model(name)["local_files_only"] or Path(name).expanduser().is_dir():
        return str(Path(name).expanduser()) if name.startswith("~") else adapter_copy(name)
    try:
        return snapshot_download(name, local_files_only=True)
    except (LocalEntryNotFoundError, ValueError):
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the Hub does not respond"
        raise InputError(f"{name}: no such folder, and not among the downloaded models; {why}") from None


def _check_folder(path: Path) -> None:
    if (path / REPORT_FILE).is_file():
        _check_export(path, read_json_object(path / REPORT_FILE).get("format"))
    if not (path / "config.json").is_file() and not (path / ADAPTER_CONFIG).is_file():
        if (path / BASELINE_FILE).is_file():
            raise InputError(f"{path}: is a baseline, which keeps predictions and no model; {BASELINE_USES}")
        raise InputError(f"{path}: contains no model{_model_inside(path)}")
    if (path / ADAPTER_CONFIG).is_file():
        _check_base(path)
    if not _has_tokenizer(path) and not is_adapter(str(path)):
        raise InputError(f"{path}: contains a model, but no tokenizer")


def _model_inside(path: Path) -> str:
    """Names the best model in a folder, of an unfinished run as its last checkpoint knows it, or else the last one."""
    inner = [file.parent for file in path.glob("*/config.json")]
    named = sorted(inner, key=lambda folder: [int(n) for n in re.findall(r"\d+", folder.name)])
    if not named:
        return ": it has no config.json"
    state = named[-1] / STATE_FILE
    if not state.is_file() or not named[-1].name.startswith("checkpoint-"):
        return f"; did you mean '{named[-1]}'?"
    best = path / str(read_json_object(state).get("best_model_checkpoint"))
    meant = best if best in named else named[-1]
    return f"; did you mean '{meant}'? Its run has not ended; the same command with {RESUME} goes on"


def _check_base(path: Path) -> None:
    base = _base_name(path)
    folder = Path(base).expanduser()
    if folder.is_dir() and folder.samefile(path):
        raise InputError(f"{path}: contains an adapter that names itself as its base model")
    if folder.is_absolute() and not (folder / "config.json").is_file():
        raise InputError(
            f"{path}: contains an adapter, and its base model is not in {base};  "
            f"set base_model_name_or_path in {ADAPTER_CONFIG}"
        )
    if not folder.is_dir():
        try:
            local_copy(base)
        except InputError as error:
            raise InputError(f"{path}: contains an adapter without its base model: {error}") from None


def _check_export(path: Path, kind: Any) -> None:
    if kind in ("safetensors", "space"):
        return
    hint = "; `hf-seq2seq generate --engine ctranslate2` reads it" if kind == "ctranslate2" else ""
    raise InputError(f"{path}: contains an export to {kind}, not the model itself{hint}")


def _nearest_folder(path: Path) -> str:
    siblings = [str(folder) for folder in path.parent.iterdir() if folder.is_dir()] if path.parent.is_dir() else []
    hint = nearest(str(path), siblings)
    return hint if "did you mean" in hint else ""


def hub_answers() -> bool:
    """Whether the Hub can be reached: without a network, its library would retry for minutes."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY")):
        return True  # only the proxy knows
    endpoint = urlsplit(constants.ENDPOINT)
    port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    try:
        socket.create_connection((endpoint.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
