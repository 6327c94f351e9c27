"""The test rows on which systems are compared, and the outputs of systems that are only models."""

import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.files.patterns import existing
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.compared_systems import ComparedRun, ComparedSystem
from hf_seq2seq.evaluation.comparison_options import CompareConfig
from hf_seq2seq.evaluation.scored_files import COLUMN_OPTIONS, Files, Texts, read_cells
from hf_seq2seq.metrics.metric import with_sources

if TYPE_CHECKING:
    from hf_seq2seq.decoding.generation import Advance

logger = logging.getLogger(__name__)
ROWS = ("test_file", "dataset_name", "dataset_config_name", "dataset_revision", "test_split", "max_predict_samples")
"""Flags that name other test rows than those of the runs."""
COLUMNS = ("_column", "_lang", "_template", "encoding")
CHUNK = 1000  # rows
NO_ROWS = "compare: no run says which rows it was tested on; give --references FILE or --test-file FILE"


@dataclass(frozen=True)
class ComparedRows:
    """Test rows.

    Attributes:
        sources: texts, or conversations; empty where only references are known.
        references: at least one text per row.
        place: what they are called in tables and messages.
        targets: of the training rows; None where those are not known.
        training: where those are.
    """

    sources: list[Any]
    references: list[list[str]]
    place: str
    targets: list[str] | None = None
    training: str = ""


@dataclass(frozen=True)
class CompareRequest:
    """What is to be compared.

    Attributes:
        systems: the systems, the first of which is the one that the others are compared with.
        config: the flags.
        values: the given flags, by name.
        advance: called with the number of rows that a model has finished since the last call.
        texts: references in memory, which need no file.
        settings: of an ablation, what each system has of the settings that vary, by its name.
    """

    systems: list[ComparedSystem]
    config: CompareConfig
    values: Mapping[str, Any] = field(default_factory=dict)
    advance: "Advance | None" = None
    texts: Texts | None = None
    settings: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def runs(self) -> list[ComparedRun]:
        """The runs of all systems."""
        return [run for system in self.systems for run in system.runs]

    @property
    def encoding(self) -> str:
        """Of text files."""
        return self.config.rows.encoding or "utf-8"

    @property
    def generates_again(self) -> bool:
        """Whether flags ask for other outputs than those that lie in the folders."""
        own = {item.name for kind in (self.config.model, self.config.decoding) for item in dataclasses.fields(kind)}
        others = own - {"trust_remote_code", "per_device_eval_batch_size"}
        return any(name in others or name in ROWS for name in self.values)


def find_rows(request: CompareRequest) -> ComparedRows:
    """The rows that all systems are compared on.

    Raises:
        InputError: there are none, or the runs were tested on different ones.
    """
    asked = request.config.comparing
    references = asked.references if request.texts is None else (request.texts,)
    if references:
        columns = {name: getattr(request.config.rows, option) for name, option in COLUMN_OPTIONS.items()}
        return _given_rows(references, asked.sources, request.encoding, columns)
    if asked.sources is not None:
        raise InputError("--sources: belongs to --references")
    if any(name in request.values for name in ROWS[:2]):
        settings = next((run.settings for run in request.runs if run.settings), {})
        return _named_rows(request, settings)
    known = {_key(run.settings): run for run in request.runs if run.settings}
    if not known:
        raise InputError(NO_ROWS)
    (first, rows), *others = [(run, rows_of_run(run)) for run in known.values()]
    for run, found in others:
        if found.references != rows.references:
            raise InputError(_difference((first.place, rows), (run.place, found)))
    return rows


def _given_rows(
    references: Sequence[str], sources: str | None, encoding: str, columns: Mapping[str, str | None]
) -> ComparedRows:
    windows = [found for _, found in Files([], references, encoding, columns=columns)] if references else []
    accepted = [row for window in windows for row in window]
    if not accepted:
        raise InputError(f"--references {references[0]}: contains no rows")
    texts = [] if sources is None else [str(cell) for cell in read_cells(sources, "source", encoding, columns)]
    if texts and len(texts) != len(accepted):
        raise InputError(f"--sources {sources}: {len(texts)} sources for {len(accepted)} references")
    place = references[0]
    accepted = with_sources(accepted, texts) if texts else accepted
    return ComparedRows(texts, accepted, "references" if isinstance(place, Texts) else place)


def _named_rows(request: CompareRequest, settings: dict[str, Any]) -> ComparedRows:
    from hf_seq2seq.evaluation.model_scoring import text_rows

    rows = request.config.rows
    found = text_rows(rows, (_network(settings), None, SimpleNamespace(run=settings)), "compare")
    if len(found) > 1:
        raise InputError(f"compare: there are {len(found)} test sets; compare on one at a time")
    ((sources, references),) = found.values()
    return ComparedRows(list(sources), list(references), str(rows.test_file or rows.dataset_name))


