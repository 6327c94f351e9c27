"""The flags of `ablate`; importing this imports no torch."""

from dataclasses import dataclass, field

from hf_seq2seq.evaluation.comparison_options import Comparing
from hf_seq2seq.sections import Section, option

FOLDER = "ablation"


@dataclass(frozen=True, kw_only=True)
class Ablation(Section):
    """Ablation: what varies, and how often."""

    vary: tuple[str, ...] = option((), "A flag with its values, such as attention=none,dot; once per flag.")
    seeds: int = option(1, "Seeds of every combination: that of the file, and the next ones.", at_least=1, at_most=100)
    max_runs: int = option(100, "Refuse a grid of more runs.", at_least=1)
    num_processes: int | None = option(None, "Processes of every run; runs are made one after the other.", at_least=1)


@dataclass(frozen=True, kw_only=True)
class AblationReport(Comparing):
    """Comparison: what is measured, and where everything is written."""

    output_dir: str = option(FOLDER, "Folder of the runs; the comparison is in its folder comparison.")


@dataclass(frozen=True)
class AblateConfig:
    """The flags of `ablate`."""

    ablation: Ablation = field(default_factory=Ablation)
    comparing: AblationReport = field(default_factory=AblationReport)
