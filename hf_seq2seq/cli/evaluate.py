"""`hf-seq2seq evaluate`: score a model on a test set, or a file of predictions against files of references."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import typer

from hf_seq2seq import strict_json
from hf_seq2seq.cli.commands import make_command
from hf_seq2seq.cli.options import Values, with_flags
from hf_seq2seq.cli.progress import counted
from hf_seq2seq.cli.rows import report_cut, report_outputs, report_unknown
from hf_seq2seq.configs import LabelledData, PairData
from hf_seq2seq.decoding.options import Search
from hf_seq2seq.decoding.pipeline import Lengths, check_search
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.scored_labels import confusion, print_confusion
from hf_seq2seq.evaluation.scoring import NO_LABELS, TEXT_DEFAULTS, Found, score_files, score_rows
from hf_seq2seq.evaluation.significance import Significance, print_table
from hf_seq2seq.evaluation.systems import MODEL, DocumentReader, Systems
from hf_seq2seq.sections import MANY, Section, build, option

ONE_SOURCE = ("source_column", "context_column", "source_template")
COLUMNS = {
    "seq2seq": ("source_column", "target_column", "context_column", "source_template", "source_lang", "target_lang"),
    "classifier": ("text_column", "text_pair_column", "label_column"),
}
ROWS = ("dataset_name", "dataset_config_name", "dataset_revision", "test_file", "test_split", "encoding")


@dataclass(frozen=True, kw_only=True)
class Measures(Section):
    """Scores: which, and how they are shown."""

    metrics: tuple[str, ...] = option((), "Metrics, separated by commas; by default those of the model's training.")
    predictions: str | None = option(None, "File of predictions, in place of a model.")
    references: tuple[str, ...] = option((), "File of references for --predictions; several files, several a row.")
    confusion_matrix: bool = option(False, "Also count the rows of each true and predicted label.")
    json: bool = option(False, "Print one JSON object.")


@dataclass(frozen=True, kw_only=True)
class Rows(Section):
    """Data: the test rows; by default those of the model's training, as are the columns."""

    test_file: str | None = option(
        None, "A file as in training, or line-aligned files: test.de,test.en; several sets: a=a.tsv,b=b.tsv."
    )
    dataset_name: str | None = option(None, "Data set on the Hub, or a folder written by `save_to_disk`.")
    dataset_config_name: str | None = option(None, "Configuration of the data set on the Hub.")
    dataset_revision: str | None = option(None, "Revision of the data set on the Hub.")
    test_split: str | None = option(None, "Split of the Hub data set; by default test.")
    encoding: str | None = option(None, "Encoding of local text files; by default that of training, or UTF-8.")
    max_predict_samples: int | None = option(None, "Use at most so many rows.", at_least=1, at_most=MANY)
    source_column: str | None = option(None, "Column of the source text.")
    target_column: str | None = option(None, "Column of the target text.", aliases=("summary_column",))
    context_column: str | None = option(None, "Column of the text that a question is about.")
    source_template: str | None = option(None, "Source text made of several columns, such as '{lemma} {features}'.")
    source_lang: str | None = option(None, "Source language, the key in `translation` columns and file endings.")
    target_lang: str | None = option(None, "Target language, likewise.")
    text_column: str | None = option(None, "Column of a classifier's text.")
    text_pair_column: str | None = option(None, "Column of a classifier's second text.")
    label_column: str | None = option(None, "Column of the label.")


@dataclass(frozen=True)
class EvaluateConfig:
    """The flags of `evaluate`."""

    measures: Measures = field(default_factory=Measures)
    significance: Significance = field(default_factory=Significance)
    rows: Rows = field(default_factory=Rows)
    model: Lengths = field(default_factory=Lengths)
    decoding: Search = field(default_factory=Search)


MaybeModel = Annotated[
    str | None, typer.Argument(metavar="MODEL", help="Folder of a run or a checkpoint, or a Hub id.")
]


def build_command(name: str, help: str) -> Any:
    """The command."""
    return make_command(name, with_flags(evaluate, EvaluateConfig), help)


def evaluate(model: MaybeModel = None, *, values: Values) -> None:
    """Prints the scores of a model, or of a file of predictions."""
    config = _with_whole_paths(build(EvaluateConfig, values, origin="evaluate"))
    if (model is None) == (config.measures.predictions is None):
        raise InputError("evaluate: give a MODEL, or --predictions FILE with --references FILE")
    _check_names(config.measures.metrics)
    check_search(config.decoding, values)
    encoding = config.rows.encoding or "utf-8"
    found = (
        _score_model(model, config, values) if model else score_files(config.measures, config.significance, encoding)
    )
    if config.measures.json:
        print(strict_json.dumps(found))
        return
    print_table(found)
    for title in found:
        if title.endswith("confusion_matrix"):
            print_confusion(found[title])


