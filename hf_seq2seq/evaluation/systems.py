"""The systems to which `evaluate` compares a model: folders of other models, and files of predictions."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_seq2seq.data.tokenizers.unknown import TOO_LOW, Unknown, count_unknown
from hf_seq2seq.decoding.counts import Counts
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.scored_files import is_baseline, read_likelihoods
from hf_seq2seq.evaluation.scoring import Found, check_others, joined, read_others, score_rows
from hf_seq2seq.evaluation.significance import Significance


def divided(compare: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The systems to compare: folders of models, and files of predictions or folders of baselines.

    Raises:
        InputError: one is given twice.
    """
    folders = tuple(place for place in compare if Path(place).is_dir() and not is_baseline(place))
    if len(set(folders)) < len(folders):
        raise InputError("--compare: a model is given twice; compare different systems")
    return folders, tuple(place for place in compare if place not in folders)


@dataclass
class DocumentReader:
    """A language model of raw text, which generates nothing here.

    Attributes:
        model: the model, in evaluation mode.
        tokenizer: its tokenizer.
        block_size: tokens per block.
        rows: blocks per batch.
    """

    model: Any
    tokenizer: Any
    block_size: int
    rows: int

    @classmethod
    def of(cls, loaded: Any, rows: int) -> "DocumentReader":
        """Builds a reader from the result of `load_seq2seq`."""
        model, tokenizers, settings = loaded
        return cls(model, tokenizers.source, settings.run["block_size"], rows)

    def likelihoods(self, documents: list[str], references: list[list[str]]) -> tuple[Any, Counts]:
        """Likelihoods of documents, which are their own references; see `TextGenerator.likelihoods`."""
        from hf_seq2seq.data.encoding import encode_documents
        from hf_seq2seq.tasks.causal_lm import document_likelihoods

        unknown = count_unknown(encode_documents(documents, self.tokenizer).values, self.tokenizer)
        found = document_likelihoods(self.model, self.tokenizer, documents, self.block_size, self.rows)
        return found, Counts(texts=len(documents), unknown_targets=unknown)


MODEL = "the model"


class Systems:
    """A model and its competitors on text test rows.

    Args:
        metrics: metrics of texts, and of likelihoods of the references.
        significance: options of intervals and tests, and the systems to compare.
        encoding: encoding of files of predictions.

    Attributes:
        counts: the counts of each system over the rows so far, by folder; the model's key is `MODEL`.

    Raises:
        InputError: a file cannot be read, or has no probabilities although they are required.
    """

    def __init__(self, metrics: Mapping[str, Any], significance: Significance, encoding: str) -> None:
        self.counts: dict[str, Counts] = {}
        self.folders, files = divided(significance.compare)
        self._likely = {name: metric for name, metric in metrics.items() if "likelihood" in metric.problems}
        self._written = {name: metric for name, metric in metrics.items() if name not in self._likely}
        unread = [file for file in files if not is_baseline(file)]
        if unread and self._likely:
            name = next(iter(self._likely))
            raise InputError(f"--compare {unread[0]}: not a model's folder, which --metrics {name} requires")
        self._read = {file: np.array(read_likelihoods(file)) for file in files} if self._likely else {}
        self._significance, self._files = significance, read_others(files, encoding) if self._written else {}

    def check(self, sets: Sequence[int]) -> None:
        """Rejects systems that cannot be compared on sets of these sizes.

        Raises:
            InputError: there are several sets, or a file has the wrong length.
        """
        if self.folders and len(sets) > 1:
            raise InputError(f"--compare: there are {len(sets)} test sets; evaluate one at a time")
        check_others(self._files or self._read, sets)

    def score(self, model: Any, others: Mapping[str, Any], texts: list[Any], references: list[list[str]]) -> Found:
        """The report of one test set.

        Args:
            model: a `TextGenerator`, or a `DocumentReader`.
            others: the generators of the folders.
            texts: sources, conversations or documents.
            references: one or more texts per row.
        """
        found: Found = {}
        sure = self._significance
        if self._written:
            written = {name: other(texts) for name, other in others.items()}
            own = model(texts)
            self._count({MODEL: own.counts} | {name: rows.counts for name, rows in written.items()})
            found = score_rows(self._written, own, references, sure, written | self._files)
        if self._likely:
            every = {MODEL: model, **others}
            read = {name: _likelihoods(each, texts, references, name) for name, each in every.items()}
            if not self._written:  # which counted the same sources
                self._count({name: counts for name, (_, counts) in read.items()})
            likely = {name: likelihoods for name, (likelihoods, _) in read.items()}
            found = joined(found, score_rows(self._likely, likely.pop(MODEL), references, sure, likely | self._read))
            unknown = read[MODEL][1].unknown_targets
            found |= {"unknown_tokens": unknown.share} if unknown.tokens else {}
        return found

    def _count(self, counts: Mapping[str, Counts]) -> None:
        self.counts = {name: self.counts.get(name, Counts()) + more for name, more in counts.items()}


def _likelihoods(model: Any, texts: list[Any], references: list[list[str]], name: str) -> tuple[Any, Counts]:
    """Likelihoods of references and the counts; warns about unknown target tokens on standard error."""
    found, counts = model.likelihoods(texts, references)
    unknown: Unknown = counts.unknown_targets
    if unknown.tokens:
        print(f"{name}: {unknown} of the tokens are unknown. {TOO_LOW}", file=sys.stderr)
    return found, counts
