"""`hf-seq2seq analyze MODEL`: where a model's quality is lost, what it attends to, and what to try."""

from typing import Annotated

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.decoding.search_options import check_search
from hf_seq2seq.reports.options import AnalyzeConfig
from hf_seq2seq.sections import build

ModelPath = Annotated[str, Argument(metavar="MODEL", help="Folder of a run or a checkpoint, or a Hub id.")]


def analyze(model: ModelPath, *, values: Values) -> None:
    """Writes a report on a model and a test set: a page to open with a browser, its figures and its pictures."""
    config = build(AnalyzeConfig, values, origin="analyze")
    check_search(config.decoding, values)
    from hf_seq2seq.cli.progress import counted
    from hf_seq2seq.cli.rows import report_cut, report_outputs, report_unknown
    from hf_seq2seq.reports.report import analyze_model
    from hf_seq2seq.reports.request import Request

    with counted("rows") as advance:
        found = analyze_model(Request(model, config, values, advance))
    report_cut(found.counts.truncated, found.max_source_length, found.counts.texts)
    if found.max_new_tokens is not None:
        report_outputs(found.counts, found.max_new_tokens)
    report_unknown(found.counts.unknown)
    for line in found.summary():
        print(line)


COMMAND = FlagCommand(analyze, AnalyzeConfig)
build_command = COMMAND.build
