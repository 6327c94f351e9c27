"""`hf-seq2seq ratings KEY FILE...`: statistics of human ratings by system, agreement, and metrics against people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hf_seq2seq import strict_json
from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.cli.rate import KEY, SHEET
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.significance import check_percentage
from hf_seq2seq.metrics.metric import Metric
from hf_seq2seq.sections import LARGEST_SEED, Section, build, option

if TYPE_CHECKING:
    from hf_seq2seq.analysis.ratings import Key

CORRELATIONS = ("pearson", "spearman", "kendall")
FEWEST = 3
"""Observations below which no correlation is reported."""

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


@dataclass(frozen=True, kw_only=True)
class Metrics(Section):
    """Metrics: which of them agree with people, or, without ratings, notice damage."""

    metrics: tuple[str, ...] = option((), "Metrics to compare with the ratings; without ratings, to test on damage.")
    references: tuple[str, ...] = option((), "Files of references, if the sheet shows none or there is no sheet.")
    encoding: str = option("utf-8", "Encoding of text files.")


@dataclass(frozen=True)
class RatingsConfig:
    """The flags of `ratings`."""

    metrics: Metrics = field(default_factory=Metrics)
    report: Report = field(default_factory=Report)


KeyFile = Annotated[
    str | None, Argument(metavar="[KEY]", help=f"{KEY} written by `rate`, or its folder; none to test metrics alone.")
]
RatingFiles = Annotated[list[str] | None, Argument(metavar="[FILE]...", help="Files saved by raters, one per rater.")]


def ratings(key: KeyFile = None, files: RatingFiles = None, *, values: Values) -> None:
    """Prints means, differences and agreement, and which metrics agree with people or notice damage."""
    config = build(RatingsConfig, values, origin="ratings")
    if not config.metrics.metrics and not (key and files):
        raise InputError("ratings: give KEY and the files that raters saved, or --metrics to test metrics on damage")
    if config.metrics.references and not config.metrics.metrics:
        raise InputError("--references: are for --metrics; give both")
    found = _rated(key, files, config) if key and files else _damaged(key, config)
    if config.report.json:
        print(strict_json.dumps(found))
    elif "damage" in found:
        print_damage(found)
    else:
        print_report(found)


def _rated(key: str, files: list[str], config: RatingsConfig) -> dict[str, Any]:
    from hf_seq2seq.analysis.pyramid_sheet import read_pyramids
    from hf_seq2seq.analysis.rating_report import Resampling, report
    from hf_seq2seq.analysis.ratings import read_ratings

    known, asked = _read_key(key), config.report
    given = (read_pyramids if known.pyramid else read_ratings)([Path(file).expanduser() for file in files], known)
    resampling = Resampling(asked.confidence, asked.confidence_n, asked.paired_ar_n, asked.resampling_seed)
    found = {
        "sheet": known.sheet,
        "rows": known.authored.shape[1],
        "texts": len(known.texts),
        "raters": given.counts(),
        "criteria": report(known, given, asked.alpha_level, resampling),
        "alpha_level": asked.alpha_level,
        "resampling": {"confidence": asked.confidence, "bs": asked.confidence_n}
        | {"ar": asked.paired_ar_n, "seed": asked.resampling_seed},
    }
    if config.metrics.metrics:
        from hf_seq2seq.analysis.metric_agreement import ScoredSheet, metric_agreement

        shown, references = _shown(key, known, config.metrics)
        scored = [ScoredSheet(n, m, known, shown, references) for n, m in _metrics(config.metrics.metrics).items()]
        found["metrics"] = metric_agreement(scored, known, given, resampling)
    return found


def _damaged(key: str | None, config: RatingsConfig) -> dict[str, Any]:
    """The table of damage to the references of files, or of a sheet."""
    from hf_seq2seq.analysis.graded_damage import DEGREES, graded_damage

    asked = config.metrics
    metrics = _metrics(asked.metrics)
    if key is None and not asked.references:
        raise InputError("--metrics: without a sheet's KEY, give --references FILE")
    references = _read_references(asked) if key is None else _shown(key, _read_key(key), asked)[1]
    damage = graded_damage(metrics, references, config.report.resampling_seed)
    return {"rows": len(references), "degrees": list(DEGREES), "damage": damage, "seed": config.report.resampling_seed}


def _path(key: str) -> Path:
    path = Path(key).expanduser()
    return path / KEY if path.is_dir() else path


def _read_key(key: str) -> "Key":
    from hf_seq2seq.analysis.ratings import read_key

    return read_key(_path(key))


def _metrics(names: Sequence[str]) -> dict[str, Metric]:
    from hf_seq2seq.metrics import check_metrics, metrics_for

    return check_metrics(dict.fromkeys(names), metrics_for("seq2seq"))


def _read_references(asked: Metrics) -> list[list[str]]:
    from hf_seq2seq.data.files.lines import rejoined
    from hf_seq2seq.evaluation.scored_files import Files

    rows = Files([], rejoined(asked.references), asked.encoding)
    found = [row for _, references in rows for row in references]
    if not found:
        raise InputError(f"{asked.references[0]}: has no rows")
    return found


def _shown(key: str, known: "Key", asked: Metrics) -> tuple[list[str], list[list[str]]]:
    """The texts of a sheet, and the references of its rows: those of the files, or else those that it shows."""
    from hf_seq2seq.analysis.ratings import read_shown

    sheet = _path(key).with_name(SHEET)
    shown = read_shown(sheet, known)
    if not asked.references:
        if not all(shown.references):
            raise InputError(f"--metrics: {sheet} shows no references; give --references FILE")
        return shown.texts, shown.references
    rows = _read_references(asked)
    if len(rows) < max(known.lines):
        raise InputError(f"{asked.references[0]}: has {len(rows)} rows, but the sheet shows row {max(known.lines)}")
    return shown.texts, [rows[line - 1] for line in known.lines]


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
    if "metrics" in found:
        print_agreement(found["metrics"])
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


def print_agreement(found: Mapping[str, Any]) -> None:
    """Prints the correlations of metrics with people, a table per criterion."""
    for criterion, scores in found.items():
        print(f"\nmetrics and {criterion}")
        rows = [["", "", *CORRELATIONS]]
        for name, levels in scores.items():
            for level, known in levels.items():
                cells = [_correlation(known, each) for each in CORRELATIONS]
                rows.append([name, f"{known['n']} {'texts' if level == 'rows' else level}", *cells])
        _print_columns(rows)


def _correlation(known: Mapping[str, Any], name: str) -> str:
    if known[name] is None:
        return "too few" if known["n"] < FEWEST else "constant"
    if known[f"{name}_low"] is None:
        return f"{known[name]:+.3f}"
    return f"{known[name]:+.3f} [{known[f'{name}_low']:+.3f}, {known[f'{name}_high']:+.3f}]"


def print_damage(found: Mapping[str, Any]) -> None:
    """Prints the scores of damaged references, a table per kind of damage."""
    for kind, known in found["damage"].items():
        print(f"{kind} ({known['rows']} of {found['rows']} texts)")
        if not known["rows"]:
            print("no text has any\n")
            continue
        rows = [["", *(f"{degree:.0%}" for degree in found["degrees"]), ""]]
        for name, scores in known["metrics"].items():
            rows.append([name, *(f"{score:.2f}" for score in scores["scores"]), scores["verdict"]])
        _print_columns(rows)
        print()


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


COMMAND = FlagCommand(ratings, RatingsConfig)
build_command = COMMAND.build
