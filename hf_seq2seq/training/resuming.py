"""Going on with a run: the checkpoint that is gone on from, and what the run may not change, or changes, since."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import safe_open

from hf_seq2seq.configs import Adaptation, Hub, OneTokenizer, Run, RunConfig
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.model_paths import ADAPTER_FILE, WEIGHTS_FILE
from hf_seq2seq.saved.run_settings import RUN_FILE, read_run
from hf_seq2seq.sections import flag, flatten, options
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.damage import damage
from hf_seq2seq.training.log import FILE as LOG_FILE
from hf_seq2seq.training.output_folder import SCORES
from hf_seq2seq.training.state import State

LAST = ("last", "true")
MODEL_SECTIONS = ("model", "alignment", "stack")
# What describes the model and can change all the same: where it came from, and what only training sees.
FREE = (
    *("model_name_or_path", "model_revision", "trust_remote_code", "from_scratch", "tokenizer_name"),
    *("class_weights", "monotonic_noise", "coverage_loss_weight", "merge_adapter", "load_in_4bit"),
    *("max_source_length", "max_target_length", "block_size", "separator"),
)
FIXED = ("objective", "loss_type", "next_sentence_prediction", "optim")
# What changes nothing of what is learned.
UNTOLD = {item.name for section in (Hub, Run) for item in fields(section)} - {"seed"}
UNTOLD |= {"save_total_limit", "per_device_eval_batch_size"}


def resume_point(run: Run, tell: Callable[[str], None] = lambda text: None) -> Path | None:
    """The checkpoint that `--resume-from-checkpoint` names; None without it, and where there is none yet.

    Args:
        run: the options.
        tell: is told which checkpoints are passed over, and why.

    Raises:
        InputError: as `find_checkpoint`.
    """
    wanted = run.resume_from_checkpoint
    return None if wanted is None else find_checkpoint(Path(run.output_dir), wanted, tell)


def find_checkpoint(output_dir: Path, wanted: str, tell: Callable[[str], None] = lambda text: None) -> Path | None:
    """The checkpoint of that name, or for 'last' the newest whole one; None for 'last' where no run has saved any.

    Raises:
        InputError: the one that is named is none or is damaged, or every one is; names the newest whole one.
    """
    found, faults = _newest_whole(output_dir)
    if wanted.lower() in LAST:
        for fault in faults:
            tell(f"passed over: {fault}")
        if found is None and faults:
            raise InputError(
                f"--resume-from-checkpoint: no checkpoint is whole: {'; '.join(faults)}\n"
                "--overwrite-output-dir in its place starts from the first step"
            )
        if found is None and any((output_dir / name).exists() for name in (WEIGHTS_FILE, ADAPTER_FILE)):
            raise InputError(f"--resume-from-checkpoint: {output_dir} holds a finished model and no checkpoint")
        return found
    if fault := damage(Path(wanted)):
        newest = f"the newest whole one is {found}" if found else f"{output_dir} holds no whole one"
        raise InputError(f"--resume-from-checkpoint: {wanted} is no checkpoint to go on from: {fault}; {newest}")
    return Path(wanted)


def _newest_whole(output_dir: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that is whole, and what is wrong with those after it."""
    faults: list[str] = []
    for path in reversed(list_checkpoints(output_dir)):
        if not (fault := damage(path)):
            return path, faults
        faults.append(f"{path}: {fault}")
    return None, faults


def how_to_go_on(output_dir: Path, since: float) -> str:
    """Says how a run that ended early is continued; nothing where it had not begun, saved nothing, or has its results.

    Args:
        output_dir: of the run.
        since: when it was started, in seconds of the system's clock.
    """
    log = output_dir / LOG_FILE
    found, _ = _newest_whole(output_dir)
    if found is None or not log.exists() or log.stat().st_mtime < since or (output_dir / SCORES[0]).exists():
        return ""
    state = State.load(found)
    there = "the trained model" if state.finished else f"step {state.global_step} of {state.max_steps}"
    return f"ended early; {found} holds {there}: go on by the same command with --resume-from-checkpoint last"