def _network(settings: Mapping[str, Any]) -> Any:
    """What reading conversations asks a model: whether it has an encoder."""
    return SimpleNamespace(config=SimpleNamespace(is_encoder_decoder=settings.get("recipe") != "gpt"))


def _key(settings: Mapping[str, Any]) -> str:
    """What decides which rows a run was tested on."""
    return repr(sorted((name, settings.get(name)) for name in _data_fields()))


def _data_fields() -> list[str]:
    return [item.name for item in dataclasses.fields(PairData)]


def rows_of_run(run: ComparedRun) -> ComparedRows:
    """The rows that a run wrote predictions for: its test rows, or the validation rows of one without.

    Raises:
        InputError: they cannot be found or read.
    """
    try:
        return _rows_of(run.settings)
    except InputError as error:
        raise InputError(f"{run.place}: its test rows: {error}; or give --references FILE") from None


def _rows_of(settings: dict[str, Any]) -> ComparedRows:
    from hf_seq2seq.data.evaluation_sets import sets_of
    from hf_seq2seq.data.messages import is_dialogue
    from hf_seq2seq.data.pairs import read_pairs

    if settings.get("label_column") or "text_column" in settings:
        raise InputError("labels, not texts; give their file by --references, and --metrics exact_match")
    if is_dialogue(settings):
        return _replies_of(settings)
    data, splits = _splits_of(settings)
    names = sets_of(splits, "test") or sets_of(splits, "validation")
    if not names:
        raise InputError("there are none, nor validation rows")
    if len(names) > 1:
        raise InputError(f"there are {len(names)} test sets; compare on one at a time by --references")
    training = [name for name in ("train",) if name in splits]
    pairs = read_pairs(splits.only([*training, *names]), data)
    texts = pairs[names[0]].sources
    found = ComparedRows([*texts], with_sources(pairs[names[0]].references, texts), splits.place(names[0]))
    return replace(found, targets=[*pairs["train"].targets], training=splits.place("train")) if training else found


def _splits_of(settings: Mapping[str, Any]) -> tuple[PairData, Any]:
    from hf_seq2seq.data.sources import load_splits
    from hf_seq2seq.data.tabbed_text import split_at_tabs

    known = {name: settings[name] for name in _data_fields() if settings.get(name) is not None}
    known = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    data = PairData(**known)
    return data, load_splits(data, arrange=split_at_tabs)


def _replies_of(settings: dict[str, Any]) -> ComparedRows:
    from hf_seq2seq.evaluation.model_scoring import text_rows
    from hf_seq2seq.evaluation.options import Rows

    rows = Rows(max_predict_samples=settings.get("max_predict_samples"))
    found = text_rows(rows, (_network(settings), None, SimpleNamespace(run=settings)), "compare")
    ((sources, references),) = found.values()
    return ComparedRows(list(sources), list(references), str(settings.get("test_file") or settings.get("dataset_name")))


def _difference(first: tuple[str, ComparedRows], second: tuple[str, ComparedRows]) -> str:
    """Says how the test rows of two runs differ."""
    (place, rows), (other, found) = first, second
    if len(rows.references) != len(found.references):
        detail = f"{len(rows.references):,} rows of {rows.place} and {len(found.references):,} of {found.place}"
    else:
        pairs = zip(rows.references, found.references, strict=True)
        number = next(number for number, (a, b) in enumerate(pairs, start=1) if a != b)
        detail = f"{rows.place} and {found.place} differ from row {number}"
    return f"compare: {place} and {other} were tested on different rows: {detail}; give both the same by --test-file"


def with_outputs(request: CompareRequest, rows: ComparedRows) -> list[ComparedSystem]:
    """The systems with the outputs of all runs, which models write where they have none or other ones are asked for.

    Raises:
        InputError: outputs do not fit the rows, or there are no sources that a model could read.
    """
    own = _own_rows(request)
    writing = {run.place for run in request.runs if _writes(run, request, rows, own.get(_key(run.settings)))}
    for run in request.runs:  # before a model runs for minutes
        if run.place not in writing:
            _check_count(run, rows)
    return [
        ComparedSystem(
            system.name, [generated(run, request, rows) if run.place in writing else run for run in system.runs]
        )
        for system in request.systems
    ]


def _own_rows(request: CompareRequest) -> dict[str, ComparedRows]:
    """The rows of runs with predictions by `_key`, each read once, if references were given that may be of other rows.

    Rows that cannot be read any more are missing, with a warning.
    """
    if not request.config.comparing.references and request.texts is None:
        return {}
    found = {}
    for run in {_key(run.settings): run for run in request.runs if run.settings and run.predictions}.values():
        try:
            found[_key(run.settings)] = _rows_of(run.settings)
        except InputError as error:
            logger.warning("%s: its predictions are taken to be of the given references: %s", run.place, error)
    return found