def _with_whole_paths(config: EvaluateConfig) -> EvaluateConfig:
    """The flags with those paths whole that a comma is part of."""
    from hf_seq2seq.data.files.lines import rejoined

    measures = replace(config.measures, references=rejoined(config.measures.references))
    significance = replace(config.significance, compare=rejoined(config.significance.compare))
    return replace(config, measures=measures, significance=significance)


def _check_names(names: tuple[str, ...]) -> None:
    from hf_seq2seq.metrics import LABEL_METRICS, LIKELIHOOD_METRICS, TEXT_METRICS, check_metrics

    check_metrics(names, TEXT_METRICS | LABEL_METRICS | LIKELIHOOD_METRICS)


def _score_model(model: str, config: EvaluateConfig, values: Values) -> Found:
    from hf_seq2seq.saved.loading import is_classifier, load_config
    from hf_seq2seq.saved.model_paths import local_copy

    place = local_copy(model)
    labels = is_classifier(load_config(place, config.model.trust_remote_code))
    with counted("rows") as advance:
        return (_score_labels if labels else _score_texts)(place, config, values, advance)


def _score_texts(model: str, config: EvaluateConfig, values: Values, advance: Any) -> Found:
    from hf_seq2seq.data.conversations import read_conversations
    from hf_seq2seq.data.messages import is_dialogue
    from hf_seq2seq.data.pairs import read_pairs
    from hf_seq2seq.data.sources import load_splits
    from hf_seq2seq.data.tabbed_text import split_at_tabs
    from hf_seq2seq.metrics import check_metrics, metrics_for, trained_metrics
    from hf_seq2seq.saved.loading import load_seq2seq

    if config.measures.confusion_matrix:
        raise InputError(NO_LABELS)
    loaded = load_seq2seq(model, config.model.trust_remote_code)
    settings = loaded[2]
    if settings.run.get("objective") == "causal":
        return _score_documents(loaded, config)
    known = metrics_for("seq2seq") | metrics_for("likelihood")
    names = config.measures.metrics or trained_metrics(settings.run.get("metrics") or TEXT_DEFAULTS, known, model)
    chosen = check_metrics(names, known)
    systems = Systems(chosen, config.significance, config.rows.encoding or "utf-8")
    generator = _generator(loaded, config, values, advance)
    others = {
        place: _generator(_other(place, settings.run, config), config, values, advance) for place in systems.folders
    }
    data = PairData(**_data("seq2seq", config.rows, settings.run))
    rows: dict[str, Any]
    if is_dialogue(settings.run):
        conversations = _test_sets(read_conversations(data))
        if loaded[0].config.is_encoder_decoder:  # which learnt a pair for each reply
            conversations = {split: found.each_reply() for split, found in conversations.items()}
        rows = {split: (found.histories, found.references) for split, found in conversations.items()}
    else:
        pairs = read_pairs(_test_sets(load_splits(data, arrange=split_at_tabs)), data)
        rows = {split: (found.sources, found.references) for split, found in pairs.items()}
    systems.check([len(right) for _, right in rows.values()])
    scores = {split: systems.score(generator, others, *found) for split, found in rows.items()}
    _report(systems, generator, others)
    return _by_set(scores)


def _report(systems: Systems, generator: Any, others: dict[str, Any]) -> None:
    """Says on standard error what was cut, what has no output and what is unknown."""
    for name, counts in systems.counts.items():
        limit = (generator if name == MODEL else others[name]).max_source_length
        report_cut(counts.truncated, limit, counts.texts, name if others else "")
    own = systems.counts[MODEL]
    report_outputs(own, generator.max_new_tokens)
    report_unknown(own.unknown)


def _generator(loaded: Any, config: EvaluateConfig, values: Values, advance: Any) -> Any:
    from hf_seq2seq.data.messages import is_dialogue
    from hf_seq2seq.decoding.pipeline import make_generator

    network, tokenizers, settings = loaded
    replies = is_dialogue(settings.run)
    generator = make_generator(config, values, network, tokenizers, settings, replies)
    generator.advance = advance
    return generator


def _other(place: str, run: dict[str, Any], config: EvaluateConfig) -> Any:
    """Another model, which must have been trained on rows of the same kind as those of this run."""
    from hf_seq2seq.saved.loading import load_seq2seq

    loaded = load_seq2seq(place, config.model.trust_remote_code)
    kind, other = _kind(run), _kind(loaded[2].run)
    if kind != other:
        raise InputError(f"--compare {place}: was trained on {other}, the model on {kind}")
    return loaded


def _kind(run: dict[str, Any]) -> str:
    from hf_seq2seq.data.messages import is_dialogue

    return "conversations" if is_dialogue(run) else "raw text" if run.get("objective") == "causal" else "pairs"


