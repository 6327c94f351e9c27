"""Statistical significance of scores: intervals, and comparison with other systems on the same references."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import LARGEST_SEED, Section, option

if TYPE_CHECKING:
    from hf_seq2seq.metrics.corpus import Corpus


def check_percentage(confidence: float) -> None:
    """Rejects a confidence of 100 percent or more.

    Raises:
        InputError: it is too large; names the flag.
    """
    if confidence >= 100:
        raise InputError(f"--confidence: {confidence:g} must be below 100; it is a percentage")


@dataclass(frozen=True, kw_only=True)
class Significance(Section):
    """Significance: intervals and tests for every metric."""

    confidence: float | None = option(
        None, "Also bootstrap confidence intervals at this level, in percent.", at_least=1
    )
    confidence_n: int = option(1000, "Resamples for --confidence.", at_least=2)
    compare: tuple[str, ...] = option(
        (), "Compare with other systems: files of predictions, folders of models or of baselines."
    )
    paired_bs: bool = option(False, "Test the difference by paired bootstrap resampling, the default of --compare.")
    paired_bs_n: int = option(1000, "Resamples for --paired-bs.", at_least=2)
    paired_ar: bool = option(False, "Test the difference by approximate randomization instead.")
    paired_ar_n: int = option(10000, "Trials for --paired-ar.", at_least=2)
    resampling_seed: int = option(
        12345, "Seed of all resampling; by default sacreBLEU's.", at_least=0, at_most=LARGEST_SEED
    )

    def __post_init__(self) -> None:
        """Rejects conflicting flags."""
        super().__post_init__()
        if self.confidence is not None:
            check_percentage(self.confidence)
        if self.paired_bs and self.paired_ar:
            raise InputError("--paired-bs and --paired-ar exclude each other")
        if (self.paired_bs or self.paired_ar) and not self.compare:
            raise InputError("--paired-bs and --paired-ar need --compare with a file of another system's predictions")

    @property
    def resamples(self) -> bool:
        """Whether rows will be resampled."""
        return self.confidence is not None or bool(self.compare)


def report(systems: Mapping[str, "Corpus"], metrics: Mapping[str, Any], significance: Significance) -> dict[str, Any]:
    """The report as JSON: the first system's scores, and each other system's under "compared", keyed by its file.

    The interval of the score `bleu` is `bleu_low` to `bleu_high`; `bleu_p` is the p-value of a difference.
    """
    (_, first), *others = systems.items()
    first.tell_doubts()
    found: dict[str, Any] = {**_scores(first, metrics, significance), "samples": first.rows}
    signatures = first.signatures()
    if signatures:
        found["signatures"] = signatures
    if significance.resamples:
        found["resampling"] = _settings(significance)
    if others:
        found["compared"] = {
            name: _scores(other, metrics, significance) | _p_values(first, other, metrics, significance)
            for name, other in others
        }
    return found


def _settings(significance: Significance) -> dict[str, float]:
    """In the format of sacreBLEU's signatures."""
    found: dict[str, float] = {}
    if significance.confidence is not None:
        found |= {"confidence": significance.confidence, "bs": significance.confidence_n}
    if significance.compare:
        found |= {"ar": significance.paired_ar_n} if significance.paired_ar else {"paired_bs": significance.paired_bs_n}
    return found | {"seed": significance.resampling_seed}


def _scores(corpus: "Corpus", metrics: Mapping[str, Any], significance: Significance) -> dict[str, float]:
    scores = corpus.scores()
    if significance.confidence is None:
        return scores
    from hf_seq2seq.metrics.resampling import bootstrap, interval

    bounds = {}
    for name, metric in metrics.items():
        drawn = bootstrap(corpus.sample(name), significance.confidence_n, significance.resampling_seed)
        for key, low, high in zip(metric.keys, *interval(drawn, significance.confidence), strict=True):
            bounds[key] = {f"{key}_low": float(low), f"{key}_high": float(high)}
    return {name: number for key in scores for name, number in ({key: scores[key]} | bounds[key]).items()}


def _p_values(
    first: "Corpus", other: "Corpus", metrics: Mapping[str, Any], significance: Significance
) -> dict[str, float]:
    from hf_seq2seq.metrics.resampling import approximate_randomisation, paired_bootstrap

    test = approximate_randomisation if significance.paired_ar else paired_bootstrap
    draws = significance.paired_ar_n if significance.paired_ar else significance.paired_bs_n
    found: dict[str, float] = {}
    for name, metric in metrics.items():
        values = test(first.sample(name), other.sample(name), draws, significance.resampling_seed)
        found |= {f"{key}_p": float(value) for key, value in zip(metric.keys, values, strict=True)}
    return found


def print_table(found: Mapping[str, Any]) -> None:
    """Prints a report: one score per line with its interval, then the signatures, and the other systems."""
    numbers = {key: value for key, value in found.items() if isinstance(value, int | float)}
    _print_scores(numbers)
    for title, more in found.items():  # with several test sets, each title begins with the set's name
        if title.endswith("signatures"):
            for name, signature in more.items():
                print(f"{title.removesuffix('signatures')}{name}_signature  {signature}")
        elif title.endswith("resampling"):
            print(f"{title}  " + "|".join(f"{name}:{value:g}" for name, value in more.items()))
    for system, scores in found.get("compared", {}).items():
        print(f"\n{system}")
        _print_scores(scores, numbers)


def _print_scores(scores: Mapping[str, float], baseline: Mapping[str, float] | None = None) -> None:
    shown = [key for key in scores if not key.endswith(("_low", "_high", "_p"))]
    width = max(map(len, shown))
    for key in shown:
        value = scores[key]
        line = f"{key:{width}}  {value}" if isinstance(value, int) else f"{key:{width}}  {value:.4f}"
        if f"{key}_low" in scores:
            line += f"  [{scores[f'{key}_low']:.4f}, {scores[f'{key}_high']:.4f}]"
        if baseline is not None:
            line += f"  {scores[key] - baseline[key]:+.4f}  p = {scores[f'{key}_p']:.4f}"
        print(line)
