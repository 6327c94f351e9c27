"""`auto`: tries families of models on the user's rows within a budget; and `train --search`, one recipe's settings."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq import configs
from hf_seq2seq.api import recipe_files
from hf_seq2seq.clocks import command_began
from hf_seq2seq.data.columns.conventions import MESSAGE_COLUMNS, messages_column
from hf_seq2seq.data.messages import OBJECTIVE, is_dialogue
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.push import check_publication
from hf_seq2seq.sections import build, flag, options
from hf_seq2seq.tuning.auto_config import TRIALS, AutoConfig, Data, SearchConfig
from hf_seq2seq.tuning.baseline_entries import baseline_entries
from hf_seq2seq.tuning.budget import Budget, budget_of
from hf_seq2seq.tuning.decoding_settings import USUAL
from hf_seq2seq.tuning.domains import parse_space
from hf_seq2seq.tuning.preparing import Looked, check_place, held_out, look, spaces_of
from hf_seq2seq.tuning.request import SearchRequest, tell
from hf_seq2seq.tuning.search import search
from hf_seq2seq.tuning.spaces import around_defaults, split_decoding

if TYPE_CHECKING:
    from datasets import Dataset

LABEL_RECIPES = ("bert_classifier",)
DIALOGUE_RECIPES = ("gpt", "transformer")
STARTS = 3
"""A search, its trials and its last run each start for about as long: all import the same and read the same rows."""
OWN_MODELS = ("rnn", "transformer")
"""Recipes of hand-built models, whose checkpoints no other recipe reads."""
OF_THE_SEARCH = (
    "recipes", "max_time", "max_cpu_time", "max_trials", "ensemble", "overwrite_output_dir", "resume_from_checkpoint"
)  # fmt: skip
"""Flags that say how the search goes, and nothing of its runs."""


def auto(call: str = "", **flags: Any) -> dict[str, Any]:
    """Finds and trains a good model for the rows of some files, as `hf-seq2seq auto` does.

    Args:
        call: the command that repeats it, for the card.
        **flags: of `auto`: `train_file`, `max_time`, `recipes`, `output_dir`.

    Returns:
        The chosen run's name, recipe, settings and scores.

    Raises:
        InputError: as the command line refuses it.
    """
    began = command_began()
    config = build(AutoConfig, flags, origin="auto")
    values = {name: value for name, value in flags.items() if name not in OF_THE_SEARCH}
    rows = _training_rows(config.data)
    if "objective" not in values and _are_conversations(config.data, rows):
        values["objective"] = OBJECTIVE
    dialogue = is_dialogue(values)
    recipes = config.search.recipes or _fitting(config.data, rows, dialogue)
    budget = budget_of(config.search.ensemble, max_time=config.search.max_time, max_cpu_time=config.search.max_cpu_time)
    _check_recipes(recipes, dialogue)
    check_place(Path(config.run.output_dir), config.run.overwrite_output_dir)
    if config.hub.push_to_hub:
        check_publication(config.hub)
    for_labels = _for_labels(recipes)
    values = _as_labels(values) if for_labels else values
    looked = _look_at_all(recipes, values, budget, began)
    _check_scored(looked[0], (), config.search.ensemble)
    spaces = [around_defaults(each.config_class, each.family.base) for each in looked]
    goal = looked[0].goal
    request = SearchRequest(
        families=spaces_of(looked, spaces),
        values=_compared_by(goal.metric, looked, values),
        output_dir=Path(config.run.output_dir),
        goal=goal,
        validation=looked[0].validation,
        decoding={} if for_labels else dict(USUAL),
        budget=budget,
        most=config.search.max_trials,
        ensemble=config.search.ensemble or 0,
        seed=config.run.seed,
        overwrite=config.run.overwrite_output_dir,
        call=call,
        baselines=partial(baseline_entries, looked[0].family.base, goal, for_labels),
        began=began,
        test_share=looked[0].test_share,
        rows=looked[0].rows,
        prefers_defaults=True,
    )
    return search(request)


def search_recipe(
    recipe: str,
    text: str,
    values: Mapping[str, Any],
    max_trials: int | None = None,
    call: str = "",
    ensemble: int | None = None,
) -> dict[str, Any]:
    """Searches a recipe's settings, as `hf-seq2seq train RECIPE --search TEXT` does.

    Args:
        recipe: its name or path.
        text: the space: `learning_rate=1e-4..1e-2:log,dropout=0.1,0.2`.
        values: the recipe's flags; `max_time` is the search's.
        max_trials: at most; all of a smaller space without ranges.
        call: the command that repeats it, for the card.
        ensemble: models of an ensemble; None for none.

    Raises:
        InputError: as the command line refuses it.
    """
    began = command_began()
    build(SearchConfig, {"search": text, "max_trials": max_trials, "ensemble": ensemble}, origin="search")
    module = recipe_files.load(recipe)
    space, decoding = split_decoding(parse_space(text, module.Config))
    run = configs.Run(**{k: v for k, v in values.items() if k in options(module.Config) and _is_of_run(module, k)})
    if both := sorted((space | decoding).keys() & values.keys()):
        raise InputError(f"--search: {flag(both[0])} is given beside it, too; leave one of them out")
    limits = {name: values.get(name) for name in ("max_time", "max_cpu_time")}
    budget = budget_of(ensemble, **{name: None if text is None else str(text) for name, text in limits.items()})
    check_place(Path(run.output_dir), run.overwrite_output_dir)
    common = {name: value for name, value in values.items() if name not in OF_THE_SEARCH}
    looked = look(recipe, {}, common)
    _check_scored(looked, decoding, ensemble)
    _check_start(budget, began)
    request = SearchRequest(
        families=spaces_of([looked], [space]),
        values=_compared_by(looked.goal.metric, [looked], common) | held_out(looked, space),
        output_dir=Path(run.output_dir),
        goal=looked.goal,
        validation=looked.validation,
        decoding=decoding,
        budget=budget,
        most=max_trials or TRIALS,
        ensemble=ensemble or 0,
        seed=run.seed,
        overwrite=run.overwrite_output_dir,
        call=call,
        began=began,
        test_share=looked.test_share,
        rows=looked.rows,
    )
    return search(request)


def _is_of_run(module: Any, name: str) -> bool:
    return options(module.Config)[name][0] == "run"


def _look_at_all(
    recipes: Sequence[str], values: Mapping[str, Any], budget: Budget | None, began: tuple[float, float]
) -> list[Looked]:
    """All families; a budget that is used up by that is refused as soon as it is known."""
    looked: list[Looked] = []
    used = {name for recipe in recipes for name in _flags_of(recipe, values)}
    if unused := next((name for name in values if name not in used), None):
        raise InputError(f"{flag(unused)}: not used by {' or '.join(recipes)}; leave it out, or give other --recipes")
    for recipe in recipes:
        with silenced(logging.WARNING if looked else logging.NOTSET):  # the rows have the same remarks for each
            looked.append(_look(recipe, values))
        _check_start(budget, began)
    return looked


def _check_start(budget: Budget | None, began: tuple[float, float]) -> None:
    """Refuses a budget in which nothing can be tried, as the start shows: a trial has one, too, and so has the end."""
    if budget is not None and STARTS * (used := budget.since(began)) > budget.total:
        raise budget.refusal(used, used)


def _check_scored(looked: Looked, decoding: Iterable[str], ensemble: int | None) -> None:
    """Refuses what only a score of output texts can choose where trials are compared by another.

    Raises:
        InputError: names the flag.
    """
    asked = [f"--search: {flag(name)}" for name in decoding] + ["--ensemble"] * bool(ensemble)
    if not asked or looked.validation is not None:
        return
    if looked.goal.is_loss:
        raise InputError(
            f"{asked[0]}: is chosen by a score of outputs, and {looked.goal.metric} is none; "
            "give another --metric-for-best-model"
        )
    raise InputError(f"{asked[0]}: is for models that write texts; these predict labels")


def _look(recipe: str, values: Mapping[str, Any]) -> Looked:
    """A family, with the flags that it has; of a pretrained model only where it can start from one."""
    own = _flags_of(recipe, values)
    fresh = "from_scratch" in options(recipe_files.load(recipe).Config) and "model_name_or_path" not in own
    return look(recipe, {"from_scratch": True} if fresh else {}, own)


def _flags_of(recipe: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that a recipe has; hand-built models start from no checkpoint."""
    known = options(recipe_files.load(recipe).Config)
    none = ("model_name_or_path",) if recipe in OWN_MODELS else ()
    return {name: value for name, value in values.items() if name in known and name not in none}


