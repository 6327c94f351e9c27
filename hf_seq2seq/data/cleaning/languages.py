"""The language of a text, by an optional package."""

import re
from collections.abc import Callable

from hf_seq2seq.errors import InputError, nearest

Identify = Callable[[str], tuple[str, float]]
"""The most probable language of a text, by its two letters, and its probability."""


def language_identifier() -> tuple[Identify, list[str]]:
    """A function that identifies languages, and the languages that it knows: lingua's, or else py3langid's.

    Raises:
        InputError: neither package is installed.
    """
    for make in (_lingua, _py3langid):
        try:
            return make()
        except ImportError:
            continue
    raise InputError("--check-language: needs one more package: pip install 'hf-seq2seq[langid]'")


def _lingua() -> tuple[Identify, list[str]]:
    from lingua import Language, LanguageDetectorBuilder

    detector = LanguageDetectorBuilder.from_all_languages().build()

    def identify(text: str) -> tuple[str, float]:
        best = detector.compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), best.value

    return identify, [language.iso_code_639_1.name.lower() for language in Language.all()]


def _py3langid() -> tuple[Identify, list[str]]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def identify(text: str) -> tuple[str, float]:
        language, probability = model.classify(text)
        return str(language), float(probability)

    return identify, [str(language) for language in model.labels]


def language_code(flag: str, language: str, known: list[str]) -> str:
    """A language such as `de`, `de_DE` or `de-AT` by the two letters that identification gives.

    Raises:
        InputError: it cannot be identified; names the nearest one.
    """
    code = re.split("[-_]", language)[0].lower()
    if code not in known:
        raise InputError(f"{flag}: --check-language cannot identify {language!r}{nearest(code, known)}")
    return code
