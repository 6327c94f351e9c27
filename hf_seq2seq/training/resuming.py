"""Resuming a run: the checkpoint to resume from, and what must not change, or changes, since."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any

from hf_seq2seq.configs import Adaptation, Hub, OneTokenizer, Run, RunConfig
from hf_seq2seq.data.evaluation_sets import kind_of
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.files.digests import file_digest
from hf_seq2seq.data.mapped.texts import OneReference, add_texts
from hf_seq2seq.defaults.choosing import DERIVABLE
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import HandBuiltRun
from hf_seq2seq.saved.model_paths import ADAPTER_FILE, WEIGHTS_FILE
from hf_seq2seq.saved.run_settings import RUN_FILE, read_run
from hf_seq2seq.saved.weight_names import weight_shapes
from hf_seq2seq.sections import flag, flatten, options
from hf_seq2seq.task import Task
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.damage import damage
from hf_seq2seq.training.model_selection import Selection
from hf_seq2seq.training.output_folder import SCORES
from hf_seq2seq.training.state import LOG_FILE, State

FILE = "file "
"""What the name of a streamed file begins with, among those of splits."""
LAST = ("last", "true")
MODEL_SECTIONS = ("model", "alignment", "stack")
# Options of the model that may still change: its origin, and those only used in training.
FREE = (
    *("model_name_or_path", "model_revision", "trust_remote_code", "from_scratch", "tokenizer_name"),
    *("encoder", "decoder"),
    *("class_weights", "monotonic_noise", "coverage_loss_weight", "merge_adapter", "load_in_4bit"),
    *("max_source_length", "max_target_length", "block_size", "separator"),
)
FIXED = ("objective", "loss_type", "next_sentence_prediction", "optim")
# Options that do not affect what is learned.
UNTOLD = {item.name for section in (Hub, Run) for item in fields(section)} - {"seed"}
PLANNED = ("max_steps", "eval_steps")
"""What a limit of time settles, so that a checkpoint notes more than was given."""
UNTOLD |= {"save_total_limit", "per_device_eval_batch_size"}


def resume_point(run: Run, tell: Callable[[str], None] = lambda text: None) -> Path | None:
    """The checkpoint named by `--resume-from-checkpoint`; None without it, or if there is none yet.

    Args:
        run: the options.
        tell: called with messages about skipped checkpoints.

    Raises:
        InputError: as for `find_checkpoint`.
    """
    wanted = run.resume_from_checkpoint
    return None if wanted is None else find_checkpoint(Path(run.output_dir), wanted, tell)


def find_checkpoint(output_dir: Path, wanted: str, tell: Callable[[str], None] = lambda text: None) -> Path | None:
    """The checkpoint at that path or of that name in the folder; for 'last' the newest complete one, None without any.

    Raises:
        InputError: the named one is missing or damaged, or all are; names the newest complete one.
    """
    found, faults = _newest_complete(output_dir)
    if wanted.lower() in LAST:
        for fault in faults:
            tell(f"skipped: {fault}")
        if found is None and faults:
            raise InputError(
                f"--resume-from-checkpoint: no checkpoint is complete: {'; '.join(faults)}\n"
                "use --overwrite-output-dir instead to start from the first step"
            )
        if found is None and any((output_dir / name).exists() for name in (WEIGHTS_FILE, ADAPTER_FILE)):
            raise InputError(f"--resume-from-checkpoint: {output_dir} contains a finished model and no checkpoint")
        return found
    earlier = [*list_checkpoints(output_dir), output_dir / WEIGHTS_FILE, output_dir / ADAPTER_FILE]
    if Path(wanted).name == wanted and not Path(wanted).exists():
        wanted = str(output_dir / wanted)
    if Path(wanted).resolve().parent != output_dir.resolve() and any(path.exists() for path in earlier):
        raise InputError(
            f"--resume-from-checkpoint: {wanted} is of another folder than --output-dir {output_dir}, which contains "
            "a run of its own; resume in the checkpoint's folder, or in a new one"
        )
    if fault := damage(Path(wanted)):
        newest = f"the newest complete one is {found}" if found else f"{output_dir} contains no complete one"
        raise InputError(f"--resume-from-checkpoint: cannot resume from {wanted}: {fault}; {newest}")
    return Path(wanted)


def _newest_complete(output_dir: Path) -> tuple[Path | None, list[str]]:
    """The newest complete checkpoint, and the faults of later ones."""
    faults: list[str] = []
    for path in reversed(list_checkpoints(output_dir)):
        if not (fault := damage(path)):
            return path, faults
        faults.append(f"{path}: {fault}")
    return None, faults


def how_to_go_on(output_dir: Path, since: float) -> str:
    """Says how to resume a run that ended early; empty if it had not begun, saved nothing, or has its results.

    Args:
        output_dir: folder of the run.
        since: its start time, in seconds of the system's clock.
    """
    log = output_dir / LOG_FILE
    found, _ = _newest_complete(output_dir)
    if found is None or not log.exists() or log.stat().st_mtime < since or (output_dir / SCORES[0]).exists():
        return ""
    state = State.load(found)
    there = "the trained model" if state.finished else f"step {state.global_step} of {state.max_steps}"
    return f"ended early; {found} contains {there}: resume with the same command and --resume-from-checkpoint last"


def check_resume(config: RunConfig) -> None:
    """Rejects resuming with another model, vocabulary, objective or optimizer, or with no steps left.

    Raises:
        InputError: names the flags and their previous values; or the checkpoint, if it cannot be resumed from.
    """
    checkpoint = resume_point(config.run)
    if checkpoint is None:
        return
    sections = {name: section for name, (section, _) in options(type(config)).items()}
    fixed = [change for change in _changes(config, checkpoint) if _is_fixed(change, sections, config)]
    if fixed:
        detail = ", ".join(f"{flag(name)} {_shown(before)} (not {_shown(now)})" for name, before, now in fixed)
        raise InputError(
            f"{checkpoint}: was trained with {detail}\nuse the same options, or start in another --output-dir"
        )
    done, wanted = State.load(checkpoint).global_step, config.schedule.max_steps
    if wanted is not None and wanted < done:
        raise InputError(f"--max-steps: {wanted} is less than the {done} steps that {checkpoint} has done")


def _is_fixed(change: tuple[str, Any, Any], sections: Mapping[str, str], config: RunConfig) -> bool:
    """Whether a changed option changes the run's model, vocabulary or objective."""
    name, before, now = change
    if name == "config_overrides":
        return any("drop" not in pair for pair in {*before} ^ {*now})
    if name in FREE or "dropout" in name:
        return False
    section = sections[name]
    if section in MODEL_SECTIONS and _has_shape_of_start(config) and name not in (config.given or ()):
        return False
    return name in FIXED or section in MODEL_SECTIONS or isinstance(getattr(config, section), Adaptation | OneTokenizer)