def _compared_by(metric: str, looked: Sequence[Looked], values: Mapping[str, Any]) -> dict[str, Any]:
    """The flags with the score and the metrics that all trials have."""
    metrics = looked[0].family.base["metrics"]
    return dict(values) | {"metric_for_best_model": metric, "metrics": metrics}


def _training_rows(data: Data) -> "Dataset | None":
    """The training rows as they are read, before columns are chosen; None without any."""
    from hf_seq2seq.data.labelled_lines import LabelledLines
    from hf_seq2seq.data.sources import load_splits

    only = dataclasses.replace(data, validation_file=None, test_file=None, validation_split_percentage=None)
    with silenced(logging.WARNING):
        splits = load_splits(only, LabelledLines())
    return splits.get("train")


def _are_conversations(data: Data, rows: "Dataset | None") -> bool:
    """Whether the rows have messages and no pairs, and no flag names a column of texts."""
    from hf_seq2seq.data.cells import row_sample
    from hf_seq2seq.data.columns.conventions import PAIRS

    named = {data.source_column, data.target_column, data.label_column} - {None, *MESSAGE_COLUMNS}
    if rows is None or named or any({source, target} <= set(rows.column_names) for source, target in PAIRS):
        return False
    return messages_column(row_sample(rows)) is not None


