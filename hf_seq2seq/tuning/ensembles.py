"""The best trials as an ensemble beside the single best model; `generate MODEL --ensemble` writes with it."""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import new_folder, remove
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.tuning.averaged import link_folder
from hf_seq2seq.tuning.chosen import Chosen, best_checkpoint
from hf_seq2seq.tuning.leaderboard import Entry
from hf_seq2seq.tuning.request import SearchRequest, tell

if TYPE_CHECKING:
    from hf_seq2seq.api.models import Model

FOLDER = "ensemble"
OF_TRAINING = ("optimizer.safetensors", "optimizer.bin", "scheduler.bin")
"""Files of a checkpoint that no model needs."""


@dataclass(frozen=True)
class Ensembled:
    """An ensemble.

    Attributes:
        members: the folders of the models besides the first one, which is the search's.
        entry: on the leaderboard.
        scores: on the test rows, with their intervals; empty without such rows.
    """

    members: list[Path]
    entry: Entry
    scores: dict[str, Any] = field(default_factory=dict)


def ensembled(
    chosen: Chosen, trials: Mapping[Path, float], request: SearchRequest, seeds: Sequence[Path] = ()
) -> Ensembled | None:
    """Adds the best trials with the same vocabulary to the final model, which the output folder holds.

    Args:
        chosen: the run that became it.
        trials: the folders of all and the seconds that they took, best first.
        request: says how many models there are to be; has the validation rows.
        seeds: runs of the same settings, which are taken without being asked for their score: few validation rows tell
            little about one seed, and the best of several is worse on other rows.

    Returns:
        None where none is asked for, or no trial fits.
    """
    remove(request.output_dir / FOLDER)
    if request.ensemble < 2:
        return None
    if request.validation is None:
        tell(f"ensemble    none: {request.goal.metric} is no score of outputs; give another --metric-for-best-model")
        return None
    from hf_seq2seq.api.models import load

    began, model = time.monotonic(), load(request.output_dir)
    others = [trial for trial in trials if trial != chosen.folder and list_checkpoints(trial)]
    if not others:
        tell("ensemble    none: no other trial has run to its end; give more time or trials")
        return None
    fitting = list(islice((trial for trial in others if _fits(model, best_checkpoint(trial))), 2 * request.ensemble))
    if not fitting:
        tell("ensemble    no other trial has the vocabulary of the best model; search without the tokenizer")
        return None
    seeded = [folder for folder in fitting if folder in seeds][: request.ensemble - 1]
    helpful, score = _helpful(model, seeded, [trial for trial in fitting if trial not in seeded], request, chosen.score)
    if not helpful:
        tell(f"ensemble    none of {len(fitting)} other trials is as good beside the best model as that is alone")
        return None
    members = [_kept(trial, request.output_dir / FOLDER) for trial in helpful]
    flags: dict[str, Any] = {"ensemble": tuple(map(str, members))}
    with warnings.catch_warnings(action="ignore"):  # of outputs that are cut off
        scores = model.evaluate(confidence=95, **flags) if request.values.get("test_file") else {}
    names = [chosen.folder.name, *(member.name for member in members)]
    cost = time.monotonic() - began + sum(trials[trial] for trial in {*helpful, chosen.folder} if trial in trials)
    entry = Entry(FOLDER, FOLDER, {"of": "+".join(names)}, score=score, seconds=cost)
    metric = request.goal.metric
    tell(f"ensemble    of {len(names)}: validation {metric} {score:.4g} (the single best has {chosen.score:.4g})")
    if metric in scores:
        low, high = scores[f"{metric}_low"], scores[f"{metric}_high"]
        tell(f"            test {metric} {scores[metric]:.4g} ({low:.4g}–{high:.4g})")
    tell(f"            hf-seq2seq generate {request.output_dir} --ensemble {','.join(map(str, members))}")
    return Ensembled(members, entry, scores)


def _helpful(
    model: "Model", seeded: list[Path], trials: Sequence[Path], request: SearchRequest, alone: float
) -> tuple[list[Path], float]:
    """The seeds, and trials that are added one by one, each if the score is no worse with it; and that score.

    Paper: Caruana et al., 2004, https://doi.org/10.1145/1015330.1015432
    """
    chosen, best = seeded, _score_of(model, seeded, request) if seeded else alone
    for trial in trials:
        if len(chosen) == request.ensemble - 1:
            break
        score = _score_of(model, [*chosen, trial], request)
        if not request.goal.better(best, score):
            chosen, best = [*chosen, trial], score
    return chosen, best


def _score_of(model: "Model", others: Sequence[Path], request: SearchRequest) -> float:
    """The validation score of a model together with others."""
    assert request.validation is not None
    together = tuple(str(best_checkpoint(each)) for each in others)
    return request.validation.score_of(model, request.goal, ensemble=together)


def _fits(model: "Model", other: Path) -> bool:
    from hf_seq2seq.decoding.ensemble import check_alike
    from hf_seq2seq.saved.loading import load_seq2seq

    network, tokenizers, _ = load_seq2seq(str(other))
    try:
        check_alike((model.path, model.network, model.tokenizers), [(str(other), network, tokenizers)])
    except InputError:
        return False
    return True


def _kept(trial: Path, place: Path) -> Path:
    """Copies a trial's model, by links."""
    with new_folder(place / trial.name) as draft:
        link_folder(best_checkpoint(trial), draft)
        for name in OF_TRAINING:
            remove(draft / name)
    return place / trial.name
