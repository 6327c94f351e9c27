"""Contrastive preference optimization: the better of two outputs is made more likely than the worse."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.candidates import CandidateObjective, CandidateOptions, Output
from hf_seq2seq.sections import MOST_WEIGHT, option

PLACE = "--loss-args of preference"


@dataclass(frozen=True, kw_only=True)
class PreferenceOptions(CandidateOptions):
    """Options of the pairs and of the loss."""

    candidates: str = option(
        "sample",
        "Where pairs come from: sampled outputs, or an n-best list of beam search.",
        choices=("sample", "beam"),
    )
    reference: bool = option(True, "Let the target be one of the candidates.")
    beta: float = option(0.1, "Factor of the difference of log-probabilities.", above=0, at_most=MOST_WEIGHT)
    likelihood: float = option(
        1.0, "Weight of the better output's negative log-likelihood.", at_least=0, at_most=MOST_WEIGHT
    )


class Preference(CandidateObjective):
    """CPO: -log sigmoid(beta (log P(y_w) - log P(y_l))) - log P(y_w), for a better output y_w and a worse one y_l.

    A pair is a row's `chosen` and `rejected` texts. For rows without them it is made of the candidates, which are the
    target and `samples` outputs, sampled or an n-best list: those of the lowest and of the highest risk. A row whose
    candidates are all equally good has the loss 0. There is no reference model. Log P is summed over tokens; the
    authors' program divides the last term, not the first, by the number of tokens, for which `likelihood` may be lower.

    Paper: Xu et al., 2024, section 3 (equations 3 to 5), https://arxiv.org/abs/2401.08417
    """

    Options = PreferenceOptions
    reads_preferences = True
    options: PreferenceOptions

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        rows = self.context.examples
        for name in ("samples", "candidates", "reference") if rows is not None and rows.chosen is not None else ():
            if getattr(self.options, name) != getattr(PreferenceOptions, name):
                raise InputError(
                    f"{PLACE}: {name}: nothing is generated for rows with chosen and rejected; leave it out"
                )

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adds each row's better and worse output as `CandidateObjective.packed` does, and before them the target.

        The target is there only if its cross-entropy is. `signs` are 1 for the better output and -1 for the worse, and
        0 for the target and where none is better.
        """
        targets, share = self.targets(batch), self.options.cross_entropy
        outputs, signs = [], []
        for target, (better, worse) in zip(targets, self._pairs(batch, targets), strict=True):
            outputs.append([target, better, worse] if share else [better, worse])
            signs.append([0.0] * bool(share) + ([1.0, -1.0] if better != worse else [0.0, 0.0]))
        return self.packed(batch, outputs, signs=signs)

    def _pairs(self, batch: dict[str, Tensor], targets: list[Output]) -> list[tuple[Output, Output]]:
        """The better and the worse output of every row."""
        if "chosen" not in batch:
            return self._ranked(batch, targets)
        return [
            *zip(self.targets({"labels": batch["chosen"]}), self.targets({"labels": batch["rejected"]}), strict=True)
        ]

    def _ranked(self, batch: dict[str, Tensor], targets: list[Output]) -> list[tuple[Output, Output]]:
        """The candidates of the lowest and of the highest risk; twice the same if all have the same."""
        count = self.options.samples
        beams = {"num_beams": count, "num_return_sequences": count} if self.options.candidates == "beam" else {}
        outputs = self.search(batch, **beams)
        if self.options.reference:
            outputs = [[target, *row] for target, row in zip(targets, outputs, strict=True)]
        outputs = [row or [target] for target, row in zip(targets, outputs, strict=True)]
        found = []
        for row, risks in zip(outputs, self.risks(batch, outputs), strict=True):
            best, worst = min(risks), max(risks)
            better = row[risks.index(best)]
            found.append((better, row[risks.index(worst)] if worst > best else better))
        return found

    def row_losses(self, batch: dict[str, Tensor]) -> Tensor:
        """The loss of every row's pair, mixed with the target's cross-entropy, `(rows,)`."""
        scores = self.log_probabilities(batch)
        better, worse = scores.view(len(batch["labels"]), -1)[:, -2:].unbind(1)
        counts = batch["signs"].to(scores.dtype).view(len(better), -1)[:, -2]
        losses = -F.logsigmoid(self.options.beta * (better - worse)) - self.options.likelihood * better
        return self.mixed(losses * counts, scores, batch)
