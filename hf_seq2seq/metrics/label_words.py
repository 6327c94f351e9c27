"""Labels that a model writes as words: how many are right, and how many outputs are one of the labels at all.

Written `label_words` where the labels are all references, and `label_words:FILE` where a file has one label per line.
"""

from collections.abc import Sequence
from functools import lru_cache, partial

from hf_seq2seq.errors import InputError, nearest
from hf_seq2seq.metrics.metric import Metric, TextRows, averaged, check_rows
from hf_seq2seq.text_lines import read_lines

KEYS = ("label_accuracy", "label_share")


def _rows(labels: frozenset[str] | None, predictions: Sequence[str], references: TextRows) -> list[tuple[float, float]]:
    check_rows(predictions, references)
    known = labels or {label.strip() for accepted in references for label in accepted}
    found = []
    for row, (text, accepted) in enumerate(zip(predictions, references, strict=True), start=1):
        wanted = {label.strip() for label in accepted}
        if strange := wanted - known:
            told = f"the reference {min(strange)!r} is not in the list{nearest(min(strange), known)}"
            raise InputError(f"metric 'label_words': row {row}: {told}")
        found.append((100.0 * (text.strip() in wanted), 100.0 * (text.strip() in known)))
    return found


LABEL_WORDS = averaged(partial(_rows, None), True, KEYS, streams=False)


@lru_cache
def make_label_words(argument: str = "") -> Metric:
    """Share of outputs that are the row's label, and of those that are any label, each 0-100.

    Surrounding white space is ignored; an output outside the list counts as wrong.

    Args:
        argument: a file with one label per line; "" for the labels that occur as references.

    Raises:
        InputError: the file cannot be read, or holds no label.
    """
    if not argument:
        return LABEL_WORDS
    try:
        lines = read_lines(argument)
    except OSError as error:
        raise InputError(f"metric 'label_words': {argument}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"metric 'label_words': {argument}: is not UTF-8; save it as such") from None
    labels = frozenset(line.strip() for line in lines if line.strip())
    if not labels:
        raise InputError(f"metric 'label_words': {argument} holds no label; write one per line")
    return averaged(partial(_rows, labels), True, KEYS, signature=lambda references: f"labels:{len(labels)}")