def _score_documents(loaded: Any, config: EvaluateConfig) -> Found:
    from hf_seq2seq.data.documents import read_documents
    from hf_seq2seq.metrics import check_metrics, metrics_for

    known, run = metrics_for("likelihood"), loaded[2].run
    names = config.measures.metrics or tuple(known)
    if not set(names) <= set(known):
        raise InputError("--metrics compare texts; this model of raw text has loss, perplexity and bits per byte")
    chosen = check_metrics(names, known)
    systems = Systems(chosen, config.significance, config.rows.encoding or "utf-8")
    rows = config.decoding.per_device_eval_batch_size
    model = DocumentReader.of(loaded, rows)
    others = {place: DocumentReader.of(_other(place, run, config), rows) for place in systems.folders}
    data = PairData(**_data("seq2seq", config.rows, run))
    sets = _test_sets(read_documents(data, bool(run.get("one_document")), train=False)[0])
    systems.check([len(found) for found in sets.values()])
    if config.significance.resamples and min(map(len, sets.values())) == 1:
        raise InputError("--confidence, --compare: documents are drawn again, and the test rows are one document")
    return _by_set(
        {split: systems.score(model, others, found, [[text] for text in found]) for split, found in sets.items()}
    )


def _score_labels(model: str, config: EvaluateConfig, values: Values, advance: Any) -> Found:
    from hf_seq2seq.data.labelled_sources import load_labelled_splits
    from hf_seq2seq.data.labels import read_labelled
    from hf_seq2seq.decoding.classification import TextClassifier
    from hf_seq2seq.decoding.counts import Counts
    from hf_seq2seq.decoding.pipeline import check_lengths
    from hf_seq2seq.metrics import check_metrics, metrics_for, trained_metrics
    from hf_seq2seq.saved.loading import load_classifier

    if config.significance.compare:
        raise InputError("--compare: for labels give files of both systems: --predictions, --references, --compare")
    network, tokenizer, settings = load_classifier(model, config.model.trust_remote_code)
    check_lengths(config.model, settings)
    limit = config.model.max_source_length or settings.max_source_length
    classifier = TextClassifier(network, tokenizer, config.decoding.per_device_eval_batch_size, limit, advance)
    if config.measures.confusion_matrix and classifier.problem != "single_label":
        raise InputError(
            "--confusion-matrix: counts one label a row; this classifier gives several labels, or a number"
        )
    known = metrics_for(classifier.problem)
    names = config.measures.metrics or trained_metrics(settings.run.get("metrics") or known, known, model)
    chosen = check_metrics(names, known)
    data = LabelledData(**_data("classifier", config.rows, settings.run))
    splits = load_labelled_splits(data, classifier.problem, classifier.label_names)
    sets = read_labelled(_test_sets(splits), data, classifier.problem, classifier.label_names)[0]
    scores, counts = dict[str, Found](), Counts()
    for split, rows in sets.items():
        logits, more = classifier.read(rows.texts, rows.pairs)
        counts += more
        scores[split] = score_rows(chosen, logits, rows.labels, config.significance)
        if config.measures.confusion_matrix:
            scores[split]["confusion_matrix"] = confusion(logits, rows.labels, classifier.label_names)
    report_cut(counts.truncated, limit, counts.texts)
    report_unknown(counts.unknown)
    return _by_set(scores)


def _data(kind: str, rows: Rows, run: dict[str, Any]) -> dict[str, Any]:
    """Options of the test rows: from the flags, and from the run where the flags say nothing."""
    elsewhere = rows.test_file is not None or rows.dataset_name is not None
    trained = ("encoding", *COLUMNS[kind]) if elsewhere else (*ROWS, *COLUMNS[kind])
    found = {name: run[name] for name in trained if run.get(name) is not None}
    if kind == "seq2seq" and (rows.source_column or rows.context_column or rows.source_template):
        found = {name: value for name, value in found.items() if name not in ONE_SOURCE}
    found |= {name: getattr(rows, name) for name in (*ROWS, *COLUMNS[kind]) if getattr(rows, name) is not None}
    if not found.get("test_file") and not found.get("dataset_name"):
        raise InputError("evaluate: the model's training names no test rows; give --test-file or --dataset-name")
    return found | {"max_predict_samples": rows.max_predict_samples}


def _test_sets(splits: dict[str, Any]) -> dict[str, Any]:
    from hf_seq2seq.data.evaluation_sets import sets_of

    found = {split: splits[split] for split in sets_of(splits, "test")}
    if not found:
        raise InputError(f"evaluate: no test rows; there are {', '.join(splits)} (--test-split)")
    return found


def _by_set(scores: dict[str, Found]) -> Found:
    """The scores of every set; those of a set with a name begin with it."""
    from hf_seq2seq.data.evaluation_sets import name_of

    return {
        f"{name_of(split)}_{key}" if name_of(split) else key: value
        for split, found in scores.items()
        for key, value in found.items()
    }
