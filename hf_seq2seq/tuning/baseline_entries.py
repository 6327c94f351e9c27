"""Classical baselines on the leaderboard of a search: they need none, and a model has to beat them."""

import contextlib
import io
import time
from collections.abc import Mapping
from typing import Any

from hf_seq2seq.data.evaluation_sets import name_of, sets_of
from hf_seq2seq.data.messages import is_dialogue
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.baseline_runs import config_class, find, run
from hf_seq2seq.sections import build, options
from hf_seq2seq.tuning.following import Goal
from hf_seq2seq.tuning.leaderboard import Entry
from hf_seq2seq.tuning.study import FAILED

OF_LABELS = ("majority", "naive_bayes", "logistic_regression")
OF_PAIRS = ("copy", "most_frequent")
OF_WORDS = ("joint_ngram",)
"""Where whole words are counted as right or wrong, as pronunciations are."""


def baseline_entries(base: Mapping[str, Any], goal: Goal, labels: bool) -> tuple[Entry, ...]:
    """Trains the baselines of a task on the rows of the trials and scores them on the same validation rows.

    Args:
        base: the resolved flags of a trial.
        goal: what trials are compared by; baselines have no loss, and none reads conversations.
        labels: whether rows have labels rather than targets.

    Returns:
        An entry for each; of one that failed with the reason.
    """
    if goal.is_loss or is_dialogue(base):
        return ()
    names = OF_LABELS if labels else OF_PAIRS + OF_WORDS * goal.metric.endswith("word_error_rate")
    return tuple(_entry(name, base, goal) for name in names)


def _entry(name: str, base: Mapping[str, Any], goal: Goal) -> Entry:
    settings = config_class(find(name))
    values = {key: value for key, value in base.items() if key in options(settings) and value is not None}
    values = {key: value for key, value in values.items() if key not in ("test_file", "output_dir")}
    started = time.perf_counter()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # which says of the rows what the trials say
            found = run(name, build(settings, values)).found
    except Exception as error:  # which is to end no search
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return Entry(name, "baseline", state=FAILED, reason=reason)
    score = goal.of_sets({name_of(split): found[split] for split in sets_of(found, "validation")})
    return Entry(name, "baseline", score=score, seconds=time.perf_counter() - started)
