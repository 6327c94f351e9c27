"""Further runs of the best settings, each with a seed of its own, for an ensemble.

Paper: Lakshminarayanan et al., 2017, https://arxiv.org/abs/1612.01474
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_seq2seq.tuning.chosen import Chosen
from hf_seq2seq.tuning.following import Progress, follow, progress_of, start_run
from hf_seq2seq.tuning.leaderboard import Entry
from hf_seq2seq.tuning.request import SearchRequest, tell
from hf_seq2seq.tuning.train_server import TrainServer

FOLDER = "members"


@dataclass(frozen=True)
class Member:
    """A run that differs from the best trial by its seed.

    Attributes:
        folder: of the run.
        seed: its seed.
        score: on the validation rows.
        seconds: of the budget that it took in this start of the search.
    """

    folder: Path
    seed: int
    score: float
    seconds: float

    def entry(self) -> Entry:
        """On the leaderboard."""
        return Entry(self.folder.name, "member", {"seed": self.seed}, score=self.score, seconds=self.seconds)


def other_seeds(
    best: Chosen, request: SearchRequest, server: TrainServer, needed: float, left: Callable[[], float]
) -> list[Member]:
    """Trains as many as the ensemble has besides the best trial, or as the time allows; best first.

    Args:
        best: the trial.
        request: says how many models there are to be.
        server: that runs them.
        needed: seconds for one; with fewer none is started.
        left: returns the seconds that may be used from now on.
    """
    members = []
    for further in range(1, request.ensemble):
        seed = request.seed + further
        folder = best.folder.parents[1] / FOLDER / f"{best.folder.name}-seed-{seed}"
        room, done = left(), progress_of(folder, request.goal)
        if not done.finished:
            if room < needed:
                break
            seconds = max(needed, room / (request.ensemble - further))
            done = _trained(_values(best, request, seed, seconds), best.recipe, request, server, folder)
        if done.finished and done.value is not None and math.isfinite(done.value):
            members.append(Member(folder, seed, done.value, room - left()))
            tell(f"{folder.name}  {request.goal.metric} {done.value:.4g}  {members[-1].seconds:.0f} s")
    return sorted(members, key=lambda member: -member.score if request.goal.greater else member.score)


def _values(best: Chosen, request: SearchRequest, seed: int, seconds: float) -> dict[str, Any]:
    """The flags of one, which keeps to its time itself."""
    budget = request.budget
    timed = {budget.name: f"{seconds:.0f}s"} if budget is not None and budget.name in best.base else {}
    return request.of_family(best.base) | best.flags | timed | {"save_total_limit": 1, "seed": seed}


def _trained(
    values: Mapping[str, Any], recipe: str, request: SearchRequest, server: TrainServer, folder: Path
) -> Progress:
    start_run(server, recipe, values, folder)
    ending = follow(server, folder, request.goal, math.inf)
    if ending.code:
        tell(f"{folder.name}  failed: {ending.reason}")
    return ending.progress
