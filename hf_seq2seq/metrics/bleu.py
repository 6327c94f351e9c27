"""BLEU, chrF and TER of a corpus, as sacreBLEU computes them, with its signatures.

Paper: Papineni et al. 2002, BLEU, https://aclanthology.org/P02-1040
Paper: Popović 2015, chrF, https://aclanthology.org/W15-3049
Paper: Snover et al. 2006, translation edit rate, https://aclanthology.org/2006.amta-papers.25
Paper: Post 2018, sacreBLEU and its signatures, https://aclanthology.org/W18-6319
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from hf_seq2seq.metrics.metric import Metric, TextRows, check_rows

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as Scorer


def _scorer(name: str) -> "Scorer":
    from sacrebleu.metrics import BLEU, CHRF, TER

    scorers: dict[str, type[Scorer]] = {"bleu": BLEU, "chrf": CHRF, "ter": TER}
    return scorers[name]()


def _score(name: str, predictions: Sequence[str], references: TextRows) -> dict[str, float]:
    check_rows(predictions, references)
    # sacreBLEU wants one stream per reference position; None marks a row that has fewer references.
    streams = list(zip_longest(*references))
    return {name: float(_scorer(name).corpus_score(predictions, streams).score)}


def _signature(name: str, references: TextRows) -> str:
    counts = {len(row) for row in references}
    scorer = _scorer(name)
    scorer.num_refs = counts.pop() if len(counts) == 1 else -1  # -1 is written as nrefs:var
    return str(scorer.get_signature())


def bleu(predictions: Sequence[str], references: TextRows) -> dict[str, float]:
    """Corpus BLEU, 0-100, mixed case, the 13a tokenizer: for detokenized text in languages that put spaces.

    Rows may have unequal numbers of references.
    """
    return _score("bleu", predictions, references)


def chrf(predictions: Sequence[str], references: TextRows) -> dict[str, float]:
    """Corpus chrF2, 0-100: character 6-grams, no words; needs no tokenizer, so it suits any language."""
    return _score("chrf", predictions, references)


def ter(predictions: Sequence[str], references: TextRows) -> dict[str, float]:
    """Translation edit rate in percent, case ignored: word edits and shifts to the nearest reference.

    The edits are divided by the mean length of a row's references; above 100 when the output is far too long.
    """
    return _score("ter", predictions, references)


BLEU = Metric(bleu, True, ("bleu",), signature=lambda references: _signature("bleu", references))
CHRF = Metric(chrf, True, ("chrf",), signature=lambda references: _signature("chrf", references))
TER = Metric(ter, False, ("ter",), signature=lambda references: _signature("ter", references))
