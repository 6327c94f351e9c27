"""Damage of checkpoint folders: files that are truncated, empty, missing, or of the wrong type."""

from pathlib import Path

from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.integrity import unreadable
from hf_seq2seq.saved.model_paths import ADAPTER_FILE, WEIGHTS_FILE
from hf_seq2seq.training.state import FILE, State

OPTIMIZER_FILE = "optimizer.safetensors"


def damage(folder: Path) -> str:
    """Says why a folder cannot be resumed from, such as "config.json is missing"; empty if it is intact.

    Sizes are compared with those recorded in the checkpoint; JSON and the headers of safetensors are parsed. Tensors
    are not, so this is as fast for a large model as for a small one.
    """
    if not folder.is_dir():
        return "not a folder"
    try:
        state = State.load(folder)
        return _misfit(folder, state.files) or unreadable(sorted(path for path in folder.rglob("*") if path.is_file()))
    except InputError as error:
        return str(error).removeprefix(f"{folder}/")
    except OSError as error:
        return f"{Path(error.filename or FILE).name}: {error.strerror}"


def file_sizes(folder: Path) -> dict[str, int]:
    """The size in bytes of every file in a folder, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _misfit(folder: Path, noted: dict[str, int]) -> str:
    """The first file that is missing or has the wrong size."""
    there = file_sizes(folder)
    for name, size in noted.items():
        if name not in there:
            return f"{name} is missing"
        if there[name] != size:
            return f"{name} has {there[name]:,} bytes, not the {size:,} that were written"
    if not there.keys() & {WEIGHTS_FILE, ADAPTER_FILE}:
        return f"{WEIGHTS_FILE} is missing"
    return "" if OPTIMIZER_FILE in there else f"{OPTIMIZER_FILE} is missing"
