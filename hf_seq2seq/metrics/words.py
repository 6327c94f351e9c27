"""Words of a text for the metrics that compare words and have no tokenizer of their own."""

from functools import lru_cache

SIGNATURE = "case:lc|tok:13a"


@lru_cache
def _tokenizer() -> object:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return Tokenizer13a()


def words(text: str, punctuation: bool = True) -> list[str]:
    """Lower-case words and punctuation marks as mteval's tokenizer 13a divides them.

    Args:
        text: detokenized or tokenized.
        punctuation: whether marks without any letter or digit are kept.
    """
    found = _tokenizer()(text.lower()).split()  # type: ignore[operator]
    return found if punctuation else [word for word in found if any(map(str.isalnum, word))]
