"""Applies the rules of cleaning to pairs, and counts what each drops."""

from collections.abc import Mapping
from typing import Any

from hf_seq2seq.data.cleaning.options import Cleaning
from hf_seq2seq.data.cleaning.rules import Pair, Rule, Seen, make_rules

NOT_TEXT = "not_text"
"""The count of rows with a cell that is not text, to which no rule can be applied."""
OF_LABELS = ("empty", "broken_encoding", "duplicate")
"""The rules that also see a side that is labels; the others compare it with its text, or take it for one."""
KEEPING = {
    NOT_TEXT: "lists are joined by --source-template '{column}'",
    "empty": "--skip-rules empty",
    "broken_encoding": "--skip-rules broken_encoding",
    "identical": "--skip-rules identical where that is no error",
    "length": "--min-words, --max-words",
    "length_ratio": "--length-ratio, or --skip-rules length_ratio for tasks such as summaries",
    "script": "--script-share",
    "language": "--language-confidence",
    "overlap": "--against",
    "duplicate": "--unique",
    "score": "--min-score",
}
"""The flags that decide what a rule drops."""


class Cleaner:
    """Decides on pairs one by one.

    Args:
        options: the options of the rules.
        languages: of "source" and "target".
        seen: what --against contains, if it is given.
        labels: the side that is labels, if one is; most rules see the other side alone.
        spaced: the sides whose texts have several words.

    Attributes:
        rows: pairs seen.
        dropped: pairs dropped, by the name of the rule.

    Raises:
        InputError: options are incompatible, or a package is missing.
    """

    def __init__(
        self,
        options: Cleaning,
        languages: Mapping[str, str | None],
        seen: Seen | None = None,
        labels: str | None = None,
        spaced: frozenset[str] = frozenset(),
    ) -> None:
        self.rules: dict[str, Rule] = make_rules(options, languages, seen, spaced)
        self.rows, self._labels = 0, labels
        self.dropped = dict.fromkeys(self.rules, 0)

    def __call__(self, pair: Pair) -> tuple[str, str] | None:
        """The rule that drops a pair and its reason; None if the pair is kept."""
        self.rows += 1
        texts = pair._replace(**{self._labels: None}) if self._labels else pair
        for name, rule in self.rules.items():
            if (reason := rule(pair if name in OF_LABELS else texts)) is not None:
                self.dropped[name] += 1
                return name, reason
        return None

    def refuse(self) -> None:
        """Counts a row with a cell that is not text."""
        self.rows += 1
        self.dropped[NOT_TEXT] = self.dropped.get(NOT_TEXT, 0) + 1

    @property
    def counts(self) -> dict[str, Any]:
        """`rows`, `kept`, and `dropped` by rule."""
        return {"rows": self.rows, "kept": self.rows - sum(self.dropped.values()), "dropped": dict(self.dropped)}


def describe(counts: Mapping[str, Any], place: str) -> str:
    """The counts as lines for people, with the flags that decide what each rule drops."""
    rows, kept = counts["rows"], counts["kept"]
    lines = [
        f"{place}: {kept:,} of {rows:,} rows are kept ({100 * kept / max(rows, 1):.1f} %), {rows - kept:,} dropped"
    ]
    for name, count in counts["dropped"].items():
        hint = f"  ({KEEPING[name]})" if count and name in KEEPING else ""
        lines.append(f"  {name:<16}{count:>9,}{hint}")
    return "\n".join(lines)
