"""Ends of sentences in many scripts, and what ends none."""

import random
import sys
from itertools import pairwise

import pytest

from hf_seq2seq.data.sentences import BLANKS, sentence_starts

SENTENCES = {
    "en": [
        "Dr. Smith left at 5 p.m. with J. Jones, e.g. by car. ",
        'He said "Stop!" ',
        "Then he (at last) slept. ",
        "Why?",
    ],
    "de": ["Das ist z.B. ein Test. ", "Am 3. Mai kam Dr. Weiß. ", "Er blieb."],
    "hi": ["यह पहला वाक्य है। ", "यह दूसरा है। ", "क्या यह तीसरा है?"],
    "ur": ["یہ پہلا جملہ ہے۔ ", "کیا یہ دوسرا ہے؟ ", "ہاں۔"],
    "ar": ["هذه جملة. ", "هل هذا سؤال؟ ", "نعم."],
    "hy": ["Սա առաջինն է։ ", "Սա երկրորդն է։"],
    "am": ["ይህ አንድ ነው። ", "ይህ ሁለት ነው።"],
    "my": ["ဒါက တစ်ခုပါ။ ", "ဒါက နှစ်ခုပါ။"],
    "km": ["នេះជាមួយ។ ", "នេះជាពីរ។"],
    "ja": ["これは一つ｡", "これは二つ。", "「本当？」", "と言った。"],
    "zh": ["他说：“你好。”", "我说：“再见！”", "然后走了。"],
}


def cut(text: str, language: str) -> list[str]:
    return [text[a:b] for a, b in pairwise([*sentence_starts(text, language), len(text)])]


@pytest.mark.parametrize("language", SENTENCES)
def test_sentences_of_a_script(language: str) -> None:
    assert cut("".join(SENTENCES[language]), language) == SENTENCES[language]


@pytest.mark.parametrize("language", sorted(SENTENCES.keys() - {"de"}))
def test_marks_are_known_whatever_the_language_is_said_to_be(language: str) -> None:
    assert cut("".join(SENTENCES[language]), "en") == SENTENCES[language]


def test_a_line_ends_a_sentence_and_blanks_are_none() -> None:
    assert cut("A title\n\n  Some text. \nMore", "en") == ["A title\n\n  ", "Some text. \n", "More"]
    assert [sentence_starts(text) for text in ("", "  ", "\n", "a")] == [[0]] * 4


def test_starts_are_in_order_and_inside_whatever_the_text() -> None:
    draw = random.Random(0)
    signs = "aB.!?…\"”’')(]\n\r\t \u3002\uff01「」\u00a0\u200b😀।۔ཀ0\u0301éß A. B\u00a0. Dr."
    for _ in range(3000):
        text = "".join(draw.choices(signs, k=draw.randint(0, 30)))
        starts = sentence_starts(text)
        assert starts[0] == 0
        assert all(a < b for a, b in pairwise(starts))
        assert starts[-1] < max(1, len(text))


def test_every_blank_beyond_ascii_is_known() -> None:
    blanks = {code for code in range(0x80, sys.maxunicode + 1) if chr(code).isspace()}
    assert blanks | {0x200B} == BLANKS.keys()