def _has_shape_of_start(config: RunConfig) -> bool:
    """Whether the model's options that are not given are those of the model that the run starts from."""
    return isinstance(config, HandBuiltRun) and config.start.model_name_or_path is not None


def _changes(config: RunConfig, checkpoint: Path) -> list[tuple[str, Any, Any]]:
    """The options that differ from a checkpoint's: name, previous value, current value."""
    before, now = read_run(checkpoint / RUN_FILE), flatten(config)
    if config.given is not None:  # what is open yet will be chosen as it was
        open_still = DERIVABLE - config.given - {choice.name for choice in config.derived}
        now = {name: value for name, value in now.items() if name not in open_still}
    return [(name, before[name], value) for name, value in now.items() if name in before and before[name] != value]


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)


def describe_changes(config: RunConfig, checkpoint: Path, data: Mapping[str, list[Any]]) -> list[str]:
    """Descriptions of the changes of a resumed run: flags, and the rows of each split.

    Args:
        config: the recipe's.
        checkpoint: the checkpoint to resume from.
        data: the result of `contents`.
    """
    detail = [
        f"{flag(name)} {_shown(now)} (was {_shown(before)})"
        for name, before, now in _changes(config, checkpoint)
        if name not in UNTOLD and not (name in PLANNED and now is None and config.schedule.limits())
    ]
    earlier = State.load(checkpoint).data
    for split in earlier.keys() | data.keys() if earlier else ():
        (rows, digest), (rows_now, digest_now) = earlier.get(split, (0, "")), data.get(split, (0, ""))
        name, unit = split.removeprefix(FILE), "bytes" if split.startswith(FILE) else "rows"
        if rows != rows_now:
            detail.append(f"{name}: {rows_now:,} {unit} (were {rows:,})")
        elif digest != digest_now:
            detail.append(f"{name}: changed content in its {rows:,} {unit}")
    return detail


