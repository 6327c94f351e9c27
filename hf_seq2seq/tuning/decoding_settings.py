"""Beams and length penalty of a trained model, chosen on the validation rows without training."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.data.messages import Messages
from hf_seq2seq.metrics import TEXT_METRICS, check_metrics
from hf_seq2seq.metrics.corpus import Corpus
from hf_seq2seq.tuning.domains import Choices, Domain
from hf_seq2seq.tuning.following import Goal
from hf_seq2seq.tuning.spaces import Family
from hf_seq2seq.tuning.study import COMPLETE, Study

if TYPE_CHECKING:
    from hf_seq2seq.api.models import Model

MOST = 12
"""Settings that are tried."""
USUAL: dict[str, Domain] = {
    "num_beams": Choices.of("num_beams", [1, 4, 8]),
    "length_penalty": Choices.of("length_penalty", [0.5, 1.0, 1.5]),
}


def usual(base: Mapping[str, Any]) -> dict[str, Domain]:
    """The usual settings, and those that the run has without a search."""
    return {
        name: Choices.of(name, [base[name], *(found[name] for found in domain.options.values() if name in found)])
        for name, domain in USUAL.items()
        if name in base and isinstance(domain, Choices)
    }


@dataclass(frozen=True)
class ValidationSet:
    """A validation set of pairs.

    Attributes:
        name: as in `--validation-file NAME=FILE`; empty for a file without one.
        sources: texts, without prefix, or the messages before each reply.
        references: the acceptable targets of each.
        metrics: names of those that it has.
    """

    name: str
    sources: Sequence[str | Messages]
    references: list[list[str]]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Validation:
    """All validation sets of pairs, of which some score is what systems are compared by."""

    sets: tuple[ValidationSet, ...]

    def score_of(self, model: "Model", goal: Goal, **flags: Any) -> float:
        """The score of what a model writes for them with these flags of decoding."""
        with warnings.catch_warnings(action="ignore"):  # about outputs that are cut off, again for every setting
            outputs = model.generate([source for own in self.sets for source in own.sources], **flags)
        return self.score(outputs, goal)

    def score(self, outputs: Sequence[str], goal: Goal) -> float:
        """The score of a model's outputs."""
        rest, measured = iter(outputs), {}
        for own in self.sets:
            corpus = Corpus(check_metrics(own.metrics, TEXT_METRICS))
            corpus.add(list(islice(rest, len(own.sources))), own.references)
            measured[own.name] = corpus.scores()
        return goal.of_sets(measured)


@dataclass(frozen=True)
class DecodingSearch:
    """Decodes the validation rows by one setting after the other.

    Attributes:
        folder: of the study; a killed one is resumed.
        validation: the rows.
        goal: the score.
        base: the settings without a search, which come first.
        space: what is tried.
    """

    folder: Path
    validation: Validation
    goal: Goal
    base: dict[str, Any]
    space: dict[str, Domain]

    def best(self, model: Path, left: Callable[[], float]) -> tuple[dict[str, Any], float]:
        """The settings that differ from the base, and their score; equal scores keep the base.

        Args:
            model: a folder.
            left: seconds that are left; no further setting is tried that would take longer than any before.
        """
        from hf_seq2seq.api.models import load

        self.folder.mkdir(parents=True, exist_ok=True)
        family = Family("decoding", {}, self.base, self.space)
        study = Study(self.folder, [family], self.goal.greater, seed=0, most=MOST)
        loaded = load(model)
        while not study.records() or left() > max(record.seconds for record in study.records()):
            trial = study.next_trial()
            if trial is None:
                break
            self._try(study, trial, loaded)
        best, first = study.ranked()[0], study.records()[0]
        assert best.value is not None
        is_base = not first.settings and best.value == first.value
        return ({} if is_base else best.settings), best.value

    def _try(self, study: Study, trial: Any, loaded: Any) -> None:
        began = time.monotonic()
        settings = self.base | study.record(trial).settings
        value = _known(study, settings, self.base)
        if value is None:
            value = self.validation.score_of(loaded, self.goal, **settings)
        study.tell(trial, COMPLETE, value=value, seconds=time.monotonic() - began, share=1.0)


def _known(study: Study, settings: Mapping[str, Any], base: Mapping[str, Any]) -> float | None:
    """The score of settings that write the same: one beam knows no length penalty."""
    if settings.get("num_beams") != 1:
        return None
    same = (r for r in study.records() if (dict(base) | r.settings).get("num_beams") == 1 and r.value is not None)
    return next((record.value for record in same), None)
