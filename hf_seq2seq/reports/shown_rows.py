"""Which rows a report shows whole."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_seq2seq.analysis.records import Record
from hf_seq2seq.errors import InputError
from hf_seq2seq.reports.options import Report


def one_set(sets: Mapping[str, Any]) -> Any:
    """The rows of the only test set.

    Raises:
        InputError: there are several, or it is empty.
    """
    if len(sets) > 1:
        raise InputError(f"analyze: there are {len(sets)} test sets ({', '.join(sets)}); analyze one at a time")
    return next(iter(sets.values()))


def chosen_rows(report: Report, rows: int) -> list[int]:
    """The rows asked for, from 0.

    Raises:
        InputError: one is not a number of a row.
    """
    found = []
    for text in report.show:
        number = int(text) if str(text).isdecimal() else 0
        if not 1 <= number <= rows:
            raise InputError(f"--show: {text!r} is not a row; the test set has rows 1 to {rows}")
        found.append(number - 1)
    return found


def rows_to_show(record: Record, report: Report, chosen: Sequence[int]) -> dict[int, str]:
    """Numbers of the rows that are shown, and why: chosen, worst or typical."""
    order = record.worst_first()
    middle = max(0, len(order) // 2 - report.show_typical // 2)
    found = dict.fromkeys(map(int, order[middle : middle + report.show_typical]), "typical")
    found |= dict.fromkeys(map(int, order[: report.show_worst]), "worst")
    return found | dict.fromkeys(chosen, "chosen")
