"""Self-critical training: sampled outputs that beat a baseline are made more likely, and others less."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from hf_seq2seq.decoding.decoder import as_list
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.candidates import CandidateObjective, CandidateOptions, Output, per_row
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.sections import option


@dataclass(frozen=True, kw_only=True)
class SelfCriticalOptions(CandidateOptions):
    """Options of sampling, scoring and the baseline."""

    samples: int = option(8, "Outputs sampled per source; 1 in the paper.", at_least=1, at_most=10_000)
    baseline: str = option(
        "greedy", "What a sample is compared with: greedy output, or the others (rloo).", choices=("greedy", "rloo")
    )

    def __post_init__(self) -> None:
        """Checks every value, and that a sample has others to be compared with."""
        super().__post_init__()
        if self.baseline == "rloo" and self.samples < 2:
            raise InputError("samples: 1 is too small for baseline=rloo, the mean of the others; the minimum is 2")


class SelfCritical(CandidateObjective):
    """The expected risk of a sampled output, whose gradient is estimated by REINFORCE with a baseline.

    The gradient is the mean over samples y of (risk(y) - b) times that of log P(y). The baseline b is the risk of the
    greedy output, or with `rloo` the mean risk of the row's other samples; neither biases the gradient, which is that
    of the expected risk. The value of the loss is the mean risk of the samples. Tokens that generation forces are not
    the model's choice, and are left out of log P. Samples that are equal are read once.

    Paper: Rennie et al., 2017, section 3.2 (equations 7 to 9), https://arxiv.org/abs/1612.00563
    Paper: Kool et al., 2019 (the mean of the others), https://openreview.net/forum?id=r1lgTGL5DE
    """

    Options = SelfCriticalOptions
    options: SelfCriticalOptions

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adds the target and the sampled outputs as `CandidateObjective.packed` does.

        `shares` are the candidates' frequencies in the sample, `risks` their risks and `advantages` the sums of their
        samples' risks minus baseline, over the number of samples; the target has the share 0 unless it was sampled.
        """
        drawn, targets = self.search(batch), self.targets(batch)
        is_greedy = self.options.baseline == "greedy"
        best = self.search(batch, num_beams=1) if is_greedy else [[] for _ in drawn]
        scored = [[target, *greedy, *sample] for target, greedy, sample in zip(targets, best, drawn, strict=True)]
        outputs, shares, risks, advantages = [], [], [], []
        for row, found, sample in zip(scored, self.risks(batch, scored), drawn, strict=True):
            known = dict(zip(row, found, strict=True))
            kept = list(dict.fromkeys((row[0], *sample)))
            count = max(1, len(sample))
            over = self.advantages([known[ids] for ids in sample], found[1] if len(row) > len(sample) + 1 else 0.0)
            outputs.append(kept)
            risks.append([known[ids] for ids in kept])
            shares.append(_by_output(kept, sample, [1 / count] * count))
            advantages.append(_by_output(kept, sample, [value / count for value in over]))
        return self.packed(batch, outputs, shares=shares, risks=risks, advantages=advantages)

    def advantages(self, risks: Sequence[float], greedy: float) -> list[float]:
        """The risk of every sample of a row minus its baseline; `greedy` is the risk of the greedy output."""
        if self.options.baseline == "greedy" or len(risks) < 2:
            return [risk - greedy for risk in risks]
        total, others = sum(risks), len(risks) - 1
        return [risk - (total - risk) / others for risk in risks]

    def row_losses(self, batch: dict[str, Tensor]) -> Tensor:
        """The mean risk of every row's samples with REINFORCE's gradient, mixed with the target's cross-entropy."""
        scores = self.log_probabilities(batch, self.chosen(batch["candidates"]))
        shares, risks, advantages = (batch[name].to(scores.dtype) for name in ("shares", "risks", "advantages"))
        moved = advantages * (scores - scores.detach())
        return self.mixed(per_row(shares * risks + moved, batch), scores, batch)

    def chosen(self, candidates: Tensor) -> Tensor:
        """Where a token of the candidates is the model's choice: not padding, not forced; `(candidates, target)`."""
        own = self.model.generation_config
        chosen = candidates != IGNORE
        if own.forced_bos_token_id is not None or self.context.forces_first:  # type: ignore[union-attr]
            chosen[:, 0] = False
        if as_list(own.forced_eos_token_id) and candidates.shape[1] == self.context.longest:  # type: ignore[union-attr]
            chosen[:, -1] = False
        return chosen


def _by_output(outputs: Sequence[Output], sample: Sequence[Output], values: Sequence[float]) -> list[float]:
    """The sum of the samples' values for each distinct output."""
    sums = dict.fromkeys(outputs, 0.0)
    for ids, value in zip(sample, values, strict=True):
        sums[ids] += value
    return list(sums.values())
