"""From flags to a search: families with their defaults, what trials are compared by, and the validation rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.api import recipe_files
from hf_seq2seq.api.configuration import resolve
from hf_seq2seq.data.evaluation_sets import kind_of, name_of, rows_of, sets_of
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import locked_folder
from hf_seq2seq.metrics import LABEL_METRICS, TEXT_METRICS, best_metric, check_metrics
from hf_seq2seq.sections import flatten
from hf_seq2seq.training.processes import rank
from hf_seq2seq.training.resuming import contents
from hf_seq2seq.training.state import LOG_FILE
from hf_seq2seq.tuning.decoding_settings import Validation, ValidationSet
from hf_seq2seq.tuning.domains import Domain
from hf_seq2seq.tuning.following import Goal
from hf_seq2seq.tuning.request import FOLDER
from hf_seq2seq.tuning.spaces import Family

if TYPE_CHECKING:
    from hf_seq2seq.task import Task


@dataclass(frozen=True)
class Looked:
    """A family as its defaults are, and the rows that it found.

    Attributes:
        family: with an empty space.
        config_class: of its recipe.
        goal: what the recipe compares checkpoints by, or would.
        validation: the rows of pairs; None for others, and where the goal is a loss.
        rows: the number of rows of every split besides those of the test, and a digest of them.
        test_share: number of test rows by that of validation rows.
    """

    family: Family
    config_class: type
    goal: Goal
    validation: Validation | None
    rows: dict[str, list[Any]]
    test_share: float = 0.0


def look(recipe: str, given: Mapping[str, Any], values: Mapping[str, Any]) -> Looked:
    """Prepares a run of a recipe as far as its rows and defaults go, and trains nothing.

    Args:
        recipe: its name or path.
        given: flags that all runs of the family have.
        values: flags that all runs of the search have.

    Raises:
        InputError: as the run would be refused, or there are no validation rows.
    """
    module = recipe_files.load(recipe)
    config: Any = resolve(module.Config, dict(values) | dict(given))
    if rank() is not None:
        raise InputError("a search starts its runs itself; start it without torchrun or accelerate launch")
    run = replace(config.run, overwrite_output_dir=True, resume_from_checkpoint=None)
    task = module.prepare(replace(config, run=run))
    if not sets_of(task.splits, "validation"):
        raise InputError(
            "no validation rows to choose by: give --validation-file, or --validation-split-percentage to hold some "
            "out (by default a tenth of 100 rows or more)"
        )
    family = Family(recipe, dict(given), flatten(task.config), {}, task.config.derived)
    tested, validated = (rows_of(task.splits, kind) for kind in ("test", "validation"))
    goal = _goal(task, values)
    rows = {split: found for split, found in contents(task).items() if kind_of(split) != "test"}
    found = (family, module.Config, goal, None if goal.is_loss else _validation(task), rows)
    return Looked(*found, test_share=tested / validated)


def _goal(task: "Task", values: Mapping[str, Any]) -> Goal:
    """The score that was asked for, or that the recipe chooses checkpoints by, or else its first metric.

    The loss is no goal by itself: that of other tokenizers or another smoothing means something else.
    """
    sets = {name_of(split): task.metrics_of(split) for split in sets_of(task.splits, "validation")}
    named = {name: own for name, own in sets.items() if name}
    chosen = task.config.schedule.metric_for_best_model.removeprefix("eval_")
    if chosen == "loss" and "metric_for_best_model" not in values:
        metrics = check_metrics(task.metrics, TEXT_METRICS | LABEL_METRICS)
        chosen = next((metric.keys[0] for metric in metrics.values()), chosen)
    return Goal(chosen, best_metric(chosen, task.metrics, named))


def _validation(task: "Task") -> Validation | None:
    found = [(split, task.splits[split]) for split in sets_of(task.splits, "validation")]
    sets = [
        ValidationSet(name_of(split), list(rows.histories or rows.texts), list(rows.references), task.metrics_of(split))
        for split, rows in found
        if rows.references is not None
    ]
    return Validation(tuple(sets)) if sets else None


def check_place(folder: Path, overwrite: bool) -> None:
    """Refuses an output folder that a run is writing to, or that holds a run which no search has made."""
    with locked_folder(folder):
        pass
    if overwrite or (folder / FOLDER).is_dir() or not folder.is_dir():
        return
    if any((folder / name).exists() for name in ("model.safetensors", "adapter_model.safetensors", LOG_FILE)):
        raise InputError(
            f"--output-dir: {folder} holds a run that is no search's; give --overwrite-output-dir or another folder"
        )


def spaces_of(looked: Sequence[Looked], spaces: Sequence[Mapping[str, Domain]]) -> tuple[Family, ...]:
    """The families with their spaces."""
    return tuple(replace(each.family, space=dict(space)) for each, space in zip(looked, spaces, strict=True))


def held_out(looked: Looked, space: Mapping[str, Domain]) -> dict[str, Any]:
    """The flags with which trials on different training rows have the same validation rows.

    Raises:
        InputError: they cannot, because what is held out is a share of rows that differ.
    """
    share = looked.family.base.get("validation_split_percentage")
    if not share:
        return {}
    if "deduplicate" in space:
        raise InputError("--search: --deduplicate: changes the rows that are held out; give --validation-file")
    return {"validation_split_percentage": share} if "max_train_samples" in space else {}
