"""One pass over test rows: outputs, their likelihood and that of the references, attention, and scores per row.

Rows are read in chunks, and of each only figures stay in memory; texts, tokens and candidates' statistics go to files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from hf_seq2seq import strict_json
from hf_seq2seq.analysis.records import FIGURES, Figures, Mended
from hf_seq2seq.data.copying import Words, name_target_words
from hf_seq2seq.data.tokenizers.unknown import count_unknown
from hf_seq2seq.decoding.counts import Counts
from hf_seq2seq.decoding.generation import ONE_AT_A_TIME, as_search, evaluating, texts_of
from hf_seq2seq.decoding.normalization import LengthNormalization
from hf_seq2seq.decoding.outputs import Written
from hf_seq2seq.decoding.scoring import Scored
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.evaluation.exposure import PositionSums
from hf_seq2seq.metrics.metric import Metric
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.reports.tables import Tables
from hf_seq2seq.reports.text_figures import Candidates, mended_texts, text_figures
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.saved.run_settings import UNBOUNDED

CHUNK = 512  # rows
FEWEST = 5  # rows of a position whose losses are shown
IN_FILE = ("score", "confidence", "log_prob", "reference_log_prob")
"""Figures that the file of rows has too."""
Target = tuple[int, list[int]]
"""A row of the chunk, and the ids of a text for it."""


@dataclass
class RowReader:
    """Reads rows with a model, and collects what the record needs.

    Attributes:
        generator: the model's generator; its search returns all beams.
        metric: a metric with statistics per row.
        attends: whether the model has attention on the source.
        rows: how many there are.
        folder: of the report, where statistics of candidates lie meanwhile.
        figures: of all rows, `(rows,)` each; NaN of those not read yet.
        statistics: the metric's of the outputs, `(rows, statistics)`; 0 of rows not read yet.
    """

    generator: TextGenerator
    metric: Metric
    attends: bool
    rows: int
    folder: Path
    counts: Counts = field(default_factory=Counts)
    exposure: PositionSums = field(default_factory=PositionSums)
    figures: Figures = field(init=False)
    statistics: np.ndarray = field(init=False)
    _mended: dict[str, Tables] = field(default_factory=dict)
    _nbest: Tables = field(init=False)

    def __post_init__(self) -> None:
        """Takes the memory of all rows at once: parts that are joined at the end would take it twice."""
        self.figures = {name: np.full(self.rows, np.nan) for name in FIGURES}
        self.statistics = np.zeros((self.rows, 0))
        self._nbest = Tables(self.folder)

    @property
    def mended(self) -> dict[str, Mended]:
        """By fault, the rows that have it, and their statistics once it is mended."""
        best = Tables(self.folder)
        for row, table in best_of(self._nbest, self.statistics, self.metric) if len(self._nbest) else ():
            best.add(row, table[None])
        every = self._mended | {"nbest": best}
        return {name: Mended(found.numbers, found.read) for name, found in every.items() if len(found)}

    def read(self, sources: list[Any], references: list[list[str]], first: int, stream: TextIO) -> None:
        """Reads one chunk, of which `first` is the first row's number."""
        figures = {name: values[first : first + len(sources)] for name, values in self.figures.items()}
        with ONE_AT_A_TIME, evaluating(self.generator.model):
            outputs = self._write(sources, first, figures)
            targets = self._reference_ids(sources, references, outputs, figures)
            scored = self._score_outputs(outputs, dict(reversed(targets)), figures)
            forced = self._compare(outputs, targets, scored, figures)
        statistics = []
        for row, source in enumerate(sources):
            texts = Candidates(source if isinstance(source, str) else "", list(outputs[row].texts), references[row])
            statistics.append(self._score(row, replace(texts, forced=forced.get(row)), figures, first))
        table = np.stack(statistics)
        if not first:
            self.statistics = np.zeros((self.rows, table.shape[1]))
        self.statistics[first : first + len(table)] = table
        for row, source in enumerate(sources):
            line = {"source": source, "output": outputs[row].texts[0], "references": references[row]}
            line |= {name: round(float(figures[name][row]), 4) for name in IN_FILE}
            line |= self._tokens(outputs[row], scored.get(row))
            stream.write(strict_json.dumps(line, ensure_ascii=False) + "\n")

    def _tokens(self, one: Written, scored: Scored | None) -> dict[str, list[Any]]:
        """Ids, tokens and log-probabilities of an output; empty if it has none."""
        if scored is None:
            return {"ids": [], "tokens": [], "log_probs": []}
        ids, details = one.hypotheses[0].whole, self.generator.reader.details_of
        tokens = details(one.ids, ids, Scored(scored.log_probs), one.words)["tokens"]
        return {"ids": ids, "tokens": tokens, "log_probs": [round(each, 4) for each in scored.log_probs]}

    def _write(self, sources: list[Any], first: int, figures: Figures) -> list[Written]:
        """The outputs of every row; a row without any has an empty text."""
        generator = self.generator
        asked = [row for row, text in enumerate(sources) if not isinstance(text, str) or text.strip()]
        written, counts = generator.write([sources[row] for row in asked], [first + row for row in asked])
        self.counts += counts + Counts(texts=len(sources), impossible=sum(not one.hypotheses for one in written))
        found = [Written(np.zeros(0, dtype=np.int32), "", [], [""]) for _ in sources]
        limit = generator.max_source_length or UNBOUNDED
        whole, _ = replace(generator, max_source_length=None).encode([sources[row] for row in asked])
        for row, one, length in zip(asked, written, whole.lengths, strict=True):
            found[row] = one if one.hypotheses else replace(one, texts=[""])
            figures["source_tokens"][row], figures["truncated"][row] = length, length > limit
            figures["unknown_source"][row] = count_unknown(one.ids, generator.tokenizers.source).tokens
            if one.hypotheses:
                figures["ended"][row] = not one.hypotheses[0].fills(generator.max_new_tokens)
                figures["output_tokens"][row] = len(one.hypotheses[0].whole)
        return found

    def _score_outputs(
        self, outputs: Sequence[Written], golds: Mapping[int, list[int]], figures: Figures
    ) -> dict[int, Scored]:
        """Likelihoods of the best outputs and of references after their prefixes, and figures of the attention."""
        from hf_seq2seq.analysis.attention_figures import attention_figures

        reader = replace(self.generator.reader, details=("alignment",) if self.attends else ())
        targets = [(row, one.hypotheses[0].whole) for row, one in enumerate(outputs) if one.hypotheses]
        targets = [(row, ids) for row, ids in targets if ids]
        sources, others = Ragged.of(outputs[row].ids for row, _ in targets), [golds.get(row, []) for row, _ in targets]
        scores = reader.score(sources, [ids for _, ids in targets], others)
        found = {row: each for (row, _), each in zip(targets, scores, strict=True)}
        for row, each in found.items():
            figures["log_prob"][row], figures["value"][row] = sum(each.log_probs), self._value(each)
            figures["confidence"][row] = np.exp(np.mean(each.log_probs))
            if each.attention is not None:
                text = np.array([word >= 0 for word in self.generator.reader.source_words(outputs[row].ids)])
                for name, value in attention_figures(each.attention[:, : len(text)], text).items():
                    figures[name][row] = value
        return found

    def _compare(
        self, outputs: Sequence[Written], targets: Sequence[Target], scored: Mapping[int, Scored], figures: Figures
    ) -> dict[int, str]:
        """Likelihoods of the references, and for first ones what they lose after the output's prefixes.

        Returns:
            For these rows the model's best token after each of the reference's prefixes, as a text.
        """
        reader, forced = replace(self.generator.reader, details=()), dict[int, str]()
        sources = Ragged.of(outputs[row].ids for row, _ in targets)
        read = reader.score(sources, [ids for _, ids in targets], best=True)
        for (row, ids), each in zip(targets, read, strict=True):
            if row in scored and row not in forced:
                forced[row] = self._expose(outputs[row], scored[row].others, each, figures, row)
            if not self._value(each) <= figures["reference_value"][row]:
                figures["reference_value"][row] = self._value(each)
                figures["reference_log_prob"][row] = sum(each.log_probs)
                figures["reference_tokens"][row] = len(ids)
        return forced

    def _expose(self, one: Written, own: list[float], gold: Scored, figures: Figures, row: int) -> str:
        """Sets the losses of a reference after both kinds of prefixes; returns the text after its own."""
        losses = -np.array(gold.log_probs[: len(own)]), -np.array(own)
        self.exposure.add(*losses)
        figures["exposure_steps"][row] = len(own)
        figures["exposure_reference"][row], figures["exposure_own"][row] = (float(part.sum()) for part in losses)
        unknown = [one.words] if getattr(self.generator.model.config, "copy_vocab_size", 0) else None
        return texts_of([gold.best], self.generator.tokenizers, unknown)[0]

    def _reference_ids(
        self, sources: list[Any], references: list[list[str]], outputs: list[Written], figures: Figures
    ) -> list[Target]:
        """The ids of every reference that the model can score; those with unknown tokens have no likelihood."""
        asked = [(row, text) for row, one in enumerate(outputs) if one.hypotheses for text in references[row]]
        if not asked:
            return []
        tokenizer, texts = self.generator.tokenizers.target, [text for _, text in asked]
        encoded = self.generator.encode_targets([sources[row] for row, _ in asked], texts)
        if getattr(self.generator.model.config, "copy_vocab_size", 0):
            named: list[Words] = [outputs[row].words for row, _ in asked]
            encoded = name_target_words(encoded, texts, tokenizer, named)
        model = self.generator.model
        room, joined = longest_sequence(model, "decoder"), not model.config.is_encoder_decoder
        found, unknown = [], np.zeros(len(outputs))
        for number, (row, _) in enumerate(asked):
            missing = count_unknown(encoded[number], tokenizer).tokens
            unknown[row] += missing
            before = len(outputs[row].ids) - 1 if joined else 0
            if not missing and 0 < len(encoded[number]) <= (room or UNBOUNDED) - before:
                found.append((row, encoded[number].tolist()))
        figures["unknown_reference"][:] = unknown
        return found

    def _value(self, scored: Scored) -> float:
        search = as_search(self.generator.decoding)
        normal = LengthNormalization(search.length_penalty, search.length_normalization)
        return float(sum(scored.log_probs) / normal.divisor(len(scored.log_probs)))

    def _score(self, row: int, candidates: Candidates, figures: Figures, first: int) -> np.ndarray:
        """Statistics of a row's output; sets its figures and collects the statistics of oracle outputs."""
        references = candidates.references
        if not references:
            for name, value in text_figures(candidates).items():
                figures[name][row] = value
            return np.zeros(0)
        missed = figures["reference_value"][row] > figures["value"][row] + 1e-4
        exposed = figures["exposure_own"][row] > figures["exposure_reference"][row]
        candidates = replace(candidates, missed=bool(missed), forced=candidates.forced if exposed else None)
        tables = np.asarray(self._table(candidates.outputs, references), dtype=np.float64)
        scores = [self._of(table) for table in tables]
        sign = 1 if self.metric.greater_is_better else -1
        best = sign * max(sign * score for score in scores)
        found = text_figures(candidates) | {"score": scores[0], "best_score": best}
        for name, value in found.items():
            figures[name][row] = value
        mended = {name: self._table([text], references)[0] for name, text in mended_texts(candidates).items()}
        if len({tuple(table) for table in tables}) > 1:
            self._nbest.add(first + row, tables)
        for name, table in mended.items():
            self._mended.setdefault(name, Tables(self.folder)).add(
                first + row, np.asarray(table, dtype=np.float64)[None]
            )
        return np.asarray(tables[0])

    def _table(self, texts: Sequence[str], references: Sequence[str]) -> Any:
        assert self.metric.statistics is not None
        return self.metric.statistics(texts, [references] * len(texts))

    def _of(self, table: np.ndarray) -> float:
        assert self.metric.score is not None
        return float(self.metric.score(table)[self.metric.keys[0]])


def best_of(
    candidates: Iterable[tuple[int, np.ndarray]], outputs: np.ndarray, metric: Metric
) -> Iterator[tuple[int, np.ndarray]]:
    """The candidate of each row that lifts the score of all rows most, if one does.

    The best one by the score of its row alone may lower the whole: chrF leaves out orders for which a short text has no
    n-grams.

    Args:
        candidates: numbers of rows, and the statistics of their candidates, `(candidates, statistics)`.
        outputs: statistics of all outputs, `(rows, statistics)`.
        metric: the metric.
    """
    assert metric.score is not None
    sums, sign, key = outputs.sum(axis=0), 1 if metric.greater_is_better else -1, metric.keys[0]
    base = sign * metric.score(sums)[key]
    for row, tables in candidates:
        scores = [sign * metric.score(sums - outputs[row] + table)[key] for table in tables]
        best = int(np.argmax(scores))
        if scores[best] > base + 1e-9:
            yield row, tables[best]
