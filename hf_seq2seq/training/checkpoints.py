"""Checkpoint folders: a folder that exists is whole."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import new_folder
from hf_seq2seq.training import state as run_state

NAME = re.compile(r"checkpoint-(\d+)")


def list_checkpoints(output_dir: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest first."""
    found = {int(m[1]): path for path in output_dir.glob("checkpoint-*") if (m := NAME.fullmatch(path.name))}
    return [found[step] for step in sorted(found)]


def find_checkpoint(output_dir: Path, wanted: str) -> Path:
    """The checkpoint that `--resume-from-checkpoint` names: a folder, or 'last'.

    Raises:
        InputError: there is none; names those that there are.
    """
    existing = list_checkpoints(output_dir)
    if wanted.lower() in ("last", "true"):
        if not existing:
            raise InputError(f"--resume-from-checkpoint: {output_dir} holds no checkpoint")
        return existing[-1]
    path = Path(wanted)
    if not (path / run_state.FILE).is_file():
        names = ", ".join(str(p) for p in existing) or "none"
        raise InputError(f"--resume-from-checkpoint: {wanted} is no checkpoint; in {output_dir}: {names}")
    return path


def save_checkpoint(output_dir: Path, state: run_state.State, write: Callable[[Path], None]) -> Path:
    """Saves `checkpoint-STEP`; `write` fills the folder beside the state file.

    Raises:
        InputError: it could not be written (no space left, no permission); what was there is as it was.
    """
    path = output_dir / f"checkpoint-{state.global_step}"
    try:
        with new_folder(path) as draft:
            write(draft)
            state.save(draft)
    except InputError as error:
        kept = ", ".join(p.name for p in list_checkpoints(output_dir)) or "none"
        raise InputError(f"{error}; checkpoints that are whole: {kept}") from error
    return path


def prune_checkpoints(output_dir: Path, limit: int | None, best: str | None) -> None:
    """Deletes the oldest checkpoints beyond `limit`; the best one is kept and not counted."""
    if limit is None:
        return
    others = [path for path in list_checkpoints(output_dir) if path.name != best]
    for path in others[:-limit]:
        shutil.rmtree(path)
