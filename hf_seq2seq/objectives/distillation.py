"""Token-level knowledge distillation: a student learns a teacher's distribution of every next token."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hf_seq2seq.data.collation import pad
from hf_seq2seq.data.inputs import source_of
from hf_seq2seq.decoding.decoder import start_tokens
from hf_seq2seq.decoding.generation import evaluating
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.cross_entropy import OutputProjection, TokenCrossEntropy, output_logits, output_states
from hf_seq2seq.objectives.divergences import DIVERGENCES
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.saved.start_tokens import shifted_labels, starts_with_last
from hf_seq2seq.sections import Section, option

if TYPE_CHECKING:
    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers

HALF = 0.5
"""Default share of the teacher in the mixture of Jensen-Shannon."""
OWN = "own_samples"
"""Marks rows of a batch whose labels the student sampled, `(batch,)`."""


@dataclass(frozen=True, kw_only=True)
class DistillationOptions(Section):
    """The teacher, and how the student is compared with it."""

    teacher: str | None = option(None, "The teacher: folder of a run or a checkpoint, or a Hub id.")
    temperature: float = option(1.0, "Divides the logits of both.", at_least=0.01, at_most=1000)
    divergence: str = option(
        "forward", "KL divergence of the student from the teacher, or another.", choices=tuple(DIVERGENCES)
    )
    weight: float = option(0.5, "Share of the divergence; the rest is cross-entropy.", above=0, at_most=1)
    beta: float = option(HALF, "Jensen-Shannon: share of the teacher in the mixture.", above=0, at_most=0.999)
    own_samples: float = option(
        0.0, "Share of rows on which the student's own samples replace the target.", at_least=0, at_most=1
    )

    def __post_init__(self) -> None:
        """Checks every value, and that there is such a teacher."""
        super().__post_init__()
        if self.beta != HALF and self.divergence != "jensen_shannon":
            raise InputError(f"beta: only applies to divergence=jensen_shannon, not {self.divergence}")
        if not self.teacher:
            raise InputError("teacher: is missing; name the folder of a trained model")
        from hf_seq2seq.saved.model_paths import find_model

        find_model(self.teacher)


class Distillation(TokenCrossEntropy):
    """(1 - weight) cross-entropy + weight temperature² D(teacher, student), summed over the target's tokens.

    D compares the distributions of the next token, both softened by the temperature: KL(teacher || student) (forward),
    KL(student || teacher) (reverse), or the generalized Jensen-Shannon divergence. The factor of temperature² keeps the
    size of its gradient. The teacher reads the same tokens in evaluation mode, and is frozen.

    A share of the rows, drawn by the run's seed, the step and the row's index, has as target an output that the student
    samples without dropout; for those only D counts, with the same weight. No gradient flows through the sampling.
    Evaluations measure the cross-entropy of the target tokens.

    Papers: Hinton et al., 2015, section 2 (temperature), https://arxiv.org/abs/1503.02531; Kim and Rush, 2016, section
    3.1 (equation 4), https://aclanthology.org/D16-1139; Agarwal et al., 2024, section 3 (GKD: divergences and own
    samples; there a whole batch is sampled or not), https://arxiv.org/abs/2306.13649
    """

    Options = DistillationOptions
    options: DistillationOptions
    step = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.options.own_samples and not self.has_encoder:
            raise InputError("--loss-args own_samples: is for models with an encoder; leave it out")
        self.generates = self.reads_rows = bool(self.options.own_samples)
        teacher = self._load()
        projection = OutputProjection(teacher, use_cache=False)
        # In a tuple, so that it is not a part of this module: neither trained, nor wrapped, nor saved.
        self._teacher = (teacher, projection if projection.is_exact(teacher) else None)
        # Labels of which a model takes the last one as its start token, as mBART does, have to end with that.
        self._start_is_last = self.has_encoder and any(map(starts_with_last, (self.model, teacher)))

    def _load(self) -> Any:
        """The teacher, after checking that it reads and writes the student's tokens."""
        from hf_seq2seq.saved.loading import load_seq2seq

        place = str(self.options.teacher)
        teacher, tokenizers, settings = load_seq2seq(place)
        check_teacher(place, teacher, tokenizers, self.model, self.context.tokenizers)
        if settings.run and settings.prefix != self.context.prefix:
            raise InputError(
                f"--loss-args teacher={place}: was trained with --source-prefix {settings.prefix!r}, "
                f"not {self.context.prefix!r}; both read the same sources, so give the same"
            )
        longest = max(self.context.longest, self.context.most)
        if self.context.examples is not None:
            longest = max(longest, int(self.context.examples.lengths.max(initial=0)))
        room = longest_sequence(teacher)
        if room is not None and room < longest:
            raise InputError(
                f"--loss-args teacher={place}: has {room} positions, and rows have up to {longest} tokens; "
                f"set --max-source-length and --max-target-length to {room}"
            )
        return teacher.requires_grad_(False)

    def begin_step(self, step: int, steps: int) -> None:
        """Stores the step's number, which seeds sampling."""
        self.step = step

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Replaces the labels of the drawn rows by the student's samples, and marks these rows as `own_samples`."""
        if not self.generates:
            return batch
        numbers, labels = batch["rows"].tolist(), batch["labels"]
        own = np.array([self.context.random(self.step, row).random() < self.options.own_samples for row in numbers])
        if not own.any():
            return batch
        chosen = torch.from_numpy(np.flatnonzero(own)).to(labels.device)
        searcher = self.context.searcher(self.model, self.step, do_sample=True)
        read = {name: part[chosen] for name, part in self.context.searched(batch).items()}
        with evaluating(self.model):
            drawn = searcher(read, [numbers[row] for row in chosen.tolist()])
        ids = [label[label != IGNORE].cpu().numpy() for label in labels]
        starts = start_tokens(self.model, read)[:, 0].tolist()  # type: ignore[arg-type]
        for row, (sample,), start in zip(chosen.tolist(), drawn, starts, strict=True):
            added = [start] * (self._start_is_last and sample.whole[-1] != start)
            ids[row] = np.array([*sample.whole, *added])
        replaced = {"labels": pad(ids, IGNORE).to(labels.device), OWN: torch.from_numpy(own).to(labels.device)}
        return batch | replaced

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """As of cross-entropy."""
        return super().inputs({name: value for name, value in batch.items() if name != OWN})

    def teacher_inputs(self, teacher: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the teacher reads: the source, and the labels shifted in its own way; without an encoder, the same."""
        if not self.has_encoder:
            return self.inputs(batch)
        shifted = shifted_labels(teacher, batch["labels"])
        return source_of(batch) | {"decoder_input_ids": shifted}

    def pass_once(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Any]:
        """As of cross-entropy, with the divergence from the teacher in training."""
        if not self.training:
            return super().pass_once(batch)
        labels = batch["labels"]
        real = labels != IGNORE
        gold = real if OWN not in batch else real & ~batch[OWN][:, None]
        states, outputs = self.states_of(self.inputs(batch), real)
        teacher, projection = self._teacher
        if teacher.device != labels.device:
            teacher.to(labels.device)
        with torch.no_grad():
            theirs, _ = output_states(teacher, projection, self.teacher_inputs(teacher, batch), real)
        loss = self.sum_in_chunks(self._chunk_loss, states, theirs, labels[real], gold[real])
        return self.with_auxiliary(loss, outputs, batch), states, outputs

    def _chunk_loss(self, states: Tensor, theirs: Tensor, labels: Tensor, gold: Tensor) -> Tensor:
        """The summed loss of some positions; `gold` are those whose label is the data's."""
        weight, heat = self.options.weight, self.options.temperature
        logits = self.logits_of(states)
        with torch.no_grad():
            wanted = output_logits(self._teacher[1], theirs).to(logits.dtype)
        smoothing = self.label_smoothing
        plain = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing).masked_fill(~gold, 0)
        size = min(logits.shape[1], wanted.shape[1])  # an output layer may be padded
        both = (wanted[:, :size] / heat).log_softmax(-1), (logits[:, :size] / heat).log_softmax(-1)
        apart = DIVERGENCES[self.options.divergence](*both, self.options.beta)
        return ((1 - weight) * plain + weight * heat**2 * apart).sum()


