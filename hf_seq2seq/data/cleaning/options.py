"""The options of cleaning; imports nothing but sections, so that the command line can list them quickly."""

from dataclasses import dataclass

from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import MANY, Section, option

RULES = (
    "empty",
    "broken_encoding",
    "identical",
    "length",
    "length_ratio",
    "script",
    "language",
    "overlap",
    "duplicate",
)
"""The rules in the order in which they are applied; a row counts under the first that drops it."""
SIDES = ("source", "target")
BACK_TRANSLATED = "<BT>"
"""The tag put before synthetic sources."""


@dataclass(frozen=True, kw_only=True)
class Cleaning(Section):
    """Rules: which pairs are dropped."""

    skip_rules: tuple[str, ...] = option((), "Rules that are not applied.", choices=RULES)
    length_ratio: float = option(
        9.0, "Drop a pair if one side has more than this many times the characters of the other.", at_least=1
    )
    min_words: int = option(1, "Drop a pair with a side of fewer words; an ideogram counts as a word.", at_least=1)
    max_words: int | None = option(None, "Drop a pair with a side of more words.", at_least=1, at_most=MANY)
    unique: tuple[str, ...] = option(
        ("pair",), "Drop what repeats an earlier pair, source or target in normal form.", choices=("pair", *SIDES)
    )
    against: tuple[str, ...] = option(
        (), "Files such as test sets, separated by commas; drop a pair with a side that occurs in them."
    )
    source_script: str | None = option(None, "Script of the sources, such as Latn or Cyrl; drop others.")
    target_script: str | None = option(None, "Script of the targets; drop others.")
    script_share: float = option(0.5, "Least share of a side's letters in its script.", above=0, at_most=1)
    check_language: bool = option(
        False, "Drop a side in another language than --source-lang and --target-lang; needs py3langid or lingua."
    )
    language_confidence: float = option(
        0.8, "Least probability of another language for a side to be dropped.", above=0, at_most=1
    )

    def check(self) -> None:
        """Rejects incompatible settings.

        Raises:
            InputError: settings conflict; names the flag.
        """
        if self.max_words is not None and self.min_words > self.max_words:
            raise InputError(f"--min-words: {self.min_words} is more than --max-words {self.max_words}")