def check_resume(config: RunConfig) -> None:
    """Refuses to go on with another model, vocabulary, objective or optimizer than the checkpoint's, or to no end.

    Raises:
        InputError: names the flags and what they were; or the checkpoint, where none can be gone on from.
    """
    checkpoint = resume_point(config.run)
    if checkpoint is None:
        return
    sections = {name: section for name, (section, _) in options(type(config)).items()}
    fixed = [change for change in _changes(config, checkpoint) if _is_fixed(change, sections, config)]
    if fixed:
        told = ", ".join(f"{flag(name)} {_shown(before)} (not {_shown(now)})" for name, before, now in fixed)
        raise InputError(f"{checkpoint}: was trained with {told}\ngo on with that, or begin in another --output-dir")
    done, wanted = State.load(checkpoint).global_step, config.schedule.max_steps
    if wanted is not None and wanted < done:
        raise InputError(f"--max-steps: {wanted} is less than {checkpoint} has done, which is {done}")


def _is_fixed(change: tuple[str, Any, Any], sections: Mapping[str, str], config: RunConfig) -> bool:
    """Whether a changed option makes another model or vocabulary of the run, or another thing to learn."""
    name, before, now = change
    if name == "config_overrides":
        return any("drop" not in pair for pair in {*before} ^ {*now})
    if name in FREE or "dropout" in name:
        return False
    section = sections[name]
    return name in FIXED or section in MODEL_SECTIONS or isinstance(getattr(config, section), Adaptation | OneTokenizer)


def _changes(config: RunConfig, checkpoint: Path) -> list[tuple[str, Any, Any]]:
    """The options that a checkpoint was trained with otherwise: name, what it was, what it is."""
    before, now = read_run(checkpoint / RUN_FILE), flatten(config)
    return [(name, before[name], value) for name, value in now.items() if name in before and before[name] != value]


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)


def describe_changes(config: RunConfig, checkpoint: Path, data: Mapping[str, list[Any]]) -> list[str]:
    """What a run that goes on has otherwise than before, in words: flags, and the rows of each split.

    Args:
        config: the recipe's.
        checkpoint: that it goes on from.
        data: of `contents`.
    """
    told = [
        f"{flag(name)} {_shown(now)} (was {_shown(before)})"
        for name, before, now in _changes(config, checkpoint)
        if name not in UNTOLD
    ]
    earlier = State.load(checkpoint).data
    for split in earlier.keys() | data.keys() if earlier else ():
        (rows, digest), (rows_now, digest_now) = earlier.get(split, (0, "")), data.get(split, (0, ""))
        if rows != rows_now:
            told.append(f"{split}: {rows_now:,} rows (were {rows:,})")
        elif digest != digest_now:
            told.append(f"{split}: other content in its {rows:,} rows")
    return told


def contents(splits: Mapping[str, Examples]) -> dict[str, list[Any]]:
    """The rows of every split, and a digest of their texts and labels."""
    return {name: [len(examples), _digest(examples)] for name, examples in splits.items()}


def _digest(examples: Examples) -> str:
    found = hashlib.blake2b(digest_size=8)
    for row in (examples.texts, *(examples.references or ())):
        for text in row:
            found.update(text.encode("utf-8", "surrogatepass") + b"\0")
    if examples.labels is not None and examples.source_labels is None:  # which are drawn anew in every epoch
        found.update(examples.labels.tobytes())
    return found.hexdigest()


def check_weights(model: Any, checkpoint: Path) -> None:
    """Refuses a checkpoint whose weights are of other names or shapes than a model's, or that lacks some.

    Raises:
        InputError: names the first of them.
    """
    if not (checkpoint / WEIGHTS_FILE).is_file():
        return  # an adapter names its weights in its own way
    shapes = tensor_shapes(checkpoint / WEIGHTS_FILE)
    tensors = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
    wanted = {name: tuple(getattr(tensor, "ds_shape", tensor.shape)) for name, tensor in tensors}
    for name, shape in shapes.items():
        if wanted.get(name) != shape:
            there = f"this model's {wanted[name]}" if name in wanted else "this model has none"
            raise InputError(f"{checkpoint}: holds another model: {name} has the shape {shape}, {there}")
    trained = [(name, tensor) for name, tensor in tensors if getattr(tensor, "requires_grad", False)]
    found = {id(tensor) for name, tensor in trained if name in shapes}  # tied weights are saved once
    if lost := [name for name, tensor in trained if id(tensor) not in found]:
        raise InputError(f"{checkpoint}: holds another model: it lacks {lost[0]}")


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a file, by its name."""
    with safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
