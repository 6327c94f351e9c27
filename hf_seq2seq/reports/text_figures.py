"""Figures of a row that its texts give, and its output with one fault mended."""

from collections.abc import Sequence
from dataclasses import dataclass

from hf_seq2seq.analysis.text_faults import (
    first_difference,
    joined,
    main_script,
    missing_copies,
    repeated_ngrams,
    wanted_copies,
    with_copies,
    without_loops,
    words,
)

SHORT, LONG = 0.8, 1.25
"""Bounds of a proper length, in words of the nearest reference."""


@dataclass(frozen=True)
class Candidates:
    """The texts of a row.

    Attributes:
        source: its text; empty for a conversation.
        outputs: best first, at least one.
        references: empty if the rows have none.
        missed: whether the model prefers a reference to the output.
        forced: the model's best tokens after the prefixes of a reference that lost more after the output's; else None.
    """

    source: str
    outputs: Sequence[str]
    references: Sequence[str]
    missed: bool = False
    forced: str | None = None

    @property
    def nearest(self) -> str:
        """The reference whose number of words is nearest to the output's."""
        size = len(words(self.outputs[0]))
        return min(self.references, key=lambda text: abs(len(words(text)) - size))


def text_figures(row: Candidates) -> dict[str, float]:
    """The figures of `FIGURES` that need no model; without references, those that need none."""
    output = words(row.outputs[0])
    found: dict[str, float] = {
        "empty": not output,
        "source_words": len(words(row.source)),
        "source_characters": len(row.source),
        "output_words": len(output),
        "looped_words": len(output) - len(without_loops(output)),
    }
    found |= _against_references(row, output)
    if not row.references:
        return found
    nearest, wanted = words(row.nearest), wanted_copies(row.source, row.nearest)
    found |= {
        "exact": row.outputs[0].strip() in [text.strip() for text in row.references],
        "reference_words": len(nearest),
        "copies": wanted.total(),
        "copies_missing": missing_copies(wanted, row.outputs[0]).total(),
    }
    place = first_difference(output, nearest)
    return found if place is None else found | {"first_error": place}


def _against_references(row: Candidates, output: Sequence[str]) -> dict[str, float]:
    """What is a failure only where no reference has it too."""
    references = [words(text) for text in row.references]
    own, scripts = main_script(row.outputs[0]), [main_script(text) for text in row.references]
    copies = bool(output) and row.outputs[0].strip() == row.source.strip()
    return {
        "reference_looped_words": max((len(text) - len(without_loops(text)) for text in references), default=0),
        "repeated_ngrams": repeated_ngrams(output),
        "reference_repeated_ngrams": max(map(repeated_ngrams, references), default=0),
        "strange_script": own is not None and any(scripts) and own not in scripts,
        "copies_source": copies and row.source.strip() not in [text.strip() for text in row.references],
    }


def mended_texts(row: Candidates) -> dict[str, str]:
    """The output with one fault mended, for each fault that it has.

    `search`: the reference that the model prefers; `repetition`: loops cut off; `copies`: missing numbers, names and
    addresses in place of wrong ones; `length`: cut to the reference's length, or for a short output the one of the
    n-best whose length is nearest; `exposure`: the model's best tokens after the reference's prefixes.
    """
    output, found = row.outputs[0], dict[str, str]()
    if row.missed:
        found["search"] = row.nearest
    if row.forced is not None and row.forced != output:
        found["exposure"] = row.forced
    short, references = without_loops(words(output)), [words(text) for text in row.references]
    if len(words(output)) - len(short) > max(len(text) - len(without_loops(text)) for text in references):
        found["repetition"] = joined(short, output)
    wanted = wanted_copies(row.source, row.nearest)
    if missing := missing_copies(wanted, output):
        found["copies"] = with_copies(output, wanted, missing)
    size, right = len(words(output)), len(words(row.nearest))
    if size > LONG * right:
        found["length"] = joined(words(output)[:right], output)
    elif size < SHORT * right:
        found["length"] = min(row.outputs, key=lambda text: abs(len(words(text)) - right))
    return found
