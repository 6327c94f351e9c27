"""`hf-seq2seq compare SYSTEM SYSTEM...`: scores, costs and differences of several systems on the same test rows."""

import sys
from typing import Annotated

from hf_seq2seq import strict_json
from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.decoding.search_options import check_search
from hf_seq2seq.evaluation.comparison_options import CompareConfig
from hf_seq2seq.sections import build

Systems = Annotated[
    list[str],
    Argument(
        metavar="SYSTEM...",
        help="Folder of a run, file of predictions or Hub id; NAME=RUN,RUN for the seeds of one system.",
    ),
]


def compare(systems: Systems, *, values: Values) -> None:
    """Prints the table of systems, and writes a page to open with a browser, the figures and the pictures."""
    config = build(CompareConfig, values, origin="compare")
    check_search(config.decoding, values)
    from hf_seq2seq.cli.progress import counted
    from hf_seq2seq.evaluation.compared_rows import CompareRequest
    from hf_seq2seq.evaluation.compared_systems import read_systems
    from hf_seq2seq.reports.comparing import compare_systems

    read = read_systems(systems, config.rows.encoding or "utf-8")
    with counted("rows") as advance:
        found = compare_systems(CompareRequest(read, config, values, advance))
    print(strict_json.dumps(found.figures) if config.comparing.json else found.table)
    print(f"\npage, table, figures and pictures (--output-dir): {found.page}", file=sys.stderr)


COMMAND = FlagCommand(compare, CompareConfig)
build_command = COMMAND.build
