"""Which tokens move a classifier's decision, in the rows that a report shows."""

from collections.abc import Callable, Mapping

from torch import Tensor

from hf_seq2seq.analysis.records import Marked
from hf_seq2seq.decoding.classification import TextClassifier
from hf_seq2seq.reports.attention import legible
from hf_seq2seq.reports.judged import Judged


def decisions_of(classifier: TextClassifier, judged: Judged, why: Mapping[int, str]) -> list[Marked]:
    """Gradients x input of the rows of `why`.

    The score is the logit of the predicted label minus that of the next one, which decides; of several labels the logit
    of the most probable one; in regression the number.
    """
    found = []
    for number, reason in why.items():
        said, score_of = _score(judged, number)
        pair = None if judged.rows.pairs is None else judged.rows.pairs[number]
        ids, shares = classifier.saliency(judged.rows.texts[number], pair, score_of)
        names = [str(name) for name in classifier.tokenizer.convert_ids_to_tokens(ids.tolist())]
        tokens = legible(ids, names, classifier.tokenizer)
        true = f" (true: {judged.true(number) or 'none'})" if judged.labelled else ""
        found.append(Marked(number, reason, f"{said}{true}", tokens, shares))
    return found


def _score(judged: Judged, row: int) -> tuple[str, Callable[[Tensor], Tensor]]:
    """What is decided, and its score of logits `(classes,)`."""
    if judged.problem == "regression":
        return judged.predicted(row), lambda logits: logits[0]
    order = [int(each) for each in (-judged.scores[row]).argsort(kind="stable")]
    first = order[0]
    if judged.problem == "multi_label" or len(order) < 2:
        return f"{judged.names[first]}, {100 * judged.scores[row, first]:.0f}%", lambda logits: logits[first]
    second = order[1]
    return f"{judged.names[first]} rather than {judged.names[second]}", lambda logits: logits[first] - logits[second]
