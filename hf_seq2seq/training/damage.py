"""What is wrong with a checkpoint folder: files that are cut short, empty, gone, or not what they should be."""

from pathlib import Path

from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.model_paths import ADAPTER_FILE, WEIGHTS_FILE
from hf_seq2seq.saved.wholeness import unreadable
from hf_seq2seq.training.state import FILE, State

OPTIMIZER_FILE = "optimizer.safetensors"


def damage(folder: Path) -> str:
    """Says what keeps a run from going on from a folder, such as "config.json is missing"; nothing where it is whole.

    Sizes are compared with those that the checkpoint noted when it was written; JSON and the headers of safetensors
    are read. Tensors are not, so this takes no longer for a large model than for a small one.
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
    """The size in bytes of every file in a folder, by its path inside."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _misfit(folder: Path, noted: dict[str, int]) -> str:
    """The first file that is not as large as it was when it was written, or that a checkpoint must have."""
    there = file_sizes(folder)
    for name, size in noted.items():
        if name not in there:
            return f"{name} is missing"
        if there[name] != size:
            return f"{name} has {there[name]:,} bytes, not the {size:,} that were written"
    if not there.keys() & {WEIGHTS_FILE, ADAPTER_FILE}:
        return f"{WEIGHTS_FILE} is missing"
    return "" if OPTIMIZER_FILE in there else f"{OPTIMIZER_FILE} is missing"
