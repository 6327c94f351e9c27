"""Which source tokens move each output token, and which tokens move a classifier's decision: gradients x input.

Neither this nor attention explains an output (Jain and Wallace 2019, https://aclanthology.org/N19-1357; Wiegreffe and
Pinter 2019, https://aclanthology.org/D19-1002): it is how the score would begin to change.
"""

from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Record, Section, Table

LARGEST = 5
"""Tokens of a text that the table names."""
WARNING = (
    "A token's share is its embedding times the gradient of a score: how the score would begin to change if the token "
    "were scaled. Like the weights of attention, it is no explanation (Jain and Wallace, 2019; Wiegreffe and Pinter, "
    "2019): where a model is sure, gradients are small, and what two tokens do together belongs to neither."
)


def saliency(record: Record) -> Section | None:
    """Gradients x input of the rows shown."""
    if record.facts["task"] == "labels":
        return _decisions(record)
    if not record.saliency:
        return None
    known = [share for share in record.prefixes.values() if not np.isnan(share)]
    mean = float(np.mean(known)) if known else None
    numbers: dict[str, Any] = {"share_of_earlier_output": mean}
    numbers["rows"] = {
        str(each.row + 1): {"source": each.source, "output": each.output, "shares": each.weights[0, 0].round(4)}
        for each in record.saliency
    }
    text: tuple[str, ...] = (
        WARNING,
        "The map has the source across and the output down. The score is the log-probability of the output token; "
        "shares are absolute values, and those of a row sum to 1.",
    )
    if mean is not None:
        text += (
            f"Of all shares, {100 * mean:.0f}% belong to the output's earlier tokens, which the maps leave out: the "
            "more, the more the model continues its own output instead of reading the source.",
        )
    return Section("Saliency", text, numbers, heats=tuple(record.saliency))


def _decisions(record: Record) -> Section | None:
    if not record.marked:
        return None
    rows = [[each.row + 1, each.why, each.decision, _largest(each, 1), _largest(each, -1)] for each in record.marked]
    columns = ("row", "shown as", "score", "tokens that raise it", "tokens that lower it")
    numbers = {
        "rows": [
            {"row": each.row + 1, "decision": each.decision, "tokens": each.tokens, "shares": each.shares.round(6)}
            for each in record.marked
        ]
    }
    text = (
        WARNING,
        "With one label per row, the score is the logit of the predicted label minus that of the next one; with "
        "several, the logit of the most probable label; in regression, the number. Marks are relative to the largest "
        "share of the row; those with a dashed line lower the score.",
    )
    table = Table("The tokens with the largest shares", columns, rows)
    return Section("What moves decisions", text, numbers, (table,), marked=tuple(record.marked))


def _largest(each: Any, sign: int) -> str:
    order = np.argsort(-sign * each.shares, kind="stable")[:LARGEST]
    return ", ".join(f"{each.tokens[n].strip('·')} {each.shares[n]:+.2g}" for n in order if sign * each.shares[n] > 0)