def reselect(
    selection: Selection, state: State, config: RunConfig, checkpoint: Path, data: Mapping[str, list[Any]]
) -> list[str]:
    """Takes over which checkpoint is the best so far, as far as its score may be compared; returns what to tell.

    Args:
        selection: of the resumed run.
        state: of the checkpoint, changed in place.
        config: the recipe's.
        checkpoint: the checkpoint to resume from.
        data: the result of `contents`.
    """
    changed = {name for name, *_ in _changes(config, checkpoint)}
    names = [name for name in data.keys() | state.data.keys() if state.data and kind_of(name) == "validation"]
    comparable = "eval_beams" not in changed and all(state.data.get(name) == data.get(name) for name in names)
    selection.resume(state, "metric_for_best_model" in changed, comparable)
    if state.log_history and not comparable:
        return ["earlier evaluations had other rows or beams: the best checkpoint is selected among those to come"]
    best = state.best_model_checkpoint
    if best is None or not (fault := damage(Path(config.run.output_dir) / best)):
        return []
    state.best_model_checkpoint = state.best_metric = None
    return [f"the best checkpoint so far is unusable and will be selected again: {best}: {fault}"]


def contents(task: Task) -> dict[str, list[Any]]:
    """The rows of every split, and a digest of their texts and labels; of a streamed file its bytes and a digest."""
    found = {name: [len(examples), _digest(examples)] for name, examples in task.splits.items()}
    return found | {f"{FILE}{file}": [*file_digest(file)] for file in task.training_rows.files if file.is_file()}


def _digest(examples: Examples) -> str:
    found = hashlib.blake2b(digest_size=8)
    references = examples.references or []
    add_texts(found, examples.texts)
    add_texts(found, references.texts if isinstance(references, OneReference) else chain.from_iterable(references))
    if examples.labels is not None and examples.source_labels is None:  # which are redrawn every epoch
        found.update(examples.labels.tobytes())
    return found.hexdigest()


def check_weights(model: Any, checkpoint: Path) -> None:
    """Rejects a checkpoint whose weights differ from a model's in names or shapes, or are missing.

    Raises:
        InputError: weights differ; names the first.
    """
    if not (checkpoint / WEIGHTS_FILE).is_file():
        return  # an adapter has its own weight names
    shapes = weight_shapes(model, checkpoint)
    tensors = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
    wanted = {name: tuple(getattr(tensor, "ds_shape", tensor.shape)) for name, tensor in tensors}
    for name, shape in shapes.items():
        if wanted.get(name) != shape:
            there = f"this model's {wanted[name]}" if name in wanted else "this model has none"
            raise InputError(f"{checkpoint}: contains another model: {name} has the shape {shape}, {there}")
    trained = [(name, tensor) for name, tensor in tensors if getattr(tensor, "requires_grad", False)]
    found = {id(tensor) for name, tensor in trained if name in shapes}  # tied weights are saved once
    if lost := [name for name, tensor in trained if id(tensor) not in found]:
        raise InputError(f"{checkpoint}: contains another model: it lacks {lost[0]}")
