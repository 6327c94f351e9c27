"""Checkpoint folders, which appear only once complete."""

import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import new_folder
from hf_seq2seq.training.damage import file_sizes
from hf_seq2seq.training.state import State

NAME = re.compile(r"checkpoint-(\d+)")


def list_checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoints of a run by name, oldest first, and anything else named like one."""
    found = {int(m[1]): path for path in output_dir.glob("checkpoint-*") if (m := NAME.fullmatch(path.name))}
    return [found[step] for step in sorted(found)]


def save_checkpoint(output_dir: Path, state: State, write: Callable[[Path], None]) -> Path:
    """Saves `checkpoint-STEP`; `write` writes everything but the state file.

    A file of that name, which is not a checkpoint, is renamed.

    Raises:
        InputError: it could not be written (no space left, no permission); existing files are unchanged.
    """
    path = output_dir / f"checkpoint-{state.global_step}"
    if path.is_file():
        path.rename(path.with_name(f"{path.name}.old"))
    try:
        with new_folder(path) as draft:
            write(draft)
            state.files = file_sizes(draft)
            state.save(draft)
    except InputError as error:
        kept = ", ".join(p.name for p in list_checkpoints(output_dir)) or "none"
        raise InputError(f"{error}; complete checkpoints: {kept}") from error
    return path


def prune_checkpoints(output_dir: Path, limit: int | None, best: str | None, needed: Collection[str] = ()) -> None:
    """Deletes the oldest checkpoints beyond `limit`; keeps the best one, which is not counted, and those needed."""
    if limit is None:
        return
    others = [path for path in list_checkpoints(output_dir) if path.name != best and path.is_dir()]
    for path in others[:-limit]:
        if path.name not in needed:
            shutil.rmtree(path)
