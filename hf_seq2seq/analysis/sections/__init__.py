"""The analyses of a report: each is one file with a function from a `Record` to a `Section`.

A function returns None where it does not apply, such as a confusion matrix of texts. The page has its tabs, and the
JSON file its keys, in this order.
"""

from collections.abc import Callable

from hf_seq2seq.analysis.records import Record, Section
from hf_seq2seq.analysis.sections.attention import attention
from hf_seq2seq.analysis.sections.failures import failures
from hf_seq2seq.analysis.sections.ledger import ledger
from hf_seq2seq.analysis.sections.rows import rows

SECTIONS: dict[str, Callable[[Record], Section | None]] = {
    "ledger": ledger,
    "failures": failures,
    "attention": attention,
    "rows": rows,
}
