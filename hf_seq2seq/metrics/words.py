"""Tokenization for the metrics that compare words, by the text's script or by one of sacreBLEU's tokenizers.

By default spaces and punctuation separate words, and scripts written without spaces (Chinese, Japanese, Thai, Lao,
Khmer, Burmese) are split into characters, each with its combining marks. `rouge:zh`, `meteor:intl` etc. select one of
sacreBLEU's tokenizers instead.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

from hf_seq2seq.errors import InputError, nearest

Tokenize = Callable[[str], list[str]]
BY_SCRIPT = "script"
SACREBLEU = {
    "13a": "tokenizer_13a.Tokenizer13a",
    "intl": "tokenizer_intl.TokenizerV14International",
    "zh": "tokenizer_zh.TokenizerZh",
    "ja-mecab": "tokenizer_ja_mecab.TokenizerJaMecab",
    "ko-mecab": "tokenizer_ko_mecab.TokenizerKoMecab",
    "char": "tokenizer_char.TokenizerChar",
    "flores200": "tokenizer_spm.Flores200Tokenizer",
    "none": "tokenizer_none.NoneTokenizer",
}
"""The sacreBLEU tokenizers that a metric can use, by sacreBLEU's names, and where they are defined."""
EXTRAS = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]", "flores200": "sentencepiece"}
TOKENIZERS = (BY_SCRIPT, *SACREBLEU)
# Scripts written without spaces: CJK with kana and bopomofo, Thai, Lao, Burmese, Khmer, Tai.
_RANGES = (
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9d\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff\u1950-\u19ff"
    "\u1a20-\u1aaf"
)
_ASCII = re.compile(r"[a-z0-9]+")


def check_tokenizer(metric: str, name: str, known: Sequence[str]) -> str:
    """The name of the tokenizer after a metric's name, as in `bleu:zh`.

    Raises:
        InputError: there is no such tokenizer, or what it needs is not installed.
    """
    if name not in known:
        raise InputError(f"--metrics {metric}:{name}: unknown tokenizer {name!r}{nearest(name, known)}")
    if name in SACREBLEU:
        sacrebleu_tokenizer(name)
    return name


@lru_cache
def sacrebleu_tokenizer(name: str) -> Any:
    """One of sacreBLEU's tokenizers, which returns a text separated by spaces.

    Raises:
        InputError: it needs a package that is not installed, or a model that cannot be downloaded.
    """
    module, kind = SACREBLEU[name].split(".")
    try:
        return getattr(import_module(f"sacrebleu.tokenizers.{module}"), kind)()
    except (ImportError, RuntimeError) as error:
        needed = EXTRAS.get(name, "sacrebleu")
        raise InputError(f"tokenizer {name!r} needs one more package: pip install '{needed}'") from error
    except OSError as error:
        raise InputError(f"tokenizer {name!r} needs a model that cannot be downloaded: {error}") from None


def words(text: str, punctuation: bool = True, tokenizer: str = BY_SCRIPT) -> list[str]:
    """Lower-case words and punctuation marks.

    Args:
        text: detokenized or tokenized text.
        punctuation: whether to keep marks without any letter or digit.
        tokenizer: a key of `TOKENIZERS`. "script" is mteval's 13a, and additionally separates non-ASCII marks from
            words, and splits text without spaces into characters.
    """
    if tokenizer == BY_SCRIPT:
        found = sacrebleu_tokenizer("13a")(text.lower()).split()
        found = [piece for word in found for piece in ([word] if word.isascii() else _pieces(word, joined=True))]
    else:
        found = sacrebleu_tokenizer(tokenizer)(text.lower()).split()
    return found if punctuation else [word for word in found if any(map(str.isalnum, word))]


def signature(tokenizer: str = BY_SCRIPT) -> str:
    """The signature of `words`."""
    return f"case:lc|tok:{'13a+script' if tokenizer == BY_SCRIPT else tokenizer}"


def letters(text: str, tokenizer: str = BY_SCRIPT) -> list[str]:
    """Lower-case words without any punctuation; on ASCII text those of the rouge_score package before stemming."""
    if tokenizer != BY_SCRIPT:
        return words(text, punctuation=False, tokenizer=tokenizer)
    lowered = unicodedata.normalize("NFC", text.lower())
    if lowered.isascii():
        return _ASCII.findall(lowered)
    return [piece for piece in _pieces(lowered) if piece[0].isalnum()]


def _pieces(text: str, joined: bool = False) -> list[str]:
    """Runs of letters, digits and their marks; single characters of scripts without spaces; every other mark by itself.

    Args:
        text: in lower case.
        joined: ASCII marks and the apostrophe belong to words, because another tokenizer has already separated them.
    """
    found: list[str] = []
    kind = last = "space"
    for character in text:
        kind = "word" if joined and (character.isascii() or character == "’") else _kind(character)
        if kind == "mark" and found and last != "space":
            found[-1] += character
            continue
        if kind == "word" and last == "word":
            found[-1] += character
        elif kind != "space":
            found.append(character)
        last = kind
    return found


@lru_cache(maxsize=1 << 16)
def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "M" or character in "\u200c\u200d":  # joiners are part of Indic and Persian words
        return "mark"
    if character.isspace() or category[0] in "ZC":
        return "space"
    if _unspaced().match(character):
        return "character"
    return "word" if character.isalnum() else "sign"


def count_unsplit(texts: Iterable[str]) -> int:
    """How many texts are mostly in scripts written without spaces, so that splitting at spaces does not give words."""
    others = (text for text in texts if not text.isascii())
    return sum(2 * len(_unspaced().findall(text)) > sum(map(str.isalnum, text)) > 1 for text in others)


@lru_cache
def _unspaced() -> re.Pattern[str]:
    """Compiled at the first text that is not ASCII."""
    return re.compile(f"[{_RANGES}]")