def _writes(run: ComparedRun, request: CompareRequest, rows: ComparedRows, own: ComparedRows | None) -> bool:
    """Whether a model has to generate a run's outputs: there are none, or they are of other flags or rows.

    Raises:
        InputError: the run's outputs are of other rows than the given references, and there is no source to read.
    """
    if run.predictions is None or (run.has_model and request.generates_again):
        return True
    number = first_other_row(own, rows) if own else None
    if number is None:
        return False
    if run.has_model and rows.sources:
        return True
    raise InputError(
        f"{run.place}: its predictions are of other rows than {rows.place}, from row {number} on; "
        "give --sources, so that its model generates outputs for these"
    )


def first_other_row(own: ComparedRows, rows: ComparedRows) -> int | None:
    """The number, from 1, of the first row that differs: in its source, or without sources by sharing no reference.

    None if no row differs.
    """
    if rows.sources and all(isinstance(text, str) for text in own.sources):
        same = [a == b for a, b in zip(own.sources, rows.sources, strict=False)]
    else:
        same = [not set(a).isdisjoint(b) for a, b in zip(own.references, rows.references, strict=False)]
    if len(own.references) != len(rows.references):
        same.append(False)
    return None if all(same) else same.index(False) + 1


def _check_count(run: ComparedRun, rows: ComparedRows) -> None:
    count = len(run.predictions or ())
    if count != len(rows.references):
        raise InputError(
            f"{run.place}: {count:,} predictions for {len(rows.references):,} rows of {rows.place}; "
            "compare systems on the same test set"
        )


def generated(run: ComparedRun, request: CompareRequest, rows: ComparedRows) -> ComparedRun:
    """A run with the outputs that its model writes by the request's flags.

    Raises:
        InputError: it is no model that writes texts, or the rows have no sources.
    """
    from hf_seq2seq.data.messages import is_dialogue
    from hf_seq2seq.decoding.pipeline import make_generator
    from hf_seq2seq.saved.loading import is_classifier, load_config, load_seq2seq
    from hf_seq2seq.saved.model_paths import local_copy

    if not rows.sources:
        raise InputError(f"{run.place}: a model needs sources to write outputs; give --test-file or --sources")
    place, trust = local_copy(run.place), request.config.model.trust_remote_code
    if is_classifier(load_config(place, trust)):
        raise InputError(f"{run.place}: a classifier, which writes no texts; compare files of predictions")
    network, tokenizers, settings = load_seq2seq(place, trust)
    replies = is_dialogue(settings.run)
    generator = make_generator(request.config, request.values, network, tokenizers, settings, replies)
    generator.advance = request.advance
    began = time.perf_counter()
    chunks = range(0, len(rows.sources), CHUNK)
    outputs = [str(text) for first in chunks for text in generator(rows.sources[first : first + CHUNK], first)]
    speed = {"rows_per_second": len(outputs) / max(time.perf_counter() - began, 1e-9)}
    size = {"parameters": float(sum(each.numel() for each in network.parameters()))}
    return replace(run, predictions=outputs, settings=run.settings or settings.run, costs=run.costs | size | speed)


def training_words(request: CompareRequest, rows: ComparedRows) -> tuple[Counter[str], str] | None:
    """How often each word stands in the training targets, and where they were read; None where none are known.

    Raises:
        InputError: `--train-file` cannot be read.
    """
    from hf_seq2seq.metrics.words import words

    asked = request.config.comparing.train_file
    settings = next((run.settings for run in request.runs if run.settings), {})
    if asked is not None:
        return words_in_training(asked, settings), asked
    if rows.targets is None:
        return words_of_run(settings)
    return Counter(word for text in rows.targets for word in words(text)), rows.training


def words_of_run(settings: Mapping[str, Any]) -> tuple[Counter[str], str] | None:
    """Counts of the words of a run's own training file, and its place; None where it is not known, there or legible."""
    file = own_training_file(settings)
    if file is None:
        return None
    try:
        return words_in_training(file, settings), file
    except InputError:
        return None


def own_training_file(settings: Mapping[str, Any]) -> str | None:
    """The files that a run was trained on, separated by commas; None where they are not known or not there."""
    own = settings.get("train_file")
    return own if isinstance(own, str) and existing(own) else None


def words_in_training(file: str, settings: Mapping[str, Any]) -> Counter[str]:
    """How often each word stands in the targets of a training file.

    Args:
        file: as in training.
        settings: of the run, which name the columns.

    Raises:
        InputError: it cannot be read.
    """
    from hf_seq2seq.data.pairs import read_pairs
    from hf_seq2seq.metrics.words import words

    columns = {name: settings.get(name) for name in _data_fields() if name.endswith(COLUMNS)}
    data, splits = _splits_of(columns | {"train_file": file})
    return Counter(word for text in read_pairs(splits.only(["train"]), data)["train"].targets for word in words(text))
