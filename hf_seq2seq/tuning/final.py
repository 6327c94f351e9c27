"""The end of a search: the best settings trained longer, decoding settings, the model's folder and its test scores."""

import dataclasses
import math
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hf_seq2seq import strict_json
from hf_seq2seq.data.messages import is_dialogue
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import new_folder
from hf_seq2seq.saved.run_settings import RUN_FILE, read_run
from hf_seq2seq.sections import flag
from hf_seq2seq.training.budget import is_short, of_planned, planned_steps, time_for
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.state import State
from hf_seq2seq.tuning.auto_config import Data
from hf_seq2seq.tuning.averaged import link_folder
from hf_seq2seq.tuning.budget import Budget
from hf_seq2seq.tuning.chosen import Chosen, best_checkpoint
from hf_seq2seq.tuning.decoding_settings import USUAL, DecodingSearch, usual
from hf_seq2seq.tuning.following import Goal, follow, progress_of, start_run
from hf_seq2seq.tuning.leaderboard import Entry, ordered
from hf_seq2seq.tuning.request import FOLDER, SearchRequest, tell
from hf_seq2seq.tuning.spaces import describe_settings
from hf_seq2seq.tuning.train_server import TrainServer, reason_of

FINAL_OUTPUT = "final.txt"
CLOSING = ("test_file", "max_predict_samples", "push_to_hub", "save_total_limit")
"""Flags of the search that its trials had otherwise."""
LIMITS = ("max_time", "max_cpu_time")
LATE = 1.05
"""A longer run is stopped where it takes so many times its limit, which it keeps to itself."""
SCARCELY = 1.25
"""The time that is advised is at least so many times what was given."""
AVERAGED = 4
"""Checkpoints of the longer run to keep besides the best, so that their mean can be tried."""


def longer_run(
    best: Chosen, request: SearchRequest, server: TrainServer, folder: Path, seconds: float | None
) -> Chosen:
    """Retrains the best settings if there is time for a longer run; returns it if it is better.

    Its learning rate decays over the longer time, so it cannot start from the trial's checkpoint.
    """
    done = progress_of(folder, request.goal)
    if not done.finished:
        budget = request.budget
        if budget is None or seconds is None or budget.name not in best.base:
            return best
        values = (
            request.of_family(best.base) | best.flags | {budget.name: f"{seconds:.0f}s", "save_total_limit": AVERAGED}
        )
        steps = progress_of(best.folder, request.goal).steps
        again = ", to average its last checkpoints: the trial had all steps of --max-steps"
        tell(
            f"final run   {seconds:.0f} s with the best settings"
            f"{again if steps == (best.base | best.values).get('max_steps') else ''}"
        )
        start_run(server, best.recipe, values, folder)
        ending = follow(server, folder, request.goal, math.inf if budget.is_cpu else seconds * LATE)
        done = ending.progress
        if ending.code and not ending.stopped:
            tell(f"final run   failed: {ending.reason}; the best trial it is")
            return best
    if done.value is None or not request.goal.better(done.value, best.score):
        return best
    return dataclasses.replace(best, folder=folder, score=done.value)


def tuned(chosen: Chosen, request: SearchRequest, left: Callable[[], float]) -> Chosen:
    """The run with the decoding settings that are best on the validation rows, of those that `left` seconds allow."""
    metric = request.goal.metric
    if request.validation is None or not request.decoding:
        return chosen
    model = best_checkpoint(chosen.folder)
    base: dict[str, Any] = {name: chosen.base[name] for name in ("num_beams", "length_penalty") if name in chosen.base}
    base |= {name: value for name, value in request.values.items() if name in base}
    study = request.output_dir / FOLDER / f"decoding-{chosen.folder.name}-{model.name}"
    space = usual(base) if request.decoding == USUAL else request.decoding
    settings, score = DecodingSearch(study, request.validation, request.goal, base, space).best(model, left)
    tell(f"decoding    {describe_settings(settings)}: validation {metric} {score:.4g}")
    return dataclasses.replace(chosen, decoding=settings, score=score)


