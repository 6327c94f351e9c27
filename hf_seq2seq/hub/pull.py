"""Downloads a model from the Hub to a folder that all commands can use."""

import re
import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path

from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import check_is_folder, fill_folder, is_free, locked_folder
from hf_seq2seq.hub.access import explained
from hf_seq2seq.hub.run_folder import adapter_base, read_json
from hf_seq2seq.saved.model_paths import ADAPTER_CONFIG
from hf_seq2seq.saved.pickles import is_left_there, is_pickle

CONVERTER = "https://huggingface.co/spaces/safetensors/convert"
CACHE = ".cache"
"""The folder in which the Hub's library keeps the state of a download."""


def pull(repository: str, folder: Path, revision: str | None = None) -> None:
    """Downloads a repository; the folder appears once complete.

    An interrupted download is resumed by the next one. Weights in other formats are skipped, and so are files that run
    code when read.

    Args:
        repository: its name on the Hub.
        folder: absent or empty.
        revision: a branch, tag or commit; by default main.

    Raises:
        InputError: the folder is not empty, the Hub refuses or does not respond, or the repository contains no model in
            safetensors format.
    """
    from huggingface_hub import HfApi, snapshot_download

    check_is_folder(folder, "FOLDER")
    if not is_free(folder):
        raise InputError(f"{folder}: already exists; give a new folder")
    draft = folder.with_name(f".{folder.name}.pull")
    if draft.exists() and not ((draft / CACHE).is_dir() or is_free(draft)):
        raise InputError(f"{draft}: blocks the download; remove it, or give another folder")
    with explained(repository):
        found = HfApi().model_info(repository, revision=revision)
    names = sorted(file.rfilename for file in found.siblings or ())
    check_names(repository, names)
    wanted = [name for name in names if not is_left_there(name)]
    with locked_folder(draft, "FOLDER"), fill_folder(folder) as place:
        with explained(repository):
            patterns = [_exactly(name) for name in wanted]
            snapshot_download(repository, revision=found.sha, local_dir=draft, allow_patterns=patterns)
        fetched = {name for name in wanted if not is_pickle(draft / name)}
        for name in fetched:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).replace(place / name)
        shutil.rmtree(draft)
    if left := [name for name in names if name not in fetched]:
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        print(f"skipped, as pickles or for other tools: {', '.join(left[:5])}{more}", file=sys.stderr)


def check_names(repository: str, names: list[str]) -> None:
    """Rejects a repository without a model in safetensors format.

    Raises:
        InputError: there is none; says how to convert weights that are a pickle.
    """
    configured = "config.json" in names or ADAPTER_CONFIG in names
    if configured and any(fnmatch(name, "*.safetensors") and "/" not in name for name in names):
        return
    pickles = [name for name in names if is_left_there(name)]
    if configured and pickles:
        raise InputError(
            f"{repository}: contains no model in safetensors format, but {pickles[0]}, which could run code when read; "
            f"{CONVERTER} converts it, and --revision refs/pr/N then names the result"
        )
    raise InputError(f"{repository}: contains no model in safetensors format with a config.json")


def _exactly(name: str) -> str:
    """A pattern that matches only this name."""
    return re.sub(r"([*?[])", r"[\1]", name)


def what_next(folder: Path) -> str:
    """One line: the contents of the folder, and the command to use it."""
    if base := adapter_base(folder):
        return f"{folder}: an adapter of {base}; `hf-seq2seq generate {folder}` loads both"
    named = read_json(folder / "config.json").get("architectures")
    name = ", ".join(each for each in named if isinstance(each, str)) if isinstance(named, list) else ""
    name = name or "a model"
    recipe = _recipe(folder, name)
    return f"{folder}: {name}; `hf-seq2seq train {recipe} --model-name-or-path {folder}` fine-tunes it"


def _recipe(folder: Path, architecture: str) -> str:
    """The recipe that trained a model, or one that can read its kind."""
    run = folder / "run.yaml"
    if run.is_file() and (named := re.search(r"^recipe: (\w+)$", run.read_text("utf-8", "replace"), re.MULTILINE)):
        return named[1]
    endings = {"ForSequenceClassification": "bert_classifier", "ForCausalLM": "gpt", "LMHeadModel": "gpt"}
    starts = {"T5": "t5", "MT5": "t5", "UMT5": "t5", "Bart": "bart", "MBart": "bart", "Pegasus": "pegasus"}
    whole = {f"{start}ForConditionalGeneration": recipe for start, recipe in starts.items()}
    others = dict.fromkeys(("ForConditionalGeneration", "MTModel", "EncoderDecoderModel"), "seq2seq")
    return next((r for end, r in (endings | whole | others).items() if architecture.endswith(end)), "RECIPE")
