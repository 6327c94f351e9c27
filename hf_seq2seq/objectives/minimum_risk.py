"""Minimum risk training: outputs are sampled, and better-scoring ones are made more likely."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hf_seq2seq.objectives.candidates import CandidateObjective, CandidateOptions
from hf_seq2seq.sections import MOST_WEIGHT, option


@dataclass(frozen=True, kw_only=True)
class RiskOptions(CandidateOptions):
    """Options of sampling and scoring."""

    samples: int = option(20, "Outputs sampled per source; 100 in the paper.", at_least=2, at_most=10_000)
    alpha: float = option(0.005, "Sharpness of Q: 0 makes all outputs equally likely.", above=0, at_most=MOST_WEIGHT)


class MinimumRisk(CandidateObjective):
    """The expected risk of outputs: over a sample S of a source, the sum of Q(y) risk(y).

    Q(y) = P(y)^alpha / sum over S of P(y')^alpha: the model's probabilities are renormalised over the sample. S is a
    set: the distinct sampled outputs and the reference. The paper starts from a model trained with cross-entropy.

    Paper: Shen et al., 2016, sections 3.2 and 3.3 (equations 10, 11 and 13), https://aclanthology.org/P16-1159
    """

    Options = RiskOptions
    options: RiskOptions

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adds the sample as `CandidateObjective.packed` does, the reference first, with its `risks`."""
        drawn = zip(self.targets(batch), self.search(batch), strict=True)
        samples = [list(dict.fromkeys((target, *outputs))) for target, outputs in drawn]
        return self.packed(batch, samples, risks=self.risks(batch, samples))

    def row_losses(self, batch: dict[str, Tensor]) -> Tensor:
        """The expected risk of every row, mixed with the reference's cross-entropy, `(rows,)`."""
        scores = self.log_probabilities(batch)
        sizes = batch["candidate_rows"].bincount(minlength=len(batch["labels"])).tolist()
        risks = batch["risks"].to(scores.dtype)
        pairs = zip((self.options.alpha * scores).split(sizes), risks.split(sizes), strict=True)
        return self.mixed(torch.stack([(score.softmax(0) * risk).sum() for score, risk in pairs]), scores, batch)
