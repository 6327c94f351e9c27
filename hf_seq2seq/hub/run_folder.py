"""The folder of a run: whether it is finished, and which of its files to publish."""

import re
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.integrity import unreadable
from hf_seq2seq.saved.model_paths import ADAPTER_CONFIG

WEIGHTS = ("model.safetensors", "adapter_model.safetensors")
PREDICTIONS = ("generated_predictions*.txt", "predictions*.jsonl")
# What a run writes; anything else in its folder is not published.
MODEL = ("*.safetensors", "config.json", "generation_config.json", ADAPTER_CONFIG, "base_config.json")
TOKENIZER = (
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model"),
    *("chat_template.jinja", "target_tokenizer/*"),
)
REPORTS = ("README.md", "*_results.json", "run.yaml", "train_log.jsonl", "loss*.png", "confusion*.png", "LICENSE*")


def check_finished(folder: Path) -> None:
    """Rejects a folder that does not contain a finished run.

    Raises:
        InputError: names what is missing, and how to resume the run if it has a checkpoint; or what is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    wanted = {"weights": WEIGHTS, "run.yaml": ("run.yaml",), "results": ("all_results.json",), "a card": ("README.md",)}
    missing = [what for what, names in wanted.items() if not any((folder / name).is_file() for name in names)]
    if missing:
        checkpoints = any(folder.glob("checkpoint-*"))
        hint = "; resume with --resume-from-checkpoint last" if checkpoints else ""
        raise InputError(f"{folder}: contains no finished run: {', '.join(missing)} missing{hint}")
    if fault := unreadable(folder / name for name in files_for_others(folder, with_predictions=False)):
        raise InputError(f"{folder}: damaged, not published: {fault}")


def files_for_others(folder: Path, with_predictions: bool) -> list[str]:
    """Names of the files to publish, relative to the folder, sorted."""
    patterns = (*MODEL, *TOKENIZER, *REPORTS, *(PREDICTIONS if with_predictions else ()))
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()} | own_code(folder)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def check_links(folder: Path, with_predictions: bool) -> None:
    """Rejects a file to publish that is a link to somewhere else: the folder does not show what it would publish.

    Raises:
        InputError: names the link, and where it leads.
    """
    inside = folder.resolve()
    for name in files_for_others(folder, with_predictions):
        there = (folder / name).resolve()
        if not there.is_relative_to(inside):
            raise InputError(
                f"{folder / name}: links to {there}, outside the run; put a copy in its place to publish it"
            )


def own_code(folder: Path) -> set[Path]:
    """The Python files that a model needs: those named in its configuration, and the sibling modules they import."""
    maps = [read_json(folder / name).get("auto_map") for name in ("config.json", "base_config.json")]
    places = [str(place) for found in maps if isinstance(found, dict) for place in found.values()]
    names = {place.split("--")[-1].split(".")[0] for place in places}
    files: set[Path] = set()
    while names:
        path = folder / f"{names.pop()}.py"
        if path.is_file() and path not in files:
            files.add(path)
            names |= set(re.findall(r"^\s*from \.(\w+) import", path.read_text(encoding="utf-8"), re.MULTILINE))
    return files


def adapter_base(folder: Path) -> str | None:
    """The base model named in an adapter's folder: a Hub id or a path; None for a full model."""
    found = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    return None if found is None else str(found)


def read_json(path: Path) -> dict[str, Any]:
    """A file's values; empty if there is no such file or it has none."""
    try:
        found = strict_json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
