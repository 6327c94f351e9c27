"""Minimum risk training: outputs are sampled, and better-scoring ones are made more likely."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.data.collation import pad
from hf_seq2seq.decoding.generation import evaluating
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.metrics import check_metrics, metrics_for
from hf_seq2seq.metrics.bleu import make_sentence_bleu
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.sections import Section, option

Risk = Callable[[str, list[str]], float]
SOURCE = ("input_ids", "attention_mask")


@dataclass(frozen=True, kw_only=True)
class RiskOptions(Section):
    """Options of sampling and scoring."""

    samples: int = option(20, "Outputs sampled per source; 100 in the paper.", at_least=1, at_most=10_000)
    alpha: float = option(0.005, "Sharpness of Q: 0 makes all outputs equally likely.", above=0)
    metric: str = option("bleu", "Metric that defines the risk of an output.")

    def __post_init__(self) -> None:
        """Checks every value, and that there is such a metric."""
        super().__post_init__()
        risk_by(self.metric)


class MinimumRisk(TokenCrossEntropy):
    """The expected risk of outputs: over a sample S of a source, the sum of Q(y) risk(y).

    Q(y) = P(y)^alpha / sum over S of P(y')^alpha: the model's probabilities are renormalised over the sample. S is a
    set: the distinct sampled outputs and the reference. The risk is 1 - score / 100 for a metric for which higher is
    better, such as sentence BLEU, and score / 100 for others; all references of a row count.

    Outputs are sampled from the model's own distribution without dropout, seeded by the run's seed, the step and the
    row's index; their probabilities are computed with dropout. The loss is a mean over rows, without label smoothing
    and without auxiliary losses. Evaluations measure the cross-entropy of the target tokens. The paper starts from a
    model trained with cross-entropy.

    Paper: Shen et al., 2016, sections 3.2 and 3.3 (equations 10, 11 and 13), https://aclanthology.org/P16-1159
    """

    Options = RiskOptions
    generates = True
    reads_rows = True
    options: RiskOptions
    step = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._risk = risk_by(self.options.metric)

    def begin_step(self, step: int, steps: int) -> None:
        """Stores the step's number, which seeds sampling."""
        self.step = step

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows; in evaluation, real target tokens."""
        rows = torch.tensor(float(len(batch["labels"])), dtype=torch.float64, device=batch["labels"].device)
        return rows if "risks" in batch else super().weight(batch)

    def target_tokens(self, batch: dict[str, Tensor]) -> Tensor:
        """Real target tokens of the references."""
        return super().weight(batch)

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adds the sample: `candidates`, labels padded with -100, and the `risks` and `candidate_rows` of each.

        They are `(candidates, target)`, `(candidates,)` and `(candidates,)`; those of a row are adjacent.
        """
        rows, labels = batch["rows"].tolist(), batch["labels"]
        with evaluating(self.model):
            drawn = self._searcher()({name: batch[name] for name in SOURCE}, rows)
        samples = []
        for label, outputs in zip(labels, drawn, strict=True):
            reference = tuple(label[label != IGNORE].tolist())
            samples.append(list(dict.fromkeys([reference, *(tuple(output.whole) for output in outputs)])))
        risks = [risk for sample in zip(rows, labels, samples, strict=True) for risk in self._risks(*sample)]
        counts = torch.tensor([len(sample) for sample in samples], device=labels.device)
        return batch | {
            "candidates": pad([np.array(ids) for sample in samples for ids in sample], IGNORE).to(labels.device),
            "candidate_rows": torch.arange(len(rows), device=labels.device).repeat_interleave(counts),
            "risks": torch.tensor(risks, dtype=torch.float64, device=labels.device),
        }

    def _searcher(self) -> Searcher:
        """Samples from the model's distribution, ignoring truncation in its generation settings."""
        model: Any = self.model
        whole: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "typical_p": 1.0, "repetition_penalty": 1.0}
        whole |= {"top_k": model.config.vocab_size, "min_p": 0.0, "min_new_tokens": 0}
        seed, count = self.context.step_seed(self.step), self.options.samples
        search = Search(do_sample=True, num_return_sequences=count, seed=seed, **whole)
        assert self.context.tokenizers is not None
        return Searcher(model, search, self.context.longest, tokenizer=self.context.tokenizers.target)

    def _risks(self, row: int, labels: Tensor, sample: list[tuple[int, ...]]) -> list[float]:
        """The risk of every candidate of a row."""
        references = self.context.references(row, labels)
        return [self._risk(text, references) for text in self.context.texts([list(ids) for ids in sample], row)]

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Sum over rows of the expected risk; in evaluation, of target tokens' cross-entropies."""
        if "risks" not in batch:
            return super().forward(batch)
        scores = self.options.alpha * self.log_probabilities(batch)
        sizes = batch["candidate_rows"].bincount(minlength=len(batch["labels"])).tolist()
        risks = batch["risks"].to(scores.dtype)
        pairs = zip(scores.split(sizes), risks.split(sizes), strict=True)
        return torch.stack([score.softmax(0) @ risk for score, risk in pairs]).sum()

    def log_probabilities(self, batch: dict[str, Tensor]) -> Tensor:
        """Log P of every candidate, `(candidates,)`, in nats; each source is encoded once."""
        labels, rows = batch["candidates"], batch["candidate_rows"]
        model: Any = self.model
        encoded = model.get_encoder()(**{name: batch[name] for name in SOURCE})
        for name, part in encoded.items():
            if isinstance(part, Tensor):
                encoded[name] = part[rows]
        inputs = {"encoder_outputs": encoded, "attention_mask": batch["attention_mask"][rows]}
        losses = self.losses(inputs | {"decoder_input_ids": self.shifted({"labels": labels})}, labels)
        owners = (labels != IGNORE).nonzero()[:, 0]
        return -losses.new_zeros(len(labels)).index_add(0, owners, losses)


def risk_by(name: str) -> Risk:
    """1 - score / 100 of one text by a metric, or score / 100 if lower is better.

    BLEU is sentence BLEU: for a short output, only the n-gram orders that fit are used.

    Raises:
        InputError: there is no such metric.
    """
    family, _, tokenizer = name.partition(":")
    if family == "bleu":
        bleu = make_sentence_bleu(tokenizer or "13a")
        return lambda text, references: 1 - bleu(text, references) / 100
    (metric,) = check_metrics((name,), metrics_for("seq2seq")).values()
    key, sign = metric.keys[0], -1 if metric.greater_is_better else 1
    start = 1.0 if metric.greater_is_better else 0.0
    return lambda text, references: start + sign * metric.compute([text], [references])[key] / 100
