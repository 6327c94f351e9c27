"""BLEU, chrF, chrF++ and TER of a corpus, as sacreBLEU computes them, with its signatures.

A row's statistics are sacreBLEU's own (matched n-grams, edits, lengths), so a corpus of any size can be summed in
chunks, and resampled without counting n-grams again.

Paper: Papineni et al. 2002, BLEU, https://aclanthology.org/P02-1040
Paper: Popović 2015, chrF, https://aclanthology.org/W15-3049; 2017, chrF++, https://aclanthology.org/W17-4770
Paper: Snover et al. 2006, translation edit rate, https://aclanthology.org/2006.amta-papers.25
Paper: Post 2018, sacreBLEU and its signatures, https://aclanthology.org/W18-6319
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from hf_seq2seq.metrics.metric import Metric, Scores, TextRows, check_rows, summed
from hf_seq2seq.metrics.words import SACREBLEU, check_tokenizer, count_unsplit

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as Scorer


@lru_cache
def _scorer(name: str) -> "Scorer":
    from sacrebleu.metrics import BLEU, CHRF, TER

    if ":" in name:
        return BLEU(tokenize=name.partition(":")[2])
    if name == "chrf++":
        return CHRF(word_order=2)
    scorers: dict[str, type[Scorer]] = {"bleu": BLEU, "chrf": CHRF, "ter": TER}
    return scorers[name]()


def _statistics(name: str, predictions: Sequence[str], references: TextRows) -> list[list[float]]:
    check_rows(predictions, references)
    # sacreBLEU wants one stream per reference position; None marks a row that has fewer references.
    streams = list(zip_longest(*references))
    found: list[list[float]] = _scorer(name)._extract_corpus_statistics(predictions, streams)
    return found


def _score(name: str, sums: Sequence[float]) -> Scores:
    return {_key(name): float(_scorer(name)._compute_score_from_stats([float(value) for value in sums]).score)}


def _signature(name: str, references: TextRows) -> str:
    counts = {len(row) for row in references}
    scorer = _scorer(name)
    scorer.num_refs = counts.pop() if len(counts) == 1 else -1  # -1 is shown as nrefs:var
    return str(scorer.get_signature())


def _key(name: str) -> str:
    return name.replace(":", "_").replace("-", "_")


def _no_4_grams(sums: Sequence[float]) -> str:
    """Says that outputs are too short; sacreBLEU's statistics are two lengths, and matched and all n-grams by order."""
    return "no output has 4 words, so BLEU is 0" if not sums[-1] else ""


def _unsplit(predictions: Sequence[str], references: TextRows) -> int:
    return count_unsplit(row[0] for row in references)


def _metric(name: str, greater_is_better: bool, **more: Any) -> Metric:
    statistics, score = partial(_statistics, name), partial(_score, name)
    return summed(statistics, score, greater_is_better, (_key(name),), signature=partial(_signature, name), **more)


@lru_cache
def make_bleu(argument: str) -> Metric:
    """BLEU with another of sacreBLEU's tokenizers; its score is called `bleu_zh` for `bleu:zh`.

    Raises:
        InputError: there is no such tokenizer, or what it needs is not installed.
    """
    name = f"bleu:{check_tokenizer('bleu', argument, tuple(SACREBLEU))}"
    return _metric(name, True, emptiness=_no_4_grams, **(SPACED if argument in ("13a", "intl", "none") else {}))


@lru_cache
def make_sentence_bleu(argument: str = "13a") -> Callable[[str, Sequence[str]], float]:
    """BLEU of one prediction against its references, 0-100, as sacreBLEU's `sentence_bleu` computes it.

    Orders for which the prediction is too short are left out; counts of zero are smoothed exponentially.

    Paper: Chen and Cherry, 2014, method 3 (smoothing), https://aclanthology.org/W14-3346

    Raises:
        InputError: there is no such tokenizer, or what it needs is not installed.
    """
    from sacrebleu.metrics import BLEU

    scorer = BLEU(tokenize=check_tokenizer("bleu", argument, tuple(SACREBLEU)), effective_order=True)
    return lambda prediction, references: float(scorer.sentence_score(prediction, list(references)).score)


UNSPLIT = "text is written without spaces, so that its words are not found"
SPACED = {"doubts": _unsplit, "doubt": f"{UNSPLIT}; bleu:zh, bleu:ja-mecab, bleu:flores200, bleu:char or chrf suit it"}
BLEU = _metric("bleu", True, emptiness=_no_4_grams, **SPACED)
CHRF = _metric("chrf", True)
CHRF_PLUS_PLUS = _metric("chrf++", True)
TER = _metric(
    "ter", False, **SPACED | {"doubt": "text is written without spaces, so that its words are not found; chrf suits it"}
)


def bleu(predictions: Sequence[str], references: TextRows) -> Scores:
    """Corpus BLEU, 0-100, mixed case, the 13a tokenizer: for detokenized text in languages written with spaces.

    `make_bleu` offers tokenizers for other languages.

    The number of references may vary between rows.
    """
    return BLEU.compute(predictions, references)


def chrf(predictions: Sequence[str], references: TextRows) -> Scores:
    """Corpus chrF2, 0-100: character 6-grams and no words; it needs no tokenizer, so it suits any language."""
    return CHRF.compute(predictions, references)


def chrf_plus_plus(predictions: Sequence[str], references: TextRows) -> Scores:
    """Corpus chrF2++, 0-100: character 6-grams and, for languages written with spaces, word unigrams and bigrams."""
    return CHRF_PLUS_PLUS.compute(predictions, references)


def ter(predictions: Sequence[str], references: TextRows) -> Scores:
    """Translation edit rate in percent, case ignored: word edits and shifts to the nearest reference.

    The edits are divided by the mean length of a row's references; the rate exceeds 100 when the output is far too
    long.
    """
    return TER.compute(predictions, references)
