"""Quality by how often words stand in the training rows."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Record
from hf_seq2seq.evaluation.compared_rows import words_in_training, words_of_run
from hf_seq2seq.evaluation.comparison_texts import FREQUENCIES, f1, frequency_name, word_classes
from hf_seq2seq.metrics.words import words

Trained = tuple[Counter[str], str]
"""How often each word stands in the training targets, and where they were read."""


def training_counts(asked: str | None, run: Mapping[str, Any]) -> Trained | None:
    """Counts of the file asked for, or else of the run's own training file; None where that is not known or not there.

    Raises:
        InputError: the file asked for cannot be read.
    """
    if asked is not None:
        return words_in_training(asked, run), asked
    return words_of_run(run)


def frequencies_of(record: Record, trained: Trained) -> dict[str, Any]:
    """F1 of the words of each frequency in percent, and the score of rows with words that training never had.

    Args:
        record: rows with references.
        trained: counts of words, and their place.
    """
    counts, place = trained
    texts = ((row["output"], row["references"]) for row in record.rows())
    groups = [
        {"frequency": frequency_name(number), "words": int(sums[2]), "f1": f1(*sums)}
        for number, sums in enumerate(word_classes(texts, counts))
        if sums[2]
    ]
    assert FREQUENCIES[0] == (0, 0)
    new = np.array([any(w not in counts for w in words(row["references"][0])) for row in record.rows()], dtype=bool)
    score = record.figures["score"]
    means = [float(np.nanmean(score[rows])) if rows.any() else None for rows in (new, ~new)]
    unseen = {"rows": int(new.sum()), "score": means[0], "score_of_others": means[1]}
    return {"counted_in": place, "groups": groups, "unseen": unseen}
