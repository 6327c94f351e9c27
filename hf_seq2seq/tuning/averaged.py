"""The mean of a run's last checkpoints in place of its best one, where it is better on the validation rows.

Paper: Vaswani et al., 2017, section 6.1, https://arxiv.org/abs/1706.03762
"""

import dataclasses
import os
import shutil
from pathlib import Path

from safetensors.torch import save_file

from hf_seq2seq.folders import new_folder, remove
from hf_seq2seq.saved.averaging import mean_weights
from hf_seq2seq.saved.model_paths import WEIGHTS_FILE
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.damage import file_sizes
from hf_seq2seq.training.state import FILE as STATE_FILE
from hf_seq2seq.training.state import State
from hf_seq2seq.tuning.chosen import Chosen, best_checkpoint
from hf_seq2seq.tuning.request import FOLDER, SearchRequest, tell

OF_MEAN = "averaged-"
"""Begins the name of the folder with the mean of a run."""
FEWEST = 3
"""Checkpoints of which a mean is tried."""


def averaged(chosen: Chosen, request: SearchRequest) -> Chosen:
    """The run with its mean weights as its best checkpoint, if they are better; else the run unchanged.

    Args:
        chosen: the run.
        request: has the validation rows, of pairs and where a metric compares their systems.
    """
    checkpoints = list_checkpoints(chosen.folder)
    whole = all((checkpoint / WEIGHTS_FILE).is_file() for checkpoint in checkpoints)
    if request.validation is None or len(checkpoints) < FEWEST or not whole:
        return chosen
    folder = request.output_dir / FOLDER / f"{OF_MEAN}{chosen.folder.name}"
    remove(folder)
    _write_mean(checkpoints, folder)
    before, after = (score_of(best_checkpoint(place), request) for place in (chosen.folder, folder))
    detail = (
        f"of {len(checkpoints)} checkpoints: validation {request.goal.metric} {after:.4g} (the best has {before:.4g})"
    )
    tell(f"average     {detail}")
    return dataclasses.replace(chosen, folder=folder, score=after) if request.goal.better(after, before) else chosen


def score_of(model: Path, request: SearchRequest) -> float:
    """The score of a checkpoint on the validation rows, with one beam."""
    from hf_seq2seq.api.models import load

    assert request.validation is not None
    return request.validation.score_of(load(model), request.goal, num_beams=1)


def _write_mean(checkpoints: list[Path], folder: Path) -> None:
    """Makes a run of one checkpoint, which is the newest with the mean weights."""
    newest = checkpoints[-1]
    state = State.load(newest)
    state.best_model_checkpoint = newest.name
    with new_folder(folder / newest.name) as draft:
        link_folder(newest, draft)
        for name in (WEIGHTS_FILE, STATE_FILE):
            remove(draft / name)  # which is a link to the newest checkpoint's own
        save_file(mean_weights(checkpoints), draft / WEIGHTS_FILE, metadata={"format": "pt"})
        state.files = file_sizes(draft)
        state.save(draft)


def link_folder(source: Path, target: Path) -> None:
    """Copies a folder by links to its files, which nothing changes; by copies where there are no links."""
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=_link_file)


def _link_file(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
