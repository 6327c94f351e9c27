"""`analyze`: reads a test set with a model once, and writes the page, the figures and the pictures."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hf_seq2seq.analysis.hidden_texts import hide_texts, without_empty_columns, write_figures_of_rows
from hf_seq2seq.analysis.page import write_report
from hf_seq2seq.analysis.records import Record, Section
from hf_seq2seq.analysis.sections import SECTIONS
from hf_seq2seq.analysis.sections.ledger import FEWEST as FEWEST_LEFT
from hf_seq2seq.data.annotated_text import directions
from hf_seq2seq.decoding.counts import Counts
from hf_seq2seq.drafts import open_draft
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.model_scoring import Loaded, text_rows
from hf_seq2seq.inference import DEFAULT_METRICS
from hf_seq2seq.metrics import LABEL_METRICS, MADE_METRICS, TEXT_METRICS, check_metrics, is_script, metrics_for
from hf_seq2seq.reports.folder import find_folder, make_folder
from hf_seq2seq.reports.request import Request
from hf_seq2seq.reports.shown_rows import chosen_rows, one_set, rows_to_show
from hf_seq2seq.reports.undertrained import still_falling

if TYPE_CHECKING:
    import numpy as np

    from hf_seq2seq.decoding.text_generator import TextGenerator
    from hf_seq2seq.metrics.metric import Metric

POOR = ("bleu", "exact_match", "word_error_rate")
"""Metrics that give most single rows 0, or no grades between 0 and 100: only used if they are asked for."""
Read = tuple[Record, Counts, tuple[int | None, int | None]]
PAGE, FIGURES, ROWS = "analysis.html", "analysis.json", "rows.jsonl"


@dataclass(frozen=True)
class Analysis:
    """A finished report.

    Attributes:
        folder: where it lies.
        sections: its sections by name.
        counts: truncated texts, unknown tokens, and so on.
        max_source_length: maximum length of a source in tokens.
        max_new_tokens: maximum length of an output; None for a classifier.
    """

    folder: Path
    sections: dict[str, Section]
    counts: Counts
    max_source_length: int | None
    max_new_tokens: int | None = None

    @property
    def page(self) -> Path:
        """The page to open with a browser."""
        return self.folder / PAGE

    def summary(self) -> list[str]:
        """The ledger, or a classifier's accuracy, as lines of text, and where the page is."""
        found = []
        if "ledger" in self.sections:
            numbers = self.sections["ledger"].numbers
            if not numbers:
                return [self.sections["ledger"].left_out, str(self.page)]
            found.append(f"{numbers['metric']} {numbers['score']:.2f}")
            found += [numbers["pooled"]] if numbers["pooled"] else []
            found += [numbers["train_longer"]] if numbers.get("train_longer") else []
            lines = [each for each in numbers["lines"] if each["rows"] and (each["gain"] is None or each["gain"] > 0)]
            if lines:
                found.append("how many points better the score would be without one fault, with an interval:")
            found += map(_line, lines)
            if lines and lines[0]["gain"] is not None:
                found.append(f"to reduce the first of these: {lines[0]['remedy']}")
            found += _failures(self.sections["failures"].numbers["rules"], self.sections["failures"].numbers["total"])
        if "classes" in self.sections:
            classes = self.sections["classes"]
            found.append(classes.left_out or f"accuracy {classes.numbers['accuracy']:.2f}")
            found += classes.text[1:]
        found += [self.sections[name].text[0] for name in ("label_sets", "numbers") if name in self.sections]
        return [*found, str(self.page)]


def _failures(rules: Mapping[str, Any], total: int) -> list[str]:
    """The failure modes of a tenth of the rows or more, at most three of them, in one line."""
    common = [f"{name} in {rule['rows']:,}" for name, rule in rules.items() if rule["rows"] >= total / 10]
    return [f"failure modes: {', '.join(common[:3])} of {total:,} rows"] if common else []


def _line(line: Mapping[str, Any]) -> str:
    """A line of the ledger as text."""
    gain = f"no gain: too few rows are left without these (under {FEWEST_LEFT})"
    if line["gain"] is not None:
        gain = f"{line['gain']:+z.2f} [{line['low']:+z.2f}, {line['high']:+z.2f}]"
    noun = "row " if line["rows"] == 1 else "rows"
    return f"{line['fault']:<24} {line['rows']:>7} {noun} {line['share']:5.1f}%  {gain}"


