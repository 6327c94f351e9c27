"""Options of `compare`; imports no torch, so that the command line can list them quickly."""

from dataclasses import dataclass, field

from hf_seq2seq.decoding.search_options import Lengths, Search
from hf_seq2seq.evaluation.options import Rows
from hf_seq2seq.sections import LARGEST_SEED, Section, option


@dataclass(frozen=True, kw_only=True)
class Comparing(Section):
    """Comparison: what is measured, and where it is written."""

    metrics: tuple[str, ...] = option((), "Metrics, separated by commas; by default those of the first run.")
    references: tuple[str, ...] = option(
        (), "File of references for files of predictions; several files give several per row."
    )
    sources: str | None = option(None, "File of the sources of --references, for quality by their length.")
    train_file: str | None = option(
        None, "File whose words are counted for quality by word frequency; by default the first run's training rows."
    )
    confidence: float = option(95.0, "Coverage of the intervals in percent.", at_least=50, at_most=99.9)
    resamples: int = option(1000, "Bootstrap resamples of every interval.", at_least=100, at_most=100_000)
    resampling_seed: int = option(12345, "Seed of the resampling.", at_least=0, at_most=LARGEST_SEED)
    show: int = option(10, "Rows and n-grams to show where one system is better.", at_least=0, at_most=500)
    output_dir: str = option("comparison", "Folder of the page, the figures and the pictures.")
    json: bool = option(False, "Print the figures as JSON rather than the table.")


@dataclass(frozen=True)
class CompareConfig:
    """The flags of `compare`."""

    comparing: Comparing = field(default_factory=Comparing)
    rows: Rows = field(default_factory=Rows)
    model: Lengths = field(default_factory=Lengths)
    decoding: Search = field(default_factory=Search)
