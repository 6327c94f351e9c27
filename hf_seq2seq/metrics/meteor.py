"""METEOR: words matched exactly, by stem and by synonym, with a penalty for fragmented matches.

Paper: Banerjee and Lavie 2005, METEOR, https://aclanthology.org/W05-0909 (the constants used here)
Paper: Lavie and Agarwal 2007, https://aclanthology.org/W07-0734, which names them alpha, beta and gamma
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Metric, Scores, TextRows, averaged, check_rows
from hf_seq2seq.metrics.words import BY_SCRIPT, TOKENIZERS, check_tokenizer, signature, words

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5


class NoWordNet:
    """An empty thesaurus, for when WordNet's data are not installed."""

    def synsets(self, word: str) -> list[Any]:
        """No synonym sets."""
        return []


@lru_cache
def thesaurus() -> Any:
    """NLTK's WordNet if its data are installed (`python -m nltk.downloader wordnet`), otherwise an empty thesaurus.

    Raises:
        InputError: nltk is not installed.
    """
    try:
        from nltk.corpus import wordnet
    except ImportError as error:
        raise InputError("metric 'meteor' needs one more package: pip install 'hf-seq2seq[meteor]'") from error
    try:
        wordnet.ensure_loaded()
    except LookupError:
        return NoWordNet()
    return wordnet


def _rows(tokenizer: str, predictions: Sequence[str], references: TextRows) -> list[float]:
    check_rows(predictions, references)
    wordnet = thesaurus()
    from nltk.translate.meteor_score import meteor_score

    divide = partial(words, tokenizer=tokenizer)
    constants = {"alpha": ALPHA, "beta": BETA, "gamma": GAMMA, "wordnet": wordnet}
    return [
        100 * float(meteor_score([divide(reference) for reference in row], divide(text), **constants))
        for text, row in zip(predictions, references, strict=True)
    ]


def _signature(tokenizer: str, references: TextRows) -> str:
    from nltk import __version__ as version

    matchers = "exact,stem" if isinstance(thesaurus(), NoWordNet) else "exact,stem,synonym"
    return f"matchers:{matchers}|alpha:{ALPHA}|beta:{BETA}|gamma:{GAMMA}|{signature(tokenizer)}|nltk:{version}"


@lru_cache
def make_meteor(argument: str = "") -> Metric:
    """METEOR with another tokenizer; its score is called `meteor_zh` for `meteor:zh`.

    Raises:
        InputError: there is no such tokenizer, or what it needs is not installed.
    """
    tokenizer = check_tokenizer("meteor", argument, TOKENIZERS) if argument else BY_SCRIPT
    key = f"meteor_{argument}".replace("-", "_") if argument else "meteor"
    return averaged(partial(_rows, tokenizer), True, (key,), signature=partial(_signature, tokenizer))


METEOR = make_meteor()


def meteor(predictions: Sequence[str], references: TextRows) -> Scores:
    """Mean METEOR over rows, 0-100, by NLTK; the best of several references counts.

    Repeated words are matched from the end of the text, as NLTK does, whereas the papers search for the alignment with
    the fewest crossings. Synonyms count if WordNet's data are installed, which the signature states; NLTK looks up the
    stems of words.

    Raises:
        InputError: nltk is not installed.
    """
    return METEOR.compute(predictions, references)