def _fitting(data: Data, rows: "Dataset | None", dialogue: bool = False) -> tuple[str, ...]:
    """The recipes for the rows: labels where a column is called so, or each line begins with a label."""
    from hf_seq2seq.data.columns.conventions import PAIRS, TEXTS, is_label_name

    if dialogue:
        tell("the rows are read as conversations, whose replies are learned")
        return DIALOGUE_RECIPES
    if data.label_column is not None:
        return LABEL_RECIPES
    named = data.target_column is not None or data.source_column is not None
    names = set() if named or rows is None else {name.strip().lower() for name in rows.column_names}
    paired = {t for s, t in PAIRS if {s, t} <= names and s not in TEXTS}  # `target` beside `source`, not beside `text`
    labels = any(map(is_label_name, names - paired))
    recipes, kind, other = (
        (LABEL_RECIPES, "labels", "rnn,transformer") if labels else (OWN_MODELS, "pairs", "bert_classifier")
    )
    tell(f"the rows are read as {kind}; --recipes {other} reads them as {'pairs' if labels else 'labels'}")
    if unread := names.intersection(MESSAGE_COLUMNS):
        tell(f"column {min(unread)!r} is not read; --objective {OBJECTIVE} learns its replies")
    return recipes


@contextmanager
def silenced(level: int) -> Iterator[None]:
    """Keeps log messages of a level and below to itself."""
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _check_recipes(recipes: Sequence[str], dialogue: bool) -> None:
    for recipe in recipes:
        recipe_files.find(recipe)
    labels = [recipe for recipe in recipes if recipe in LABEL_RECIPES]
    if labels and dialogue:
        raise InputError(f"--recipes: {labels[0]} learns labels, and the rows are conversations")
    if labels and len(labels) < len(recipes):
        other = next(recipe for recipe in recipes if recipe not in LABEL_RECIPES)
        raise InputError(f"--recipes: {labels[0]} learns labels, {other} texts; search one kind at a time")
    if twice := next((recipe for recipe in recipes if recipes.count(recipe) > 1), None):
        raise InputError(f"--recipes: {twice} is named twice")


def _for_labels(recipes: Sequence[str]) -> bool:
    return any(recipe in LABEL_RECIPES for recipe in recipes)


def _as_labels(values: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of columns by the names that they have for labels."""
    renamed = {"source_column": "text_column"}
    return {renamed.get(name, name): value for name, value in values.items()}
