"""Classical baselines from Python; flags have the names that they have on the command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_seq2seq.api.flags import divided
from hf_seq2seq.data.given_rows import given
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation import baseline_runs
from hf_seq2seq.sections import build, build_from_lines, canonical_names
from hf_seq2seq.settings_files import Setting, read_settings


@dataclass(frozen=True)
class BaselineRun:
    """A trained and scored baseline.

    Attributes:
        folder: of its predictions and results, where one was asked for.
        results: as `all_results.json` has them: `predict_bleu`, `predict_bleu_low`, `eval_bleu` and so on.
        predictions: of every validation and test set by split: texts, or for labels objects with the label.
        predict: the trained baseline: takes sources and gives targets; of labels takes texts and second texts (or
            None) and gives logits; of raw text takes documents and gives log-probabilities and numbers of tokens.
    """

    folder: Path | None
    results: dict[str, float]
    predictions: dict[str, list[Any]]
    predict: Callable[..., Any]


def baseline(name: str, *, config: str | Path | None = None, **flags: Any) -> BaselineRun:
    """Trains a classical baseline and scores it, as `hf-seq2seq baseline` does.

    Args:
        name: such as "nearest" or "naive_bayes".
        config: a YAML file of flags, one that was written for a recipe too; those that are given as arguments win.
        **flags: the baseline's flags, without dashes: `train_file`, `test_file`, `metrics`. In place of a file stand
            also rows, as for `train`.

    Raises:
        InputError: as the command line refuses it, in the same words.
    """
    rows, values = divided(flags)
    with given(rows):
        settings = resolve_baseline(name, values, None if config is None else str(config))[0]
        outcome = baseline_runs.run(name, settings)
    folder = settings.output.output_dir
    return BaselineRun(None if folder is None else Path(folder), outcome.results, outcome.predictions, outcome.predict)


def resolve_baseline(name: str, flags: Mapping[str, Any], path: str | None = None) -> tuple[Any, list[str]]:
    """Builds a baseline's configuration from a YAML file, if one is given, and the flags, which win.

    Returns:
        The configuration, and those keys of a file for a recipe that are the recipe's alone.

    Raises:
        InputError: an unknown key, a bad value, or one option given by two names; with file and line, or the flag.
    """
    config_class = baseline_runs.config_class(baseline_runs.find(name))
    settings, skipped = _file_settings(path, config_class) if path else ({}, [])
    build_from_lines(config_class, settings, str(path))
    names = canonical_names(config_class)
    merged = {names[key.replace("-", "_")]: setting.value for key, setting in settings.items()} | dict(flags)
    return build(config_class, merged, origin="options"), skipped


def _file_settings(path: str, config_class: type) -> tuple[dict[str, Setting], list[str]]:
    """The settings of a file that a baseline has, and the keys that the file's recipe alone has."""
    settings = read_settings(path)
    recipe = settings.pop("recipe", None)
    settings.pop("baseline", None)
    if recipe is None:
        return settings, []
    from hf_seq2seq.api import recipe_files

    if str(recipe.value) not in recipe_files.names():
        raise InputError(
            f"{path}:{recipe.line}: recipe {recipe.value}: is a file of code, which a baseline does not run; "
            "take that line out, and the flags that a baseline lacks"
        )
    theirs = canonical_names(recipe_files.load(str(recipe.value)).Config)
    own = canonical_names(config_class)
    skipped = [key for key in settings if key.replace("-", "_") in theirs and key.replace("-", "_") not in own]
    skipped += [key for key in settings if key in ("output_dir", "output-dir")]  # which is the recipe's run's
    return {key: setting for key, setting in settings.items() if key not in skipped}, skipped


__all__ = ["BaselineRun", "InputError", "baseline", "resolve_baseline"]
