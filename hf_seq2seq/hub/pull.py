"""Brings a model from the Hub into a folder of its own, from which it generates, is evaluated and trains on."""

import re
import shutil
from pathlib import Path

from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.access import explained
from hf_seq2seq.hub.run_folder import ADAPTER_CONFIG, adapter_base, read_json

# Weights that are read by running what is inside, and those of other frameworks.
LEFT_THERE = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.gguf")


def pull(repository: str, folder: Path, revision: str | None = None) -> None:
    """Downloads a repository; the folder appears when everything is there.

    What a broken download left is used by the next one.

    Raises:
        InputError: the folder is there, the Hub refuses or does not answer, or the repository holds no model as
            safetensors.
    """
    from huggingface_hub import snapshot_download

    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder}: is there already; give a new folder")
    draft = folder.with_name(folder.name + ".partial")
    with explained(repository):
        snapshot_download(repository, revision=revision, local_dir=draft, ignore_patterns=list(LEFT_THERE))
    if not any(draft.glob("*.safetensors")) or not _config_files(draft):
        shutil.rmtree(draft)
        raise InputError(f"{repository}: holds no model as safetensors with a config.json")
    shutil.rmtree(draft / ".cache", ignore_errors=True)
    if folder.exists():
        folder.rmdir()
    draft.rename(folder)


def what_next(folder: Path) -> str:
    """One line: what the folder holds, and the command that trains on from it."""
    if base := adapter_base(folder):
        return f"{folder}: an adapter of {base}; `hf-seq2seq generate {folder}` loads both"
    name = ", ".join(read_json(folder / "config.json").get("architectures") or ()) or "a model"
    recipe = _recipe(folder, name)
    return f"{folder}: {name}; `hf-seq2seq train {recipe} --model-name-or-path {folder}` trains on from it"


def _recipe(folder: Path, architecture: str) -> str:
    """The recipe that made a model, or one that reads its kind."""
    run = folder / "run.yaml"
    if run.is_file() and (named := re.search(r"^recipe: (\w+)$", run.read_text(encoding="utf-8"), re.MULTILINE)):
        return named[1]
    endings = {"ForSequenceClassification": "bert_classifier", "ForCausalLM": "gpt", "LMHeadModel": "gpt"}
    starts = {"T5": "t5", "MT5": "t5", "UMT5": "t5", "Bart": "bart", "MBart": "bart", "Pegasus": "pegasus"}
    whole = {f"{start}ForConditionalGeneration": recipe for start, recipe in starts.items()}
    return next((r for end, r in (endings | whole).items() if architecture.endswith(end)), "RECIPE")


def _config_files(folder: Path) -> bool:
    return (folder / "config.json").is_file() or (folder / ADAPTER_CONFIG).is_file()
