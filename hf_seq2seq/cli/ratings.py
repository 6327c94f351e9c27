"""`hf-seq2seq ratings KEY FILE...`: statistics of human ratings by system, and agreement."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from hf_seq2seq import strict_json
from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.cli.rate import KEY
from hf_seq2seq.evaluation.significance import check_percentage
from hf_seq2seq.sections import LARGEST_SEED, Section, build, option

NO_ALPHA = "undefined: it needs texts rated by two people, and ratings that differ"


@dataclass(frozen=True, kw_only=True)
class Report(Section):
    """Report: statistics and output."""

    confidence: float = option(95.0, "Level of bootstrap confidence intervals over rows, in percent.", at_least=1)
    confidence_n: int = option(1000, "Resamples for intervals.", at_least=2)
    paired_ar_n: int = option(10000, "Trials of approximate randomization, for p-values.", at_least=2)
    resampling_seed: int = option(
        12345, "Seed of all resampling; by default sacreBLEU's.", at_least=0, at_most=LARGEST_SEED
    )
    alpha_level: str = option("ordinal", "Level of measurement for alpha.", choices=("ordinal", "interval", "nominal"))
    json: bool = option(False, "Print one JSON object.")

    def __post_init__(self) -> None:
        """Rejects invalid percentages."""
        super().__post_init__()
        check_percentage(self.confidence)


@dataclass(frozen=True)
class RatingsConfig:
    """The flags of `ratings`."""

    report: Report = field(default_factory=Report)


KeyFile = Annotated[str, Argument(metavar="KEY", help=f"{KEY} written by `rate`, or its folder.")]
RatingFiles = Annotated[list[str], Argument(metavar="FILE...", help="Files saved by raters, one per rater.")]


def ratings(key: KeyFile, files: RatingFiles, *, values: Values) -> None:
    """Prints means, differences and agreement."""
    config = build(RatingsConfig, values, origin="ratings").report
    from hf_seq2seq.analysis.rating_report import Resampling, report
    from hf_seq2seq.analysis.ratings import read_key, read_ratings

    path = Path(key).expanduser()
    known = read_key(path / KEY if path.is_dir() else path)
    given = read_ratings([Path(file).expanduser() for file in files], known)
    resampling = Resampling(config.confidence, config.confidence_n, config.paired_ar_n, config.resampling_seed)
    found = {
        "sheet": known.sheet,
        "rows": known.authored.shape[1],
        "texts": len(known.texts),
        "raters": given.counts(),
        "criteria": report(known, given, config.alpha_level, resampling),
        "alpha_level": config.alpha_level,
        "resampling": {"confidence": config.confidence, "bs": config.confidence_n}
        | {"ar": config.paired_ar_n, "seed": config.resampling_seed},
    }
    if config.json:
        print(strict_json.dumps(found))
    else:
        print_report(found)


def print_report(found: Mapping[str, Any]) -> None:
    """Prints the report: the raters, then a table per criterion."""
    needed = found["texts"] * len(found["criteria"])
    for rater, count in found["raters"].items():
        print(f"{rater}: {count} of {needed} ratings")
    for criterion, scores in found["criteria"].items():
        lines = [(name, _number(mean, "mean", "ratings")) for name, mean in scores["systems"].items()]
        lines += [(" - ".join(pair["systems"]), _number(pair, "difference", "pairs")) for pair in scores["differences"]]
        alpha = NO_ALPHA if scores["alpha"] is None else _number(scores, "alpha")
        lines.append((f"alpha ({found['alpha_level']})", alpha))
        width = max(len(title) for title, _ in lines)
        print(f"\n{criterion}")
        print("\n".join(f"{title:{width}}  {text}" for title, text in lines))
    print("\nresampling  " + "|".join(f"{name}:{value:g}" for name, value in found["resampling"].items()))


def _number(found: Mapping[str, Any], name: str, counted: str = "") -> str:
    """A number with its interval, the p-value of a difference, and the number of ratings or pairs."""
    if found[name] is None:
        return f"no {counted}"
    sign = "+" if name == "difference" else "-"
    low, high = found[f"{name}_low"], found[f"{name}_high"]
    text = f"{found[name]:{sign}.4f}  [{low:{sign}.4f}, {high:{sign}.4f}]"
    text += f"  p = {found['p']:.4f}" if "p" in found else ""
    return text + (f"  n = {found[counted]}" if counted else "")


COMMAND = FlagCommand(ratings, RatingsConfig)
build_command = COMMAND.build
