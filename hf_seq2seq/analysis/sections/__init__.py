"""The analyses of a report: each is one file with a function from a `Record` to a `Section`.

A function returns None where it does not apply, such as a confusion matrix of texts. The page has its tabs, and the
JSON file its keys, in this order.
"""

from collections.abc import Callable

from hf_seq2seq.analysis.records import Record, Section
from hf_seq2seq.analysis.sections.attention import attention
from hf_seq2seq.analysis.sections.beam_sizes import beam_sizes
from hf_seq2seq.analysis.sections.classes import classes
from hf_seq2seq.analysis.sections.confidence import confidence
from hf_seq2seq.analysis.sections.exposure import exposure
from hf_seq2seq.analysis.sections.failures import failures
from hf_seq2seq.analysis.sections.frequencies import frequencies
from hf_seq2seq.analysis.sections.label_sets import label_sets
from hf_seq2seq.analysis.sections.ledger import ledger
from hf_seq2seq.analysis.sections.lengths import lengths
from hf_seq2seq.analysis.sections.ngrams import ngrams
from hf_seq2seq.analysis.sections.numbers import numbers
from hf_seq2seq.analysis.sections.overlap import overlap
from hf_seq2seq.analysis.sections.rows import rows
from hf_seq2seq.analysis.sections.saliency import saliency

SECTIONS: dict[str, Callable[[Record], Section | None]] = {
    "ledger": ledger,
    "classes": classes,
    "label_sets": label_sets,
    "numbers": numbers,
    "failures": failures,
    "attention": attention,
    "saliency": saliency,
    "lengths": lengths,
    "exposure": exposure,
    "beam_sizes": beam_sizes,
    "confidence": confidence,
    "ngrams": ngrams,
    "frequencies": frequencies,
    "overlap": overlap,
    "rows": rows,
}