def analyze_model(request: Request) -> Analysis:
    """Loads a model and analyzes it.

    Raises:
        InputError: there is no such model, there are no test rows, or flags or the metric do not fit the model.
    """
    from hf_seq2seq.saved.loading import is_classifier, load_classifier, load_config, load_seq2seq
    from hf_seq2seq.saved.model_paths import local_copy

    find_folder(request.config.report, request.path)
    _check_metric(request.config.report.metric)
    place, trust = local_copy(request.path), request.config.model.trust_remote_code
    labels = is_classifier(load_config(place, trust))
    return analyze_loaded(request, (load_classifier if labels else load_seq2seq)(place, trust), labels)


def analyze_loaded(request: Request, loaded: Loaded, labels: bool) -> Analysis:
    """Analyzes a loaded model; `labels` says whether it is a classifier.

    Raises:
        InputError: as for `analyze_model`.
    """
    folder = find_folder(request.config.report, request.path)
    if loaded[2].run.get("objective") == "causal":
        raise InputError("analyze: this is a language model of raw text, which has no sources and references")
    if labels:
        if request.config.report.gold_alignments:
            raise InputError("--gold-alignments: a classifier has no attention on a source")
        from hf_seq2seq.reports.labels import read_labels

        read = read_labels
    else:
        read = _read_texts
    with _draft_of_rows(folder) as rows, _place_of_texts(request.config.report.no_texts, rows) as file:
        record, counts, limits = read(request, loaded, folder, file)
        facts = record.facts | {"texts": not request.config.report.no_texts}
        sections = _write(replace(record, facts=facts), folder, rows)
    return Analysis(folder, sections, counts, *limits)


def _check_metric(name: str | None) -> None:
    """Rejects an unknown metric before anything is loaded; one that a script or a model makes is tried later.

    Raises:
        InputError: names the nearest one.
    """
    if name is not None and name.partition(":")[0] not in MADE_METRICS and not is_script(name):
        check_metrics((name,), TEXT_METRICS | LABEL_METRICS, "--metric")


@contextmanager
def _draft_of_rows(folder: Path) -> Iterator[Path]:
    """Where the file of rows is written, beside its place in a folder that may still be made; it goes there at the end.

    The page is made from it, and without the page it would be half a report.
    """
    draft = folder / f".{ROWS}.{token_hex(4)}.draft"
    try:
        yield draft
        draft.replace(folder / ROWS)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _place_of_texts(hidden: bool, rows: Path) -> Iterator[Path]:
    """Where the rows with their texts are written: the file of rows, or a temporary folder if they are hidden."""
    if not hidden:
        yield rows
        return
    with TemporaryDirectory(prefix="hf-seq2seq-") as own:
        yield Path(own) / ROWS


def _write(record: Record, folder: Path, rows: Path) -> dict[str, Section]:
    """Makes the sections, and writes the page, the figures and the pictures."""
    if record.hidden:
        record = hide_texts(record)
    sections = {name: made for name, make in SECTIONS.items() if (made := make(record)) is not None}
    if record.hidden:
        sections = {name: without_empty_columns(section) for name, section in sections.items()}
        write_figures_of_rows(record, rows)
    write_report(folder, record, sections, PAGE, FIGURES)
    return sections


def _read_texts(request: Request, loaded: Loaded, folder: Path, file: Path) -> Read:
    """The record of a model that writes texts, as `read_labels` returns it."""
    from hf_seq2seq.decoding.pipeline import has_attention
    from hf_seq2seq.reports.attention import attention_of
    from hf_seq2seq.reports.beam_sizes import with_beam_sizes
    from hf_seq2seq.reports.frequencies import frequencies_of, training_counts
    from hf_seq2seq.reports.reading import CHUNK, FEWEST, RowReader
    from hf_seq2seq.reports.saliency import saliency_of

    config = request.config
    name, metric = choose_metric(config.report.metric, loaded[2].run.get("metrics") or DEFAULT_METRICS)
    generator = _generator(request, loaded)
    sources, references = one_set(text_rows(config.rows, loaded, "analyze", may_lack=True))
    chosen = chosen_rows(config.report, len(sources))
    reader = RowReader(generator, metric, has_attention(loaded[0]), len(sources), folder)
    aligned = _aligned(config.report.gold_alignments, generator, (sources, references), reader.attends)
    trained = training_counts(config.report.train_file, loaded[2].run) if any(references) else None
    make_folder(folder)
    with open_draft(file) as stream:
        for first in range(0, len(sources), CHUNK):
            part = slice(first, first + CHUNK)
            reader.read(list(sources[part]), list(references[part]), first, stream)
    record = Record(
        facts=_facts(request, (name, metric) if any(references) else None, generator, len(sources), reader.attends)
        | {"directions": sorted({*directions(sources)} - {""})},
        figures=reader.figures,
        metric=metric,
        statistics=reader.statistics,
        mended=reader.mended,
        exposure=reader.exposure.table(config.report.confidence, FEWEST),
        file=file,
    )
    why = rows_to_show(record, config.report, chosen)
    # The file has the texts alone: their languages and features are known of the rows that were read.
    shown = {number: row | {"source": sources[number]} for number, row in enumerate(record.rows()) if number in why}
    reads_texts = getattr(generator.model.config, "input_width", None) is None  # the pictures show tokens
    heats = attention_of(generator, shown, why) if reader.attends and reads_texts else []
    saliency, prefixes = saliency_of(generator, shown, why) if reads_texts else ([], {})
    shown = {n: row | {"why": why[n]} for n, row in shown.items()}
    record = replace(record, shown=shown, heats=heats, aligned=aligned, saliency=saliency, prefixes=prefixes)
    if record.supervised:
        record = with_beam_sizes(record, generator, (sources, references), config.report)
    if trained is not None:
        record = replace(record, frequencies=frequencies_of(record, trained))
    return record, reader.counts, (generator.max_source_length, generator.max_new_tokens)


