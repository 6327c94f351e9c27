"""The folder that a run leaves: whether it is finished, and which of its files are for others."""

import re
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.model_paths import ADAPTER_CONFIG
from hf_seq2seq.saved.wholeness import unreadable

WEIGHTS = ("model.safetensors", "adapter_model.safetensors")
PREDICTIONS = ("generated_predictions*.txt", "predictions*.jsonl")
# What a run writes; anything else that lies in its folder stays at home.
MODEL = ("*.safetensors", "config.json", "generation_config.json", ADAPTER_CONFIG, "base_config.json")
TOKENIZER = (
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model"),
    *("chat_template.jinja", "target_tokenizer/*"),
)
REPORTS = ("README.md", "*_results.json", "run.yaml", "train_log.jsonl", "loss*.png", "confusion*.png", "LICENSE*")


def check_finished(folder: Path) -> None:
    """Refuses a folder that does not hold a run that came to its end.

    Raises:
        InputError: names what is missing, and how the run goes on where it has a checkpoint; or what is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    wanted = {"weights": WEIGHTS, "run.yaml": ("run.yaml",), "results": ("all_results.json",), "a card": ("README.md",)}
    missing = [what for what, names in wanted.items() if not any((folder / name).is_file() for name in names)]
    if missing:
        checkpoints = any(folder.glob("checkpoint-*"))
        hint = "; train on with --resume-from-checkpoint last" if checkpoints else ""
        raise InputError(f"{folder}: holds no finished run: {', '.join(missing)} missing{hint}")
    if fault := unreadable(folder / name for name in files_for_others(folder, with_predictions=False)):
        raise InputError(f"{folder}: is damaged, and is not published: {fault}")


def files_for_others(folder: Path, with_predictions: bool) -> list[str]:
    """Names of the files that are published, relative to the folder, sorted."""
    patterns = (*MODEL, *TOKENIZER, *REPORTS, *(PREDICTIONS if with_predictions else ()))
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()} | own_code(folder)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def own_code(folder: Path) -> set[Path]:
    """The Python files that a model needs: those that its configuration names, and what they import beside them."""
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
    """What an adapter's folder says that it adapts: a Hub id or a path; None for a whole model."""
    found = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    return None if found is None else str(found)


def read_json(path: Path) -> dict[str, Any]:
    """A file's values; none where there is no such file, or no values in it."""
    try:
        found = strict_json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