def check_teacher(place: str, teacher: Any, theirs: "Tokenizers", student: Any, own: "Tokenizers | None") -> None:
    """Rejects a teacher that cannot read or write the student's tokens.

    Raises:
        InputError: only one of the two has an encoder or copies source words, or their vocabularies differ; says how.
    """
    if teacher.config.is_encoder_decoder != student.config.is_encoder_decoder:
        raise InputError(
            f"--loss-args teacher={place}: only one of teacher and student has an encoder; "
            "`hf-seq2seq distill` allows it"
        )
    if any(getattr(each.config, "copy_vocab_size", 0) for each in (teacher, student)):
        raise InputError(
            f"--loss-args teacher={place}: --copy-vocab-size is not supported; `hf-seq2seq distill` allows it"
        )
    for side in ("source", "target") if own is not None else ():
        found = difference(getattr(theirs, side).get_vocab(), getattr(own, side).get_vocab())
        if found:
            raise InputError(
                f"--loss-args teacher={place}: its {side} vocabulary is not the student's: {found}; use its tokenizer "
                f"(--tokenizer-name {place}), or `hf-seq2seq distill`, which works across tokenizers"
            )


def difference(theirs: dict[str, int], own: dict[str, int]) -> str:
    """How the teacher's vocabulary differs from the student's; empty if they are the same."""
    if theirs == own:
        return ""
    if len(theirs) != len(own):
        return f"{len(theirs):,} tokens, not {len(own):,}"
    token = next((token for token in theirs if token not in own), None)
    if token is not None:
        return f"only the teacher has {token!r}"
    token = next(token for token in theirs if theirs[token] != own[token])
    return f"{token!r} is token {theirs[token]}, not {own[token]}"
