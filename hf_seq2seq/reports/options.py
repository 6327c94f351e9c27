"""Options of `analyze`; imports no torch, so that the command line can list them quickly."""

from dataclasses import dataclass, field

from hf_seq2seq.decoding.search_options import Lengths, Search
from hf_seq2seq.evaluation.options import Rows
from hf_seq2seq.sections import LARGEST_SEED, Section, option


@dataclass(frozen=True, kw_only=True)
class Report(Section):
    """Report: what is measured and shown, and where it is written."""

    metric: str | None = option(
        None, "Metric of the ledger, of which every row has a score; by default one of the training run, or chrf."
    )
    show: tuple[str, ...] = option((), "Numbers of rows to show in any case, from 1, separated by commas.")
    show_worst: int = option(10, "How many of the worst rows to show.", at_least=0, at_most=500)
    show_typical: int = option(5, "How many rows around the median to show.", at_least=0, at_most=500)
    gold_alignments: str | None = option(
        None, "Alignments of the test rows in Pharaoh's format, a line per row: the error rate of every layer and head."
    )
    train_file: str | None = option(
        None,
        "Training rows, for quality by word frequency, and a classifier's overlap; by default the run's training file.",
    )
    beam_rows: int | None = option(
        None,
        "Rows that are also searched with beams of 1 to 50; by default 20 to 200, at half the cost of all outputs.",
        at_least=0,
    )
    no_texts: bool = option(
        False,
        "Leave the rows' texts and tokens out of all files: figures and pictures can be shown where texts cannot.",
    )
    confidence: float = option(95.0, "Coverage of the intervals in percent.", at_least=50, at_most=99.9)
    resamples: int = option(1000, "Bootstrap resamples of every interval.", at_least=100, at_most=100_000)
    resampling_seed: int = option(12345, "Seed of the resampling.", at_least=0, at_most=LARGEST_SEED)
    output_dir: str | None = option(None, "Folder of the report; by default the folder analysis in the model's.")


@dataclass(frozen=True)
class AnalyzeConfig:
    """The flags of `analyze`."""

    report: Report = field(default_factory=Report)
    rows: Rows = field(default_factory=Rows)
    model: Lengths = field(default_factory=Lengths)
    decoding: Search = field(default_factory=Search)
