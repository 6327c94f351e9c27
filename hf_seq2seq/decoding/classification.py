"""Labels and scores of texts, in batches of similar lengths, with results in input order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hf_seq2seq.configs import Tokenization
from hf_seq2seq.data.batches import ordered_batches
from hf_seq2seq.data.collation import LabelCollator
from hf_seq2seq.data.encoding import encode_labelled
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.labelled_texts import Labelled
from hf_seq2seq.data.tokenizers.locked import tokenizing
from hf_seq2seq.data.tokenizers.unknown import count_unknown
from hf_seq2seq.data.windows import MEAN, Windows, make_windows, pool_windows
from hf_seq2seq.decoding.counts import Counts
from hf_seq2seq.decoding.generation import ONE_AT_A_TIME, Advance, evaluating
from hf_seq2seq.decoding.label_kinds import LABEL_KINDS, LabelKind, verdict
from hf_seq2seq.decoding.saliency import label_saliency, pooled_saliency
from hf_seq2seq.errors import InputError
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.saved.run_settings import UNBOUNDED

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROBLEMS = {
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}


@dataclass
class TextClassifier:
    """Computes the logits of many texts; it is stateless and thread-safe.

    Attributes:
        model: a classifier in evaluation mode.
        tokenizer: its tokenizer.
        batch_size: texts per batch.
        max_source_length: longer texts are truncated to this many tokens; None for no limit.
        advance: called with the number of finished rows after every batch.
        windows: how texts are read that are too long; None to truncate them.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    batch_size: int
    max_source_length: int | None = None
    advance: Advance | None = None
    windows: Windows | None = None

    @property
    def problem(self) -> str:
        """The problem type: "single_label", "multi_label" or "regression"."""
        default = "regression" if len(self.label_names) == 1 else "single_label"
        return PROBLEMS.get(self.model.config.problem_type or "", default)

    @property
    def kind(self) -> LabelKind:
        """How its scores become a label."""
        return LABEL_KINDS[self.problem]

    @property
    def scoring(self) -> str:
        """The problem type used to turn logits into scores, chosen as in transformers' pipeline.

        A model with one label and no problem type, such as a reranker, gives a score between 0 and 1.
        """
        if self.model.config.problem_type == "regression":
            return "regression"
        return "multi_label" if len(self.label_names) == 1 else self.problem

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels in the order of their ids."""
        names: dict[int, str] = self.model.config.id2label  # type: ignore[assignment]
        return tuple(names[number] for number in sorted(names))

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Logits of every text, or pair of texts, in order: `(rows, classes)` float32."""
        return self.read(texts, pairs)[0]

    @torch.inference_mode()
    def read(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> tuple[np.ndarray, Counts]:
        """The logits, and the counts of the texts."""
        collate = LabelCollator(self.tokenizer.pad_token_id or 0)
        with ONE_AT_A_TIME, evaluating(self.model):
            whole = self._encoded(texts, pairs)
            examples, owners, shortened = self._in_windows(whole, pairs is not None)
            is_first = np.append(True, owners[1:] != owners[:-1])[: len(owners)]
            found = np.zeros((len(owners), len(self.label_names)), dtype=np.float32)
            for numbers in reversed(ordered_batches(examples.source.lengths[:, None], self.batch_size)):
                batch = self._batch(collate, examples, numbers)
                found[numbers] = self.model(**batch).logits.float().cpu().numpy()
                if self.advance:
                    self.advance(int(is_first[numbers].sum()))
        if self.windows is not None:
            parts = torch.from_numpy(found), torch.from_numpy(owners)
            found = pool_windows(*parts, len(texts), self.windows.pooling).numpy()
        unknown = count_unknown(whole.source.values, self.tokenizer)
        return found, Counts(texts=len(texts), truncated=whole.truncated[0] + shortened, unknown=unknown)

    def _in_windows(self, whole: Examples, pairs: bool) -> tuple[Examples, np.ndarray, int]:
        """A row per window, the number of the text of each, and how many pairs lose a part of their shorter text."""
        if self.windows is None:
            return whole, np.arange(len(whole.source)), 0
        windows = self._cut(pairs)
        ids, types, owners = windows.of(whole.source, range(len(whole.source)), whole.token_types)
        segments = None if types is None else Ragged.of(types)
        labels = np.zeros(len(ids), dtype=np.int64)
        examples = replace(whole, source=Ragged.of(ids), labels=labels, token_types=segments)
        return examples, owners, windows.shortened(whole.source)

    def saliency(
        self, text: str, pair: str | None, score_of: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of a text, or a pair of texts, and what each adds to a score, by gradients x input.

        A text read in windows has the score of its pooled logits, to which a token adds its share of every window.

        Args:
            text: the text.
            pair: its second text, if it has one.
            score_of: a number of the logits `(classes,)`.

        Returns:
            Ids and shares, `(tokens,)` each.
        """
        pairs = None if pair is None else [pair]
        collate = LabelCollator(self.tokenizer.pad_token_id or 0)
        with ONE_AT_A_TIME, evaluating(self.model):
            whole = self._encoded([text], pairs)
            ids = whole.source[0]
            if self.windows is None:
                return ids, label_saliency(self.model, self._batch(collate, whole, np.array([0])), score_of)
            examples, owners, _ = self._in_windows(whole, pairs is not None)
            batches = [self._batch(collate, examples, np.array([window])) for window in range(len(owners))]
            found = pooled_saliency(self.model, batches, self.windows.pooling, score_of)
        shares = np.zeros(len(ids))
        for places, own in zip(self._cut(pairs is not None).places(ids), found, strict=True):
            shares[places] += own
        return ids, shares

    def _cut(self, pairs: bool) -> Windows:
        """How texts, or pairs of texts, are cut."""
        assert self.windows is not None
        size, stride, pooling = self.windows.size, self.windows.stride, self.windows.pooling
        return make_windows(self.tokenizer, size, stride, pooling, pairs=True) if pairs else self.windows

    def _encoded(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Examples:
        labels = np.zeros(len(texts), dtype=np.int64)
        rows = Labelled(list(texts), None if pairs is None else list(pairs), labels, {})
        reads_all = self.windows is not None and not self.windows.leaves_out
        limit = UNBOUNDED if reads_all else self.max_source_length or UNBOUNDED
        with tokenizing():
            return encode_labelled(rows, self.tokenizer, Tokenization(max_source_length=limit))

    def _batch(self, collate: LabelCollator, examples: Examples, numbers: np.ndarray) -> dict[str, torch.Tensor]:
        batch = {name: tensor.to(self.model.device) for name, tensor in collate(examples, numbers).items()}
        del batch["labels"]
        return batch


def windows_of(
    tokenizer: "PreTrainedTokenizerBase",
    limit: int | None,
    run: Mapping[str, Any],
    stride: int | None = None,
    pooling: str | None = None,
) -> Windows | None:
    """How a classifier reads texts that are too long: as told, or as in its training; None to truncate them.

    Raises:
        InputError: there are no windows to pool, or they share all their tokens.
    """
    stride = run.get("stride") if stride is None else stride
    if stride is None and pooling is not None:
        raise InputError(f"--window-pooling {pooling}: there are no windows; add --stride")
    if stride is None or limit is None:
        return None
    return make_windows(tokenizer, limit, stride, pooling or run.get("window_pooling") or MEAN)


def probabilities(logits: np.ndarray, problem: str) -> np.ndarray:
    """A score between 0 and 1 per class, summing to 1 for single labels; the numbers themselves in regression."""
    return LABEL_KINDS[problem].scores(logits)


def verdict_of(scores: np.ndarray, classifier: TextClassifier) -> dict[str, Any]:
    """Label, score and all scores: one label, a list of those above 0.5, or a number in regression."""
    return verdict(classifier.kind, classifier.label_names, scores)