def _aligned(
    path: str | None, generator: "TextGenerator", rows: tuple[Sequence[Any], Sequence[list[str]]], attends: bool
) -> "dict[str, np.ndarray]":
    """Counts of the alignment error rate by layer and head, if there is a gold standard.

    Raises:
        InputError: it does not fit the rows, or the model has no attention.
    """
    if path is None:
        return {}
    from hf_seq2seq.reports.gold_alignments import alignment_counts, read_gold

    if not attends:
        raise InputError("--gold-alignments: this model has no attention of a decoder on an encoder's source")
    if not any(rows[1]) or not all(isinstance(source, str) for source in rows[0]):
        raise InputError("--gold-alignments: needs test rows of a source and a reference")
    pairs = [(source, references[0]) for source, references in zip(*rows, strict=True)]
    return alignment_counts(generator, pairs, read_gold(path, pairs))


def choose_metric(asked: str | None, trained: Sequence[str]) -> "tuple[str, Metric]":
    """The metric of the ledger: the one asked for, or the first of the training run's that suits single rows.

    Raises:
        InputError: it is unknown, or has no statistics per row.
    """
    known = metrics_for("seq2seq")
    if asked is None:
        fit = [name for name in trained if name in known and name not in POOR and known[name].statistics]
        asked = next((name for name in fit if known[name].streams), "chrf")
    metric = check_metrics((asked,), known, "--metric")[asked]
    if metric.statistics is None or not metric.streams:
        fits = ", ".join(name for name, each in known.items() if each.statistics and each.streams)
        raise InputError(f"--metric {asked}: does not score single rows; choose from {fits}")
    return asked, metric


def _generator(request: Request, loaded: Loaded) -> "TextGenerator":
    """The generator of `generate`, which returns all beams unless it samples."""
    from hf_seq2seq.data.messages import is_dialogue
    from hf_seq2seq.decoding.generation import as_search
    from hf_seq2seq.decoding.pipeline import make_generator

    network, tokenizers, settings = loaded
    generator = make_generator(request.config, request.values, network, tokenizers, settings, is_dialogue(settings.run))
    generator.advance = request.advance
    search = as_search(generator.decoding)
    if search.num_beams > 1 and search.mbr_metric is None:
        generator.decoding = replace(search, num_return_sequences=search.num_beams)
    return generator


def _facts(
    request: Request, scored: "tuple[str, Metric] | None", generator: "TextGenerator", rows: int, attention: bool
) -> dict[str, Any]:
    from hf_seq2seq.decoding.generation import as_search

    report, search = request.config.report, as_search(generator.decoding)
    return {
        "model": request.path,
        "kind": generator.model.config.model_type,
        "task": "text",
        "rows": rows,
        "references": scored is not None,
        "falling": still_falling(Path(request.path).expanduser()),
        "metric": scored and scored[0],
        "key": scored and scored[1].keys[0],
        "higher_is_better": scored and scored[1].greater_is_better,
        "beams": search.num_beams,
        "length_penalty": search.length_penalty,
        "max_source_length": generator.max_source_length,
        "max_new_tokens": generator.max_new_tokens,
        "attends": attention,
        "confidence": report.confidence,
        "resamples": report.resamples,
        "resampling_seed": report.resampling_seed,
    }
