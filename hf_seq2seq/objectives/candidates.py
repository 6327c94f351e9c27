"""Shared by the objectives that learn from a model's own outputs: candidates are generated, scored and read again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hf_seq2seq.data.collation import pad
from hf_seq2seq.data.inputs import source_of
from hf_seq2seq.decoding.decoder import as_list, start_tokens
from hf_seq2seq.decoding.generation import evaluating
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics import check_metrics, metrics_for
from hf_seq2seq.metrics.metric import Metric
from hf_seq2seq.metrics.single_rows import row_scorer
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.objectives.objective import Guard
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.saved.start_tokens import shifted_after
from hf_seq2seq.sections import Section, option

Risk = Callable[[str, list[str]], float]
Output = tuple[int, ...]
GUARDS = ("chrf", "bleu")
"""The metrics that watch a run by default: the first that is not its reward."""


@dataclass(frozen=True, kw_only=True)
class CandidateOptions(Section):
    """Options of generating and scoring candidates."""

    samples: int = option(8, "Outputs per source.", at_least=2, at_most=10_000)
    metric: str = option("bleu", "Metric that defines the risk of an output.")
    cross_entropy: float = option(
        0.0, "Share of the target's cross-entropy per token in the loss.", at_least=0, at_most=1
    )
    guard: str = option("", "Metric on validation that stops the run when it falls; none turns it off.")
    patience: int = option(3, "Evaluations in a row in which it is below its value at the start.", at_least=1)
    tolerance: float = option(1.0, "By how many points it may be below, which may be chance.", at_least=0)
    random_start: bool = option(False, "Allow a start from random weights.")

    def __post_init__(self) -> None:
        """Checks every value, and that the metrics can score outputs."""
        super().__post_init__()
        risk_by(self.metric)
        if self.guard not in ("", "none"):
            _text_metric("guard", self.guard)
        for name in ("patience", "tolerance") if self.guard == "none" else ():
            if getattr(self, name) != getattr(type(self), name):
                raise InputError(f"{name}: with guard=none nothing is watched; leave out one of them")

    @property
    def watched(self) -> Guard | None:
        """The metric that must not fall; by default chrF, or BLEU where the reward is chrF."""
        if self.guard == "none":
            return None
        other = next(name for name in GUARDS if not self.metric.startswith(name))
        return Guard(self.guard or other, self.patience, self.tolerance, given=bool(self.guard))


class CandidateObjective(TokenCrossEntropy):
    """Learns from outputs that the model generates for a source, each with its risk.

    The risk is 1 - score / 100 for a metric for which higher is better, such as sentence BLEU, and score / 100 for
    others; all references of a row count. Outputs are generated without dropout, and sampled ones are seeded by the
    run's seed, the step and the row's index; their probabilities are computed with dropout. A source is encoded once
    for all of them.

    The loss is a mean over rows, without label smoothing and without auxiliary losses; `cross_entropy` is the share in
    it of the target's cross-entropy per token, averaged within each row. Evaluations measure the cross-entropy of the
    target tokens.
    """

    Options = CandidateOptions
    generates = True
    reads_rows = True
    needs_encoder = True
    options: CandidateOptions
    step = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._risk = risk_by(self.options.metric)
        self.guard = self.options.watched

    @property
    def reads_sources(self) -> bool:
        """Whether its metric reads sources."""
        return _text_metric("metric", self.options.metric).needs_sources

    def begin_step(self, step: int, steps: int) -> None:
        """Stores the step's number, which seeds sampling."""
        self.step = step

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows; in evaluation, real target tokens."""
        rows = torch.tensor(float(len(batch["labels"])), dtype=torch.float64, device=batch["labels"].device)
        return rows if "candidates" in batch else super().weight(batch)

    def target_tokens(self, batch: dict[str, Tensor]) -> Tensor:
        """Real target tokens of the references."""
        return super().weight(batch)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Sum over rows of their losses; in evaluation, of target tokens' cross-entropies."""
        return self.row_losses(batch).sum() if "candidates" in batch else super().forward(batch)

    def row_losses(self, batch: dict[str, Tensor]) -> Tensor:
        """The loss of every row, `(rows,)`."""
        raise NotImplementedError

    def search(self, batch: dict[str, Tensor], **settings: Any) -> list[list[Output]]:
        """The outputs of every row, EOS included; by default its `samples` from the model's distribution."""
        settings = settings or {"do_sample": True, "num_return_sequences": self.options.samples}
        with evaluating(self.model):
            found = self.searcher(**settings)(self.context.searched(batch), batch["rows"].tolist())
        return [[tuple(output.whole) for output in outputs] for outputs in found]

    def searcher(self, **settings: Any) -> Searcher:
        """Searches by the model's own distribution."""
        return self.context.searcher(self.model, self.step, **settings)

    def targets(self, batch: dict[str, Tensor]) -> list[Output]:
        """The target of every row as an output: without a language code after its EOS, which starts the decoder."""
        ends = as_list(self.model.generation_config.eos_token_id)  # type: ignore[union-attr]
        found = [tuple(label[label != IGNORE].tolist()) for label in batch["labels"]]
        return [ids[:-1] if len(ids) > 1 and ids[-2] in ends and ids[-1] not in ends else ids for ids in found]

    def risks(self, batch: dict[str, Tensor], outputs: Sequence[Sequence[Output]]) -> list[list[float]]:
        """The risk of every output of every row; an output that is there several times is scored once."""
        found = []
        for row, labels, sample in zip(batch["rows"].tolist(), batch["labels"], outputs, strict=True):
            distinct = list(dict.fromkeys(sample))
            texts = self.context.texts([list(ids) for ids in distinct], row)
            references = self.context.references(row, labels)
            risks = {ids: self._risk(text, references) for ids, text in zip(distinct, texts, strict=True)}
            found.append([risks[ids] for ids in sample])
        return found

    def packed(
        self, batch: dict[str, Tensor], outputs: Sequence[Sequence[Output]], **values: Sequence[Sequence[float]]
    ) -> dict[str, Tensor]:
        """The batch with `candidates`, labels padded with -100, `candidate_rows`, and a value of each by name.

        They are `(candidates, target)`, `(candidates,)` and `(candidates,)` float64; those of a row are adjacent.
        """
        device = batch["labels"].device
        counts = torch.tensor([len(sample) for sample in outputs], device=device)
        found = {
            "candidates": pad([np.array(ids) for sample in outputs for ids in sample], IGNORE).to(device),
            "candidate_rows": torch.arange(len(outputs), device=device).repeat_interleave(counts),
        }
        for name, rows in values.items():
            flat = [value for row in rows for value in row]
            found[name] = torch.tensor(flat, dtype=torch.float64, device=device)
        return batch | found

    def log_probabilities(self, batch: dict[str, Tensor], counted: Tensor | None = None) -> Tensor:
        """Log P of every candidate after the start that a search has, `(candidates,)`, in nats.

        Each source is encoded once. `counted`, `(candidates, target)`, is where tokens count; by default all do.
        """
        labels, rows = batch["candidates"], batch["candidate_rows"]
        model: Any = self.model
        encoded = model.get_encoder()(**source_of(batch))
        for name, part in encoded.items():
            if isinstance(part, Tensor):
                encoded[name] = part[rows]
        starts = start_tokens(model, self.context.searched(batch))[rows]
        inputs = {"encoder_outputs": encoded, "attention_mask": batch["attention_mask"][rows]}
        shifted = shifted_after(starts, labels, model.config.pad_token_id)
        losses = self.losses(inputs | {"decoder_input_ids": shifted}, labels)
        real = labels != IGNORE
        owners = real.nonzero()[:, 0]
        if counted is not None:
            losses = losses * counted[real]
        return -losses.new_zeros(len(labels)).index_add(0, owners, losses)

    def mixed(self, losses: Tensor, scores: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The rows' losses `(rows,)` mixed with the cross-entropy of their first candidates, which are the targets.

        `scores` are the log-probabilities of all candidates.
        """
        share = self.options.cross_entropy
        if not share:
            return losses
        rows = batch["candidate_rows"]
        first = rows.diff(prepend=rows.new_full((1,), -1)) > 0
        tokens = (batch["candidates"][first] != IGNORE).sum(1)
        return (1 - share) * losses - share * scores[first] / tokens


def per_row(values: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """The sum of the candidates' values `(candidates,)` within each row, `(rows,)`."""
    return values.new_zeros(len(batch["labels"])).index_add(0, batch["candidate_rows"], values)


def risk_by(name: str) -> Risk:
    """1 - score / 100 of one text by a metric, or score / 100 if lower is better.

    BLEU is sentence BLEU: for a short output, only the n-gram orders that fit are used.

    Raises:
        InputError: there is no such metric, or it does not score single outputs.
    """
    _text_metric("metric", name)
    score, metric = row_scorer(name)
    if metric.aligned:
        raise InputError(f"metric: {name} needs outputs of as many words as the reference, which no sample has to have")
    start, sign = (1.0, -1) if metric.greater_is_better else (0.0, 1)
    return lambda text, references: start + sign * score([text], [references])[0] / 100


def _text_metric(option: str, name: str) -> Metric:
    """The metric of texts that an option names."""
    try:
        (metric,) = check_metrics((name,), metrics_for("seq2seq")).values()
    except InputError as error:
        raise InputError(f"{option}: {str(error).removeprefix('--metrics').lstrip(': ')}") from None
    return metric
