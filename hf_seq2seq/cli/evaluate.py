"""`hf-seq2seq evaluate`: score a model on a test set, or a file of predictions against files of references."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hf_seq2seq import strict_json
from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.decoding.search_options import check_search
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.options import EvaluateConfig
from hf_seq2seq.evaluation.scored_files import COLUMN_OPTIONS
from hf_seq2seq.evaluation.scoring import Found, Truth, score_files
from hf_seq2seq.evaluation.significance import print_table
from hf_seq2seq.sections import build

if TYPE_CHECKING:
    from hf_seq2seq.evaluation.model_scoring import Reading

MaybeModel = Annotated[str | None, Argument(metavar="MODEL", help="Folder of a run or a checkpoint, or a Hub id.")]


def evaluate(model: MaybeModel = None, *, values: Values) -> None:
    """Prints the scores of a model, or of a file of predictions."""
    config = _with_whole_paths(build(EvaluateConfig, values, origin="evaluate"))
    if (model is None) == (config.measures.predictions is None):
        raise InputError("evaluate: give a MODEL, or --predictions FILE with --references FILE")
    if model is not None and config.measures.sources is not None:
        raise InputError("--sources: belongs to --predictions; a model's sources are those of its test rows")
    _check_names(config.measures.metrics)
    check_search(config.decoding, values)
    found = _score_model(model, config, values) if model else _score_files(config)
    if config.measures.json:
        print(strict_json.dumps(found))
        return
    from hf_seq2seq.evaluation.scored_labels import print_confusion

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


def _score_files(config: EvaluateConfig) -> Found:
    asked = config.measures
    assert asked.predictions is not None
    columns = {name: getattr(config.rows, option) for name, option in COLUMN_OPTIONS.items()}
    return score_files(
        asked.predictions,
        Truth(asked.references, asked.sources, columns),
        asked.metrics,
        config.significance,
        config.rows.encoding or "utf-8",
        confusion_matrix=asked.confusion_matrix,
    )


def _score_model(model: str, config: EvaluateConfig, values: Values) -> Found:
    from hf_seq2seq.cli.progress import counted
    from hf_seq2seq.evaluation.model_scoring import Request, score_model

    with counted("rows") as advance:
        found, readings = score_model(Request(model, config, values, advance))
    _report(readings)
    return found


def _report(readings: "dict[str, Reading]") -> None:
    """Prints to standard error what was truncated, has no output or is unknown."""
    from hf_seq2seq.cli.rows import report_cut, report_outputs, report_unknown

    for name, reading in readings.items():
        counts = reading.counts
        report_cut(counts.truncated, reading.max_source_length, counts.texts, name if len(readings) > 1 else "")
    for own in [*readings.values()][:1]:
        if own.max_new_tokens is not None:
            report_outputs(own.counts, own.max_new_tokens)
        report_unknown(own.counts.unknown)
        print(*(f"{note}\n" for note in own.notes), sep="", end="", file=sys.stderr)


COMMAND = FlagCommand(evaluate, EvaluateConfig)
build_command = COMMAND.build
