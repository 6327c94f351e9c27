"""Many runs from Python: `auto`, `search`, `ablate` and `learning_curve`; flags are named as on the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq import strict_json
from hf_seq2seq.api.flags import canonical_values, divided
from hf_seq2seq.api.runs import TrainingRun
from hf_seq2seq.configs import Run
from hf_seq2seq.data.given_rows import name_of_given
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import build
from hf_seq2seq.tuning.ablation_config import AblateConfig
from hf_seq2seq.tuning.grid import shown_value
from hf_seq2seq.tuning.leaderboard import DATA
from hf_seq2seq.tuning.learning_curve_config import LearningCurve, LearningCurveConfig
from hf_seq2seq.tuning.request import FOLDER

if TYPE_CHECKING:
    from hf_seq2seq.reports.comparing import Comparison


@dataclass(frozen=True)
class SearchedRun(TrainingRun):
    """The run that a search has chosen and trained; `folder`, `results` and `model` are as those of `train`.

    Attributes:
        chosen: `run`, `recipe`, `settings` and `scores` of the chosen system.
    """

    chosen: dict[str, Any]

    @cached_property
    def leaderboard(self) -> list[dict[str, Any]]:
        """Every trial and baseline, best first: `name`, `kind`, `settings`, `state`, `score`, `seconds`, `reason`."""
        found: list[dict[str, Any]] = strict_json.loads((self.folder / FOLDER / DATA).read_bytes())["systems"]
        return found


def auto(**flags: Any) -> SearchedRun:
    """Finds and trains a good model for the rows of some files, like `hf-seq2seq auto`.

    Args:
        **flags: of `auto`, without dashes: `train_file`, `max_time`, `recipes`, `output_dir`.

    Raises:
        InputError: as on the command line, with the same message, or for rows that are no file.
        KeyboardInterrupt: Ctrl-C; the same call resumes.
    """
    from hf_seq2seq.tuning.auto import auto as search_families

    values = _of_files(flags)
    return _searched(search_families(_call("auto", "", values), **values), values)


def search(
    recipe: str, space: str, *, max_trials: int | None = None, ensemble: int | None = None, **flags: Any
) -> SearchedRun:
    """Searches a recipe's settings, like `hf-seq2seq train RECIPE --search SPACE`.

    Args:
        recipe: a name such as "rnn", or the path of a custom recipe, ending in .py.
        space: what is tried: "learning_rate=1e-4..1e-2:log,dropout=0.1,0.2".
        max_trials: at most; all of a smaller space without ranges.
        ensemble: models of an ensemble beside the single best; None for none.
        **flags: the recipe's, as for `train`; `max_time` is the time of the whole search.

    Raises:
        InputError: as for `auto`.
        KeyboardInterrupt: Ctrl-C; the same call resumes.
    """
    from hf_seq2seq.tuning.auto import search_recipe

    values = _of_files(flags)
    call = _call("search", f"{recipe!r}, {space!r}, ", values)
    return _searched(search_recipe(recipe, space, values, max_trials, call, ensemble), values)


def ablate(config: str | Path, vary: Mapping[str, Sequence[Any]], **flags: Any) -> "Comparison":
    """Trains a grid of settings and compares them, like `hf-seq2seq ablate`.

    Args:
        config: YAML file of the base: its recipe and the flags of all runs.
        vary: the values of each flag that varies; those of the search vary without training.
        **flags: of `ablate`: `seeds`, `output_dir`, `num_processes`, `metrics`.

    Returns:
        As `compare`; `figures["parts"]` says what each value is worth if more than one flag varies.

    Raises:
        InputError: as on the command line, with the same message.
        KeyboardInterrupt: Ctrl-C; the same call resumes.
    """
    from hf_seq2seq.tuning.ablation import ablate as train_grid

    texts = (f"{name}={','.join(map(shown_value, values))}" for name, values in vary.items())
    return train_grid(str(config), canonical_values(AblateConfig, flags) | {"vary": ",".join(texts)})


@dataclass(frozen=True)
class LearningCurveRuns:
    """A finished learning curve.

    Attributes:
        folder: of the runs, with `learning_curve.json` and a picture.
        figures: as in `learning_curve.json`: `sizes`, `law`, `gain`, `twice_the_rows` and `held_out`.
        lines: the same as text.
    """

    folder: Path
    figures: dict[str, Any]
    lines: list[str]

    @property
    def picture(self) -> Path:
        """Scores by rows, and the law."""
        return self.folder / "learning_curve.png"


def learning_curve(recipe: str, **flags: Any) -> LearningCurveRuns:
    """Trains on growing parts of the rows and says what more would bring, like `hf-seq2seq learning-curve RECIPE`.

    Args:
        recipe: a name such as "rnn", or the path of a custom recipe, ending in .py.
        **flags: the recipe's, as for `train`; and `sizes`, `gain` and `curve_confidence`.

    Raises:
        InputError: as on the command line, with the same message, or for rows that are no file.
        KeyboardInterrupt: Ctrl-C; the same call resumes.
    """
    from hf_seq2seq.api import recipe_files
    from hf_seq2seq.api.configuration import resolve
    from hf_seq2seq.tuning.learning_curve import learning_curve as train_sizes
    from hf_seq2seq.tuning.learning_curve import lines

    own = {name: flags[name] for name in LearningCurve.__dataclass_fields__ if name in flags}
    asked = build(LearningCurveConfig, own, origin="learning_curve").curve
    config = recipe_files.load(recipe).Config
    values = canonical_values(config, _of_files({name: value for name, value in flags.items() if name not in own}))
    run = resolve(config, values).run
    folder = Path(run.output_dir)
    found = train_sizes(recipe, values, folder, run.overwrite_output_dir, asked)
    return LearningCurveRuns(folder, found, lines(found))


def _of_files(flags: Mapping[str, Any]) -> dict[str, Any]:
    rows, values = divided(flags)
    if rows:
        name = next(iter(rows)).removeprefix(name_of_given(""))
        raise InputError(f"{name}: rows in this process's memory; the trials run in others and need a file")
    return values


def _call(name: str, first: str, values: Mapping[str, Any]) -> str:
    words = ", ".join(f"{key}={value!r}" for key, value in values.items())
    return f"from hf_seq2seq import {name}\n\n{name}({first}{words})"


def _searched(chosen: dict[str, Any], values: Mapping[str, Any]) -> SearchedRun:
    folder = Path(str(values.get("output_dir", Run().output_dir)))
    results = strict_json.loads((folder / "all_results.json").read_bytes())
    return SearchedRun(folder, results, chosen)
