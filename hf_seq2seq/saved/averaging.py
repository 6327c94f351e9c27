"""Checkpoint averaging; only safetensors files are read and written.

Paper: Vaswani et al., 2017, section 6.1, https://arxiv.org/abs/1706.03762, which averages the last 5 or 20 checkpoints.
"""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hf_seq2seq.data.tokenizers.vocabulary import TARGET_FOLDER
from hf_seq2seq.drafts import failure_of_writing
from hf_seq2seq.errors import InputError, nearest, shorten
from hf_seq2seq.folders import check_folder, fill_folder
from hf_seq2seq.saved.model_paths import ADAPTER_CONFIG
from hf_seq2seq.settings_files import read_json_object

INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
OF_TRAINING = (
    "checkpoint-*",
    "optimizer*",
    "scheduler*",
    "random_states*",
    "trainer_state.json",
    "*.safetensors",
    INDEX,
)
"""Files of a checkpoint with training state or weights."""


def average_checkpoints(folders: Sequence[Path], target: Path) -> None:
    """Writes a folder with the averaged weights and the last checkpoint's other files.

    Args:
        folders: checkpoints of one architecture.
        target: appears once complete; if it exists, files are replaced after all are written.

    Raises:
        InputError: a folder has no weights in safetensors files, names or shapes of weights differ, or the target is
            not writable.
    """
    mean = mean_weights(folders)
    with fill_folder(target, stale=(TARGET_FOLDER,)) as draft:
        _copy(folders[-1], draft)
        save_file(mean, draft / WEIGHTS, metadata={"format": "pt"})


def _copy(folder: Path, draft: Path) -> None:
    """Copies a checkpoint's files other than training state and weights."""
    try:
        shutil.copytree(folder, draft, ignore=shutil.ignore_patterns(*OF_TRAINING), dirs_exist_ok=True)
    except shutil.Error as error:  # errors of all files at once, such as a pipe or a broken link
        if failure_of_writing(error):
            raise
        path, _, reason = error.args[0][0]
        place = shorten(str(Path(path).relative_to(folder)))
        raise InputError(f"{folder}: {place} cannot be copied: {reason.splitlines()[0][:200]}") from None


def check_target(folders: Sequence[Path], target: Path, overwrite: bool) -> None:
    """Rejects a target that is not empty or contains an input.

    Args:
        folders: the checkpoints to read.
        target: may be absent.
        overwrite: whether a model in it may be replaced, file by file; its other files are kept.

    Raises:
        InputError: names the folder.
    """
    for folder in folders:
        if not folder.is_dir():
            beside = [path.name for path in folder.parent.glob("*/")] if folder.parent.is_dir() else []
            raise InputError(f"{folder}: no such folder{nearest(folder.name, beside) if beside else ''}")
    check_folder(target, overwrite, read=folders)
    for name in (INDEX, ADAPTER_CONFIG):
        if (target / name).exists():
            raise InputError(f"--output-dir: {target} holds {name}, which hides other weights; name another folder")


def mean_weights(folders: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of every tensor, summed in float64; non-floating-point tensors come from the last checkpoint.

    Raises:
        InputError: as for `average_checkpoints`.
    """
    places = [weight_files(folder) for folder in folders]
    _check_vocabularies(folders)
    for folder, names in zip(folders[1:], places[1:], strict=True):
        different = sorted(set(names) ^ set(places[0]))
        if different:
            raise InputError(f"{folder}: different weights than {folders[0]}, such as {different[0]}")
    mean: dict[str, Tensor] = {}
    try:
        with ExitStack() as stack:
            files = {path: stack.enter_context(safe_open(path, "pt")) for names in places for path in names.values()}
            for name in places[0]:
                mean[name] = _mean([files[names[name]].get_tensor(name) for names in places], name, folders)
    except SafetensorError as error:
        raise InputError(f"{folders[0]}: weights that cannot be read: {error}") from None
    return mean


def _mean(tensors: Sequence[Tensor], name: str, folders: Sequence[Path]) -> Tensor:
    for folder, tensor in zip(folders, tensors, strict=True):
        if tensor.shape != tensors[0].shape:
            raise InputError(f"{folder}: {name} is {tuple(tensor.shape)}; in {folders[0]} {tuple(tensors[0].shape)}")
        if tensor.is_floating_point() and tensor.double().isnan().any():
            raise InputError(f"{folder}: {name} contains NaN, so the mean would, too")
    last = tensors[-1]
    if not last.is_floating_point():
        return last
    return torch.stack([tensor.double() for tensor in tensors]).mean(0).to(last.dtype)


def _check_vocabularies(folders: Sequence[Path]) -> None:
    """Rejects models with different vocabularies: averaging their embeddings is meaningless."""
    for name in (TOKENIZER, f"{TARGET_FOLDER}/{TOKENIZER}"):
        first, *others = [folder for folder in folders if (folder / name).is_file()] or folders[:1]
        for folder in others:
            if not _same_tokens(first / name, folder / name):
                raise InputError(
                    f"{folder / name}: different tokens than {first / name}; average checkpoints of one run"
                )


def _same_tokens(path: Path, other: Path) -> bool:
    return path.read_bytes() == other.read_bytes() or _vocabulary(path) == _vocabulary(other)


def _vocabulary(path: Path) -> dict[str, int]:
    from tokenizers import Tokenizer

    try:
        return dict(Tokenizer.from_file(str(path)).get_vocab())
    except Exception as error:  # tokenizers has no specific class for it
        raise InputError(f"{path}: cannot be read: {(str(error).splitlines() or [''])[0][:200]}") from None


def weight_files(folder: Path) -> dict[str, Path]:
    """The file that contains each tensor of a checkpoint.

    Raises:
        InputError: there are no weights in safetensors files.
    """
    found = _weight_files(folder)
    if not found:
        raise InputError(f"{folder}: its safetensors files contain no weights")
    return found


def _weight_files(folder: Path) -> dict[str, Path]:
    if (folder / INDEX).is_file():
        places = read_json_object(folder / INDEX).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
            raise InputError(f"{folder / INDEX}: weight_map does not name the file of each weight")
        missing = sorted(
            file for file in set(places.values()) if not (folder / file).is_file() or Path(file).name != file
        )
        if missing:
            raise InputError(f"{folder}: lacks {missing[0]}, which {INDEX} names")
        return {name: folder / file for name, file in places.items()}
    path = folder / WEIGHTS
    if not path.is_file():
        raise InputError(f"{folder}: contains no {WEIGHTS}")
    try:
        with safe_open(path, "pt") as file:
            return dict.fromkeys(file.keys(), path)
    except SafetensorError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
