"""Scores of a model on a test set, and of the systems it is compared with."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hf_seq2seq.configs import LabelledData, PairData, PairsOrDialogue
from hf_seq2seq.decoding.counts import Counts
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.options import EvaluateConfig, Rows
from hf_seq2seq.evaluation.row_options import data_options
from hf_seq2seq.evaluation.scored_labels import confusion
from hf_seq2seq.evaluation.scoring import NO_LABELS, Found, score_rows
from hf_seq2seq.evaluation.systems import MODEL, DocumentReader, Systems
from hf_seq2seq.inference import DEFAULT_METRICS
from hf_seq2seq.metrics import check_metrics, metrics_for, trained_metrics
from hf_seq2seq.metrics.metric import with_sources

if TYPE_CHECKING:
    from hf_seq2seq.data.labelled_texts import Labelled
    from hf_seq2seq.data.pairs import Pairs
    from hf_seq2seq.data.splits import Splits
    from hf_seq2seq.decoding.classification import TextClassifier
    from hf_seq2seq.decoding.generation import Advance

logger = logging.getLogger(__name__)

TextRows = dict[str, tuple[Any, list[list[str]]]]
"""Sources, or conversations, and references of each test set."""
Loaded = tuple[Any, Any, Any]
"""A model, its tokenizers (a classifier's tokenizer) and its settings."""


@dataclass(frozen=True)
class Request:
    """The scoring request.

    Attributes:
        path: path of the model.
        config: the flags.
        values: the given flags, by name.
        advance: called with the number of rows finished since the last call.
    """

    path: str
    config: EvaluateConfig
    values: Mapping[str, Any]
    advance: "Advance | None" = None


@dataclass(frozen=True)
class Reading:
    """Counts and limits of a system on the texts.

    Attributes:
        counts: truncated texts, unknown tokens, and so on.
        max_source_length: maximum text length in tokens.
        max_new_tokens: maximum output length; None for a classifier.
        notes: what is to be known of the scores.
    """

    counts: Counts
    max_source_length: int | None
    max_new_tokens: int | None = None
    notes: tuple[str, ...] = ()


Result = tuple[Found, dict[str, Reading]]
"""The scores, and each system's counts, by folder; the scored model's key is `MODEL`."""


def score_model(request: Request) -> Result:
    """Loads a model and scores it.

    Raises:
        InputError: there is no such model, there are no test rows, or flags or metrics do not fit the model.
    """
    from hf_seq2seq.saved.loading import is_classifier, load_classifier, load_config, load_seq2seq
    from hf_seq2seq.saved.model_paths import local_copy

    place, trust = local_copy(request.path), request.config.model.trust_remote_code
    labels = is_classifier(load_config(place, trust))
    _check_kind(request.config, labels)
    return score_loaded(request, (load_classifier if labels else load_seq2seq)(place, trust), labels)


def score_loaded(request: Request, loaded: Loaded, labels: bool) -> Result:
    """Scores a loaded model; `labels` says whether it is a classifier.

    Raises:
        InputError: as for `score_model`.
    """
    _check_kind(request.config, labels)
    is_causal = loaded[2].run.get("objective") == "causal"
    if request.config.ensemble.ensemble and (labels or is_causal):
        raise InputError(f"--ensemble: {request.path} writes no targets, which an ensemble does together")
    if labels:
        return _score_labels(request, loaded)
    if is_causal:
        return _score_documents(request, loaded), {}
    return _score_texts(request, loaded)


def _check_kind(config: EvaluateConfig, labels: bool) -> None:
    if labels and config.significance.compare:
        raise InputError("--compare: for labels, give files of both systems: --predictions, --references, --compare")
    if not labels and config.measures.confusion_matrix:
        raise InputError(NO_LABELS)


def _score_texts(request: Request, loaded: Loaded) -> Result:
    config, run = request.config, loaded[2].run
    known = metrics_for("seq2seq") | metrics_for("likelihood")
    names = config.measures.metrics or trained_metrics(run.get("metrics") or DEFAULT_METRICS, known, request.path)
    if not config.measures.metrics and not run.get("metrics"):
        usual = ", ".join(names)
        logger.warning(
            "%s: has no run.yaml with the metrics of its training; scores %s (--metrics)", request.path, usual
        )
    chosen = check_metrics(names, known)
    systems = Systems(chosen, config.significance, config.rows.encoding or "utf-8")
    generators = {MODEL: _ensemble(request, loaded)}
    generators |= {place: generator_of(request, _other(place, run, config)) for place in systems.folders}
    read = text_rows(config.rows, loaded, may_lack=not any(metric.needs_references for metric in chosen.values()))
    read = {split: (texts, right or with_sources([[]] * len(texts), texts)) for split, (texts, right) in read.items()}
    rows = _by_direction(read)
    systems.check([len(right) for _, right in rows.values()])
    own, *others = generators
    compared = {name: generators[name] for name in others}
    scores = {split: systems.score(generators[own], compared, *found) for split, found in rows.items()}
    readings = {
        name: Reading(counts, generators[name].max_source_length, generators[name].max_new_tokens)
        for name, counts in systems.counts.items()
    }
    return _by_set(scores) | (_means(scores) if len(rows) > len(read) else {}), readings


def text_rows(rows: Rows, loaded: Loaded, command: str = "evaluate", may_lack: bool = False) -> TextRows:
    """Sources, or conversations, and references of each test set.

    Args:
        rows: where they are; by default as in training.
        loaded: the model that reads them.
        command: named in errors.
        may_lack: rows with nothing but sources get no references, rather than an error.

    Raises:
        InputError: there are no test rows, or they cannot be read.
    """
    from hf_seq2seq.data.conversations import read_conversations, read_histories
    from hf_seq2seq.data.messages import is_dialogue
    from hf_seq2seq.data.pairs import lacks_targets, read_pairs
    from hf_seq2seq.data.sources import load_splits
    from hf_seq2seq.data.tabbed_text import split_at_tabs

    settings = loaded[2]
    data: PairData = PairsOrDialogue(**data_options("seq2seq", rows, settings.run, command))
    if not is_dialogue(settings.run):
        splits = load_splits(data, arrange=split_at_tabs)
        tests = splits.only(_test_names(splits))
        data = _with_columns_of(tests, data, rows)
        pairs = read_pairs(tests, data, need_target=not (may_lack and lacks_targets(tests, data)))
        return {split: _sourced(*_in_languages(found, data)) for split, found in pairs.items()}
    if may_lack and (histories := read_histories(data)) is not None:
        return {split: (found, [[] for _ in found]) for split, found in _test_sets(histories).items()}
    replies = {split: found.each_reply() for split, found in _test_sets(read_conversations(data)).items()}
    return {split: (found.histories, found.references) for split, found in replies.items()}


def _sourced(sources: list[str], references: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The references of rows with their sources, for metrics that read them; none where the rows have no targets."""
    return sources, with_sources(references, sources) if references else []


def _in_languages(pairs: "Pairs", data: PairData) -> tuple[list[str], list[list[str]]]:
    """Sources and references that know their languages, if there are columns or flags that name them."""
    from hf_seq2seq.data.annotated_text import AnnotatedText
    from hf_seq2seq.data.row_languages import in_languages

    if not data.target_lang or any(isinstance(text, AnnotatedText) for text in pairs.sources):
        return [*pairs.sources], [*pairs.references]
    languages: dict[str, list[str | None]] = {
        "source": [data.source_lang] * len(pairs),
        "target": [data.target_lang] * len(pairs),
    }
    return in_languages(pairs.sources, pairs.references, languages)


def _by_direction(rows: TextRows) -> TextRows:
    """Test sets of several directions as one set per direction."""
    from hf_seq2seq.data.by_direction import divided

    found: TextRows = {}
    for split, (sources, references) in rows.items():
        for name, numbers in divided(split, sources).items():
            chosen = range(len(sources)) if numbers is None else numbers
            found[name] = [sources[row] for row in chosen], [references[row] for row in chosen if references]
    return found


def _with_columns_of(tests: "Splits", data: PairData, rows: Rows) -> PairData:
    """The options without training's columns of sources and targets that the test rows lack: those are found again."""
    from hf_seq2seq.data.cells import row_sample
    from hf_seq2seq.data.columns.finding import cell

    sample, names = row_sample(tests[tests.first]), tests[tests.first].column_names
    for option in ("source_column", "target_column"):
        column = getattr(data, option)
        if column is None or getattr(rows, option) is not None or column in names:
            continue
        if all(cell(row, column) is None for row in sample):
            logger.warning("%s: has no column %r, as in training; finds another one", tests.place(tests.first), column)
            absent: dict[str, Any] = {option: None}
            data = replace(data, **absent)
    return data


def _ensemble(request: Request, loaded: Loaded) -> Any:
    """The model's generator, together with the others of an ensemble."""
    from hf_seq2seq.decoding.pipeline import load_others

    network, tokenizers, settings = loaded
    others, settings = load_others(request.path, network, tokenizers, settings, request.config)
    generator = generator_of(request, (network, tokenizers, settings))
    generator.others, generator.average = others, request.config.ensemble.ensemble_average
    return generator


def generator_of(request: Request, loaded: Loaded) -> Any:
    """The generator of a loaded model, by the request's flags."""
    from hf_seq2seq.data.messages import is_dialogue
    from hf_seq2seq.decoding.pipeline import make_generator

    network, tokenizers, settings = loaded
    replies = is_dialogue(settings.run)
    generator = make_generator(request.config, request.values, network, tokenizers, settings, replies)
    generator.advance = request.advance
    return generator


def _other(place: str, run: dict[str, Any], config: EvaluateConfig) -> Loaded:
    """Another model, which must have been trained on the same kind of rows as this run."""
    from hf_seq2seq.saved.loading import load_seq2seq

    loaded = load_seq2seq(place, config.model.trust_remote_code)
    kind, other = _kind(run), _kind(loaded[2].run)
    if kind != other:
        raise InputError(f"--compare {place}: was trained on {other}, the model on {kind}")
    return loaded


def _kind(run: dict[str, Any]) -> str:
    from hf_seq2seq.data.messages import is_dialogue

    return "conversations" if is_dialogue(run) else "raw text" if run.get("objective") == "causal" else "pairs"


def _score_documents(request: Request, loaded: Loaded) -> Found:
    from hf_seq2seq.data.documents import read_documents

    config, run, known = request.config, loaded[2].run, metrics_for("likelihood")
    names = config.measures.metrics or tuple(known)
    if not set(names) <= set(known):
        raise InputError("--metrics compare texts; this model of raw text has loss, perplexity and bits per byte")
    chosen = check_metrics(names, known)
    systems = Systems(chosen, config.significance, config.rows.encoding or "utf-8")
    rows = config.decoding.per_device_eval_batch_size
    model = DocumentReader.of(loaded, rows)
    others = {place: DocumentReader.of(_other(place, run, config), rows) for place in systems.folders}
    data = PairData(**data_options("seq2seq", config.rows, run))
    sets = _test_sets(read_documents(data, bool(run.get("one_document")), train=False)[0])
    systems.check([len(found) for found in sets.values()])
    if config.significance.resamples and min(map(len, sets.values())) == 1:
        raise InputError("--confidence, --compare: documents are resampled, and the test rows are one document")
    return _by_set(
        {split: systems.score(model, others, found, [[text] for text in found]) for split, found in sets.items()}
    )


def _score_labels(request: Request, loaded: Loaded) -> Result:
    from hf_seq2seq.data.evaluation_sets import title_of
    from hf_seq2seq.decoding.classification import TextClassifier, windows_of
    from hf_seq2seq.decoding.pipeline import check_lengths
    from hf_seq2seq.metrics.classification import one_label

    config, (network, tokenizer, settings) = request.config, loaded
    check_lengths(config.model, settings)
    limit = config.model.max_source_length or settings.max_source_length
    size = config.decoding.per_device_eval_batch_size
    windows = windows_of(tokenizer, limit, settings.run)
    classifier = TextClassifier(network, tokenizer, size, limit, request.advance, windows)
    problem, label_names = classifier.problem, classifier.label_names
    if config.measures.confusion_matrix and not classifier.kind.is_class:
        raise InputError(
            "--confusion-matrix: needs one label per row; this classifier predicts multiple labels, or a number"
        )
    known = metrics_for(problem)
    names = config.measures.metrics or trained_metrics(settings.run.get("metrics") or known, known, request.path)
    chosen = check_metrics(names, known)
    sets = labelled_rows(config.rows, classifier, settings.run)
    scores, counts = dict[str, Found](), Counts()
    for split, rows in sets.items():
        logits, more = classifier.read(rows.texts, rows.pairs)
        counts += more
        scores[split] = score_rows(chosen, logits, rows.labels, config.significance)
        if config.measures.confusion_matrix:
            scores[split]["confusion_matrix"] = confusion(logits, rows.labels, label_names)
    alone = [one_label(rows.labels, label_names, title_of(split)) for split, rows in sets.items()]
    return _by_set(scores), {MODEL: Reading(counts, limit, notes=tuple(filter(None, alone)))}


def labelled_rows(
    rows: Rows, classifier: "TextClassifier", run: dict[str, Any], command: str = "evaluate"
) -> dict[str, "Labelled"]:
    """Texts and labels of each test set; the arguments are as for `text_rows`.

    Raises:
        InputError: as for `text_rows`.
    """
    from hf_seq2seq.data.labelled_sources import load_labelled_splits
    from hf_seq2seq.data.labels import read_labelled

    problem, label_names = classifier.problem, classifier.label_names
    data = LabelledData(**data_options("classifier", rows, run, command))
    splits = load_labelled_splits(data, problem, label_names)
    return read_labelled(splits.only(_test_names(splits)), data, problem, label_names)[0]


def unlabelled_rows(
    rows: Rows, classifier: "TextClassifier", run: dict[str, Any], command: str = "evaluate"
) -> dict[str, tuple[list[str], list[str] | None]] | None:
    """Texts, and second texts if there are any, of each test set without labels; None if the rows have some.

    The arguments are as for `text_rows`.

    Raises:
        InputError: there are no test rows, or they cannot be read.
    """
    from hf_seq2seq.data.labelled_sources import load_unlabelled

    if rows.label_column is not None:
        return None
    found = load_unlabelled(LabelledData(**data_options("classifier", rows, run, command)), classifier.label_names)
    return None if found is None else _test_sets(found)


def _test_sets(splits: Mapping[str, Any]) -> dict[str, Any]:
    return {split: splits[split] for split in _test_names(splits)}


def _test_names(splits: Mapping[str, Any]) -> list[str]:
    from hf_seq2seq.data.evaluation_sets import sets_of

    found = sets_of(splits, "test")
    if not found:
        raise InputError(f"evaluate: no test rows; the splits are {', '.join(splits)} (--test-split)")
    return found


def _means(scores: dict[str, Found]) -> Found:
    """The unweighted mean of every score over all sets."""
    first, *others = scores.values()
    shared = [key for key, value in first.items() if isinstance(value, float) and all(key in each for each in others)]
    shared = [key for key in shared if not key.endswith(("_low", "_high"))]
    return {key: sum(each[key] for each in scores.values()) / len(scores) for key in shared}


def _by_set(scores: dict[str, Found]) -> Found:
    """The scores of every set; those of a named set begin with its name."""
    from hf_seq2seq.data.evaluation_sets import name_of

    return {
        f"{name_of(split)}_{key}" if name_of(split) else key: value
        for split, found in scores.items()
        for key, value in found.items()
    }
