"""A learning curve: the same recipe trained on 1/16 … 1/1 of the rows, a power law, and what more rows would bring.

Each size is a run in a folder of its own, with the same validation rows, on rows drawn at random by the run's seed; a
larger size has all rows of the smaller ones, and a run that was ended continues. The law is checked by fitting it to
all sizes but the largest, and predicting that.
"""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_seq2seq import strict_json
from hf_seq2seq.analysis.learning_curves import FEWEST, Curve, fit_curve
from hf_seq2seq.configs import Run
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import check_folder, locked_folder, remove
from hf_seq2seq.metrics.metric import perfect_score
from hf_seq2seq.tuning.earlier import ROWS, as_json, check_same
from hf_seq2seq.tuning.following import Goal, follow, progress_of, start_run
from hf_seq2seq.tuning.learning_curve_config import LearningCurve
from hf_seq2seq.tuning.preparing import look
from hf_seq2seq.tuning.request import NOT_IN_TRIALS, tell
from hf_seq2seq.tuning.train_server import TrainServer

DATA, TABLE, PICTURE, REQUEST = (f"learning_curve{end}" for end in (".json", ".txt", ".png", "_request.json"))
LEAST_ROWS = 2
Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The runs of a learning curve.

    Attributes:
        recipe: its name or path.
        values: flags of all runs.
        folder: of the curve.
        goal: the score.
        sizes: training rows of each run, rising, by its folder's name.
        rows: the number of rows of every split and a digest of them.
    """

    recipe: str
    values: dict[str, Any]
    folder: Path
    goal: Goal
    sizes: dict[str, int]
    rows: Mapping[str, Any]


def learning_curve(recipe: str, values: Mapping[str, Any], folder: Path, overwrite: bool, asked: LearningCurve) -> Json:
    """Trains on growing shares of the rows, or continues, and fits the curve.

    Args:
        recipe: its name or path.
        values: the recipe's flags.
        folder: of the curve; a folder for each size is in it.
        overwrite: whether to start over in a folder that holds another curve.
        asked: sizes, and what is predicted.

    Returns:
        What `learning_curve.json` holds.

    Raises:
        InputError: as the recipe refuses its flags, a run failed, there are too few rows, or the folder is another's.
    """
    if not (folder / REQUEST).exists():
        check_folder(folder, overwrite, (), (DATA, TABLE, PICTURE, REQUEST))
    with locked_folder(folder):
        plan = plan_of(recipe, values, folder, asked.sizes)
        if overwrite:
            for name in plan.sizes:
                remove(folder / name)
        _check_same(plan, overwrite)
        try:
            with closing(TrainServer()) as server:
                scores = [_score_of(plan, name, server) for name in plan.sizes]
        except (KeyboardInterrupt, SystemExit):
            tell(f"stopped; the same command continues in {folder}")
            raise
        found, curve = report(plan, scores, asked)
        _write(plan, scores, found, curve)
    return found


def plan_of(recipe: str, values: Mapping[str, Any], folder: Path, count: int) -> Plan:
    """Looks at the rows, and plans the runs.

    Raises:
        InputError: as the recipe refuses its flags, or there are too few rows for so many sizes.
    """
    own = {name: value for name, value in values.items() if name not in (*NOT_IN_TRIALS, "output_dir")}
    looked = look(recipe, {}, own | {"output_dir": str(folder)})
    rows = looked.rows["train"][0]
    if rows < LEAST_ROWS * 2 ** (count - 1):
        raise InputError(f"--sizes: {count} need {LEAST_ROWS * 2 ** (count - 1)} training rows, but there are {rows}")
    parts = [2**power for power in range(count - 1, -1, -1)]
    sizes = {f"1of{part}": rows // part for part in parts}
    # Chosen by all rows, not by a share of them: every size has the same validation rows and metrics.
    base = looked.family.base
    held = {name: base[name] for name in ("validation_split_percentage", "metrics") if base.get(name) is not None}
    values = own | held | {"metric_for_best_model": looked.goal.metric}
    return Plan(recipe, values, folder, looked.goal, sizes, looked.rows)


def _check_same(plan: Plan, overwrite: bool) -> None:
    """Refuses to continue another curve; notes what this one is.

    Raises:
        InputError: names a flag that differs.
    """
    wanted = {"recipe": plan.recipe, ROWS: plan.rows} | plan.values
    path = plan.folder / REQUEST
    if path.exists() and not overwrite:
        advice = "give the same to continue, another --output-dir, or --overwrite-output-dir to start over"
        check_same(json.loads(path.read_text(encoding="utf-8")), wanted, "a learning curve", advice)
    with open_draft(path) as file:
        json.dump(as_json(wanted), file, indent=1)


def _score_of(plan: Plan, name: str, server: TrainServer) -> float:
    """The best validation score of a size, which is trained or continued first.

    Raises:
        InputError: its run failed, or its score is no number.
    """
    folder = plan.folder / name
    progress = progress_of(folder, plan.goal)
    if not progress.finished:
        values = plan.values | {"max_train_samples": plan.sizes[name], "save_total_limit": 1}
        if not values.get("streaming"):  # which reads the first rows alone
            values.setdefault("train_samples_seed", int(values.get("seed", Run().seed)))
        start_run(server, plan.recipe, values, folder)
        ending = follow(server, folder, plan.goal, math.inf)
        progress = ending.progress
        if ending.code:
            raise InputError(f"{folder}: the run on {plan.sizes[name]:,} rows failed: {ending.reason}")
    if progress.value is None or not math.isfinite(progress.value):
        raise InputError(f"{folder}: the run on {plan.sizes[name]:,} rows has no {plan.goal.metric}")
    tell(f"{name:7}  {plan.sizes[name]:>10,} rows  {plan.goal.metric} {progress.value:.4g}")
    return progress.value


def report(plan: Plan, scores: Sequence[float], asked: LearningCurve) -> tuple[Json, Curve]:
    """The law, what more rows would bring, and how well the largest size was predicted."""
    rows, values = np.array([*plan.sizes.values()], dtype=np.float64), np.array(scores)
    perfect = perfect_score(plan.goal.metric, plan.goal.greater)
    curve = fit_curve(rows, values, plan.goal.greater, asked.curve_confidence, perfect=perfect)
    gain = asked.gain or (2.0 if abs(scores[-1]) >= 10 else 0.05 * abs(scores[-1]))
    found: Json = {
        "metric": plan.goal.metric,
        "greater_is_better": plan.goal.greater,
        "confidence": asked.curve_confidence,
        "sizes": [{"run": name, "rows": size, "score": score, "fitted": float(curve.at(size)[0])}
                  for (name, size), score in zip(plan.sizes.items(), scores, strict=True)],
        "law": curve.law(),
        "gain": {"score": gain, **_spread("more_rows", curve.more_rows(gain))},
        "twice_the_rows": _spread("change", curve.gained(2 * curve.largest)),
        "held_out": None,
    }  # fmt: skip
    if len(rows) > FEWEST:
        earlier = fit_curve(rows[:-1], values[:-1], plan.goal.greater, asked.curve_confidence, perfect=perfect)
        predicted = earlier.predicted(float(rows[-1]))
        found["held_out"] = {
            "rows": int(rows[-1]),
            "score": scores[-1],
            **_spread("predicted", predicted),
            "inside": predicted[1] <= scores[-1] <= predicted[2],
        }
    return found, curve


def _spread(name: str, values: tuple[float, float, float]) -> Json:
    """A number and its interval; None stands for infinity: no number of rows suffices."""
    names = (name, f"{name}_low", f"{name}_high")
    return {each: value if math.isfinite(value) else None for each, value in zip(names, values, strict=True)}


def lines(found: Mapping[str, Any]) -> list[str]:
    """The report as text."""
    metric, level = found["metric"], f"{found['confidence']:g} %"
    width = max(len(f"{size['rows']:,}") for size in found["sizes"])
    text = [f"{size['rows']:>{width},} rows  {metric} {size['score']:.4g}  (law {size['fitted']:.4g})"
            for size in found["sizes"]]  # fmt: skip
    law, way = found["law"], "-" if found["greater_is_better"] else "+"
    if not law["factor"]:
        return [*text, "", f"no law fits: {metric} does not get better with more rows; train longer, or try more rows"]
    text += [
        "",
        f"{metric} = {law['asymptote'] + 0.0:.4g} {way} {law['factor']:.4g} * rows^-{law['exponent']:.3g}"
        f"  (exponent, {level}: {law['exponent_low']:.3g} to {law['exponent_high']:.3g})",
    ]
    if held := found["held_out"]:
        text.append(
            f"check: from the smaller sizes the law predicts {held['predicted']:.4g} for {held['rows']:,} rows "
            f"({level}: {held['predicted_low']:.4g} to {held['predicted_high']:.4g}); the run has {held['score']:.4g}, "
            + ("inside" if held["inside"] else "outside: do not rely on the predictions")
        )
    twice = found["twice_the_rows"]
    text.append(
        f"twice the rows: {metric} {twice['change'] + 0.0:+.3g} ({level}: {twice['change_low'] + 0.0:+.3g} to "
        f"{twice['change_high'] + 0.0:+.3g})"
    )
    return [*text, _gain_line(found, "+" if found["greater_is_better"] else "-")]


def _gain_line(found: Mapping[str, Any], sign: str) -> str:
    gain, level = found["gain"], f"{found['confidence']:g} %"
    what = f"{sign}{gain['score']:.3g} {found['metric']}"
    low, high = (_about(gain[f"more_rows_{end}"]) for end in ("low", "high"))
    if gain["more_rows"] is None:
        return f"{what} is beyond this law's limit" + (f" ({level}: at least {low} more rows)" if low else "")
    spread = f"{low} to {high}" if high else f"from {low}, without an upper bound"
    return f"{what} takes about {_about(gain['more_rows'])} more rows ({level}: {spread})"


def _about(rows: float | None) -> str:
    """Two significant digits; nothing for an infinite number."""
    if rows is None:
        return ""
    return f"{rows:.1e}" if rows >= 1e12 else f"{int(float(f'{rows:.2g}')):,}"


def _write(plan: Plan, scores: Sequence[float], found: Json, curve: Curve) -> None:
    from hf_seq2seq.analysis.learning_curve_picture import draw_learning_curve

    for name, text in ((DATA, strict_json.dumps(found)), (TABLE, "\n".join(lines(found)))):
        with open_draft(plan.folder / name) as file:
            file.write(text + "\n")
    draw_learning_curve(curve, [*plan.sizes.values()], scores, plan.goal.metric, plan.folder / PICTURE)