def close(chosen: Chosen, request: SearchRequest, server: TrainServer) -> dict[str, Any]:
    """Makes the chosen run the model of the output folder, and measures it on the test rows, once.

    The run's checkpoints are linked there, and a run without remaining steps resumes from them: it evaluates, writes
    the card and publishes, as any run does at its end.

    Raises:
        InputError: as that run is refused.
    """
    target = request.output_dir
    for checkpoint in list_checkpoints(target):
        shutil.rmtree(checkpoint)
    newest = _link_checkpoints(chosen.folder, target)
    values = read_run(newest / RUN_FILE) | {name: request.values[name] for name in CLOSING if name in request.values}
    values |= chosen.decoding | {"max_steps": State.load(newest).global_step}
    values |= {"output_dir": str(target), "resume_from_checkpoint": "last", "overwrite_output_dir": False}
    values = {name: value for name, value in values.items() if name not in ("recipe", *LIMITS)}
    output = target / FOLDER / FINAL_OUTPUT
    output.unlink(missing_ok=True)
    server.start(chosen.recipe, values, output, request.call)
    ending = follow(server, target, request.goal, float("inf"))
    if ending.code:
        raise InputError(
            f"{target}: the final scores could not be measured: {reason_of(output, ending.code)}; "
            f"the chosen run is {chosen.folder}; the same command measures them again"
        )
    if lines := summary_of(output):
        tell(*lines)
    results = strict_json.loads((target / "all_results.json").read_bytes())
    return {
        "run": chosen.folder.name,
        "recipe": chosen.recipe,
        "settings": chosen.values | chosen.decoding,
        "scores": {name: value for name, value in results.items() if name.startswith(("eval_", "predict_"))},
    }


def remarks_on_beams(chosen: Chosen) -> list[str]:
    """A line where the scores of trials, which are those of training, and of the final model are of other beams."""
    during = chosen.base.get("eval_beams")
    final = chosen.decoding.get("num_beams", chosen.base.get("num_beams"))
    if during is None or during == final:
        return []
    scores = f"scores of trials and members are those of training, with {during} beam{'s' * (during != 1)}"
    return [f"{scores}; that of `final` is with {final}"]


def tell_better(baselines: Iterable[Entry], score: float, goal: Goal, fresh: bool) -> None:
    """Says where a baseline is better than the trained model.

    Args:
        baselines: on the leaderboard.
        score: of the model.
        goal: what they are compared by.
        fresh: whether models start from random weights.
    """
    better = [entry for entry in baselines if entry.score is not None and goal.better(entry.score, score)]
    if better:
        best = ordered(better, goal)[0]
        detail = f"validation {goal.metric} {best.score:.4g}, the model {score:.4g}"
        advice = "; a pretrained model may beat both: --model-name-or-path MODEL" if fresh else ""
        tell(f"the baseline {best.name} is better: {detail}{advice}")


def tell_short(chosen: Chosen, request: SearchRequest) -> None:
    """Says where the budget allowed for much fewer steps than the rows ask for, so that a single run may be better."""
    budget, checkpoints = request.budget, list_checkpoints(chosen.folder)
    if budget is None or not checkpoints or {"max_steps", "num_train_epochs"} & request.values.keys():
        return
    state = State.load(checkpoints[-1])
    planned = planned_steps(chosen.base, state)
    if state.stopped_early or not is_short(state, planned):
        return
    tell(
        f"{of_planned('the best run', state, planned)}; give about {flag(budget.name)} "
        f"{_enough(budget, state, planned)}, or train with the defaults: {_command(chosen, request.values)}"
    )


def _enough(budget: Budget, state: State, planned: int) -> str:
    """About the time of a search whose last run has all planned steps, in minutes: `10m`."""
    measured = budget.name in state.budget
    run = budget.for_run(time_for(state, budget.name, planned)) if measured else 0.0
    seconds = run or budget.total * planned / state.global_step
    return f"{math.ceil(max(seconds, SCARCELY * budget.total) / 60)}m"


def _command(chosen: Chosen, values: Mapping[str, Any]) -> str:
    """The command that trains with the defaults of the chosen family on the rows of the search."""
    known = {*Data.__dataclass_fields__, "text_column", "model_name_or_path"} - {"objective"}
    given = {name: value for name, value in values.items() if name in known and isinstance(value, str)}
    words = [f"{flag(name)} {shlex.quote(value)}" for name, value in given.items()]
    command = ["hf-seq2seq train", chosen.recipe, *["--from-scratch"] * bool(chosen.base.get("from_scratch"))]
    return " ".join([*command, *["--objective dialogue"] * is_dialogue(chosen.base), *words])


def summary_of(output: Path) -> list[str]:
    """What a run printed of its results: all after the first empty line, before which it tells how it started."""
    lines = output.read_text("utf-8", "replace").split("\n") if output.exists() else []
    return lines[lines.index("") : -1] if "" in lines else lines


def _link_checkpoints(source: Path, target: Path) -> Path:
    """Puts the newest and the best checkpoint of a run into a folder; returns the newest there."""
    newest = list_checkpoints(source)[-1]
    for checkpoint in {newest, best_checkpoint(source)}:
        with new_folder(target / checkpoint.name) as draft:
            link_folder(checkpoint, draft)
    return target / newest.name
