"""A user-defined metric: a local `evaluate` script that compares texts."""

from collections.abc import Sequence
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Metric, TextRows, check_rows

if TYPE_CHECKING:
    from evaluate import EvaluationModule


def is_script(name: str) -> bool:
    """Whether a metric's name is the path of a script: it ends in .py or contains a slash."""
    return name.endswith(".py") or "/" in name


@lru_cache
def load_script(path: str) -> Metric:
    """Loads a script and scores one pair of texts with it, to find out the names of its scores.

    Scores are reported unchanged, and higher is assumed to be better.

    Args:
        path: a .py file, or a folder that contains a .py file of the same name.

    Raises:
        InputError: there is no such file, or the script does not score texts; both raised before any training.
    """
    file = Path(path) / f"{Path(path).name}.py" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise InputError(f"metric {path!r}: there is no file {str(file)!r}")
    try:
        module = _load(file)
        keys = tuple(_compute(module, path, ["a b"], [["a b"]]))
    except InputError:
        raise
    except Exception as error:  # the script may fail in any way
        raise InputError(f"metric {path!r} cannot score texts: {type(error).__name__}: {error}") from error
    if not keys:
        raise InputError(f"metric {path!r} gives no number")
    return Metric(lambda predictions, references: _compute(module, path, predictions, references), True, keys)


def _load(file: Path) -> "EvaluationModule":
    import evaluate

    return evaluate.load(str(file), keep_in_memory=True)  # in memory: processes would share a cache file


def _compute(module: Any, path: str, predictions: Sequence[str], references: TextRows) -> dict[str, float]:
    check_rows(predictions, references)
    rows: list[Any] = [list(row) for row in references]
    if not _takes_several(module):
        for number, row in enumerate(rows, start=1):
            if len(row) > 1:
                raise InputError(f"metric {path!r} takes one reference per row; row {number} has {len(row)}")
        rows = [row[0] for row in rows]
    scores = module.compute(predictions=list(predictions), references=rows)
    return {key: float(value) for key, value in scores.items() if isinstance(value, Real)}


def _takes_several(module: Any) -> bool:
    from datasets import Value

    layouts = module.features if isinstance(module.features, list) else [module.features]
    return any(not isinstance(layout["references"], Value) for layout in layouts)
