"""Quality of rare and frequent words, as in compare-mt (Neubig et al. 2019, https://aclanthology.org/N19-4007)."""

from hf_seq2seq.analysis.records import Record, Section, Table
from hf_seq2seq.analysis.svg import columns


def frequencies(record: Record) -> Section | None:
    """F1 of words by how often training had them."""
    if record.facts["task"] != "text" or not record.supervised:
        return None
    found = record.frequencies
    if not found:
        why = "The rows of training are not known: quality by word frequency is left out (--train-file)."
        return Section("Word frequency", left_out=why)
    groups, unseen, key = found["groups"], found["unseen"], record.facts["key"]
    text = [f"F1 of words, in percent, by how often they stand in the targets of {found['counted_in']}."]
    if unseen["rows"]:
        others = "" if unseen["score_of_others"] is None else f", against {unseen['score_of_others']:.2f} of the others"
        text.append(
            f"In {unseen['rows']:,} of {len(record):,} rows the reference has a word that training never had; the mean "
            f"{key} of these rows is {unseen['score']:.2f}{others}."
        )
    names, values = [each["frequency"] for each in groups], [each["f1"] for each in groups]
    table = Table("Words of the references", ("times in training", "words", "F1"), [list(g.values()) for g in groups])
    pictures = {"word-frequency": columns(names, values, "F1", "times in training")}
    return Section("Word frequency", tuple(text), found, (table,), pictures)
