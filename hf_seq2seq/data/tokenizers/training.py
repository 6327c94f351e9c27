"""Training of all kinds of tokenizers; the same text and options give the same tokenizer, byte for byte."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.convert_slow_tokenizer import bytes_to_unicode

from hf_seq2seq.data.tokenizers.special_tokens import SpecialTokens
from hf_seq2seq.data.tokenizers.unicode_text import TAG
from hf_seq2seq.data.tokenizers.unigram import learn_unigram
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

FIRST_PRIVATE = 0xF0000
"""Start of the private-use characters that stand for (character, inside a word) pairs while learning word pieces."""
HIDDEN = "\U0010fffd"
"""Private-use character inserted into special tokens spelled in a text, so that they are not parsed.

Decoders drop it.
"""
TAG_OR_CHARACTER = rf"{TAG}|[\s\S]"
"""A feature of a word, `⟨PL⟩`, is one token among characters."""
ALIKE = r"▁?[\p{L}\p{M}]+|▁?\p{N}+|▁?[^\p{L}\p{M}\p{N}▁]+"
"""Letters, digits, or other characters, with the mark of the space before them."""
LONGEST_RUN = 256
"""Maximum length of a run without spaces when learning merges: each merge takes time proportional to its length."""
_LONG_RUN = re.compile(rf"\S{{{LONGEST_RUN}}}")
LONGEST_WORD = 500
"""Maximum length of a word for WordPiece: BERT's 100 would turn a sentence without spaces into `<unk>`.

The time grows at least quadratically with the length. Longer runs are split beforehand, which adds spaces to their
text.
"""
PART = 128


@dataclass(frozen=True)
class Plan:
    """What to train.

    Attributes:
        kind: one of `configs.TOKENIZERS`.
        vocab_size: maximum vocabulary size, including special tokens.
        min_frequency: minimum count of words, characters or merges; Unigram has no such limit.
        lowercase: whether text is lowercased, in training and afterwards.
        specials: special tokens and templates.
        size_option: the option that set the size, for the error.
        normal_form: Unicode normal form in which text is read, in training and afterwards; None for text as it is.
    """

    kind: str
    vocab_size: int
    min_frequency: int
    lowercase: bool
    specials: SpecialTokens
    size_option: str = "vocab_size"
    normal_form: str | None = None

    @property
    def unknown(self) -> str:
        """The unknown token."""
        return self.specials.roles["unk_token"]

    @property
    def room(self) -> int:
        """Number of tokens in the vocabulary besides the special ones."""
        return self.vocab_size - len(self.specials.tokens)

    def check_room(self, least: int) -> None:
        """Raises `InputError` if the vocabulary is too small for the `least` tokens that are always needed."""
        if least > self.room:
            needed = least + len(self.specials.tokens)
            raise InputError(
                f"{flag(self.size_option)}: {self.vocab_size} is too small for a {self.kind} tokenizer of this text;"
                f" its characters and special tokens alone are {needed}"
            )


def train_tokenizer(texts: Sequence[str], plan: Plan) -> Tokenizer:
    """Trains a tokenizer whose decoder restores the text.

    A special token spelled in a text is read as text if the tokenizer is set to `encode_special_tokens`. Not restored
    are characters unseen in training (except with "bpe" and "byte"), runs of white space with "word" and "wordpiece",
    of which the latter also adds spaces to words of 500 characters and more, capitals if the text is lowercased, and
    characters that the normal form replaces.

    Args:
        texts: valid Unicode; at least one is not empty.
        plan: what to train.

    Raises:
        InputError: the vocabulary is too small for the characters of the texts.
    """
    tokenizer = TRAINERS[plan.kind](texts, plan)
    tokenizer.add_special_tokens(plan.specials.tokens)
    numbers = {token: tokenizer.token_to_id(token) for token in plan.specials.tokens}
    used = [token for token in numbers if token in plan.specials.pair.replace(":1", "").split()]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=plan.specials.single, pair=plan.specials.pair, special_tokens=[(token, numbers[token]) for token in used]
    )
    return tokenizer


def _train_characters(texts: Sequence[str], plan: Plan) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=plan.unknown))
    tokenizer.normalizer = _normalizer(plan)
    tagged = any("⟨" in text for text in texts)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(TAG_OR_CHARACTER) if tagged else "", "isolated")
    tokenizer.decoder = decoders.Fuse()
    read = _normalized(texts, tokenizer)
    parts = (re.findall(TAG_OR_CHARACTER, text) for text in read) if tagged else read
    counts = Counter(chain.from_iterable(parts))
    tokenizer.model = models.WordLevel(_most_frequent(counts, plan), unk_token=plan.unknown)
    return tokenizer


def _train_words(texts: Sequence[str], plan: Plan) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=plan.unknown))
    tokenizer.normalizer = _normalizer(plan, *_hide_specials(plan))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # Since no token begins with the character, this decoder puts a space before every token but the first.
    tokenizer.decoder = _reveal_specials(decoders.WordPiece(prefix=HIDDEN, cleanup=False))
    tokenizer.model = models.WordLevel(_most_frequent(_count_words(texts, tokenizer), plan), unk_token=plan.unknown)
    return tokenizer


def _train_bpe(texts: Sequence[str], plan: Plan) -> Tokenizer:
    """Byte-level BPE: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    plan.check_room(len(alphabet))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = _normalizer(plan)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=plan.vocab_size,
        min_frequency=plan.min_frequency,
        special_tokens=plan.specials.tokens,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(chain.from_iterable(map(_short_runs, texts)), trainer)
    return tokenizer


def _train_bytes(texts: Sequence[str], plan: Plan) -> Tokenizer:
    """A token for each byte of a text's UTF-8, in the order of the bytes, whatever the texts; nothing is unknown.

    Paper: Xue et al., 2022, section 3.1, https://aclanthology.org/2022.tacl-1.17
    """
    names = bytes_to_unicode()
    tokens = [*plan.specials.tokens, *(names[byte] for byte in range(256))]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, []))
    tokenizer.normalizer = _normalizer(plan)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _train_unigram(texts: Sequence[str], plan: Plan) -> Tokenizer:
    """Unigram over words including the preceding space; the first word gets one, too.

    As in SentencePiece, no piece has letters together with digits or punctuation.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = _normalizer(plan, normalizers.Prepend("▁"))
    starts = pre_tokenizers.Split(Regex("|".join(_special_starts(plan))), "isolated")
    words = [pre_tokenizers.Metaspace(prepend_scheme="never"), pre_tokenizers.Split(Regex(ALIKE), "isolated")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*words, starts])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    counts = _count_words(texts, tokenizer)
    plan.check_room(len(set().union(*counts)))
    # A special token has no probability, and its letters are separated: unknown letters are even less probable.
    specials = [(token, -1000.0) for token in plan.specials.tokens]
    pieces = [item for item in learn_unigram(counts, plan.room) if item[0] not in plan.specials.tokens]
    tokenizer.model = models.Unigram(specials + pieces, unk_id=plan.specials.tokens.index(plan.unknown))
    return tokenizer


def _train_wordpiece(texts: Sequence[str], plan: Plan) -> Tokenizer:
    """Word pieces.

    With BERT's own cleaning and splitting at punctuation for encoders, whose tokens are never decoded.
    """
    tokenizer = Tokenizer(models.WordPiece({}, unk_token=plan.unknown))
    splitter: pre_tokenizers.PreTokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.normalizer = _normalizer(plan, *_hide_specials(plan))
    if "cls_token" in plan.specials.roles:
        splitter = pre_tokenizers.BertPreTokenizer()
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=plan.lowercase, strip_accents=False)
    runs = pre_tokenizers.Split(Regex(rf"\S{{{PART}}}(?=\S{{{LONGEST_WORD - PART}}})"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([splitter, runs])
    tokenizer.decoder = _reveal_specials(decoders.WordPiece(cleanup=False))
    pieces = learn_word_pieces(_count_words(texts, tokenizer), plan)
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(plan.specials.tokens + pieces))}
    tokenizer.model = models.WordPiece(vocabulary, unk_token=plan.unknown, max_input_chars_per_word=LONGEST_WORD)
    return tokenizer


def learn_word_pieces(words: Counter[str], plan: Plan) -> list[str]:
    """Learns word pieces by merging the most frequent pairs, as `tokenizers` does, but in a fixed order.

    Its own WordPiece trainer numbers the characters inside words in the order of a randomly seeded hash table. Here
    each (character, inside a word) pair is first mapped to one private-use character, whose order is fixed.
    """
    pairs = sorted({(character, place > 0) for word in words for place, character in enumerate(word)})
    plan.check_room(len(pairs))
    private = {pair: chr(FIRST_PRIVATE + number) for number, pair in enumerate(pairs)}
    coded = {w: "".join(private[c, place > 0] for place, c in enumerate(w)) for w in words}
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=plan.room, min_frequency=plan.min_frequency, show_progress=False)
    parts = (part for word, count in words.items() for part in _short_runs(coded[word]) * count)
    tokenizer.train_from_iterator(parts, trainer)
    learned = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    plain = {mark: pair for pair, mark in private.items()}
    return ["##" * plain[token[0]][1] + "".join(plain[mark][0] for mark in token) for token, _ in learned]


TRAINERS: dict[str, Callable[[Sequence[str], Plan], Tokenizer]] = {
    "char": _train_characters,
    "word": _train_words,
    "bpe": _train_bpe,
    "unigram": _train_unigram,
    "wordpiece": _train_wordpiece,
    "byte": _train_bytes,
}


def _normalizer(plan: Plan, *more: normalizers.Normalizer) -> normalizers.Normalizer | None:
    form = [getattr(normalizers, plan.normal_form.upper())()] if plan.normal_form else []
    steps = [*form, *[normalizers.Lowercase()] * plan.lowercase, *more]
    return normalizers.Sequence(steps) if steps else None


def _short_runs(text: str) -> list[str]:
    """The text, with runs without spaces split if too long for training."""
    ends = [found.end() for found in _LONG_RUN.finditer(text)]
    return [text[start:end] for start, end in pairwise([0, *ends, len(text)]) if start < end] if ends else [text]


def _special_starts(plan: Plan) -> dict[str, str]:
    """Patterns that match the first letters of special tokens before the rest of one, with those letters."""
    rests: dict[str, list[str]] = {}
    for token in plan.specials.tokens:
        rests.setdefault(token[0], []).append(re.escape(token[1:]))
    return {f"{re.escape(first)}(?={'|'.join(rest)})": first for first, rest in rests.items()}


def _hide_specials(plan: Plan) -> list[normalizers.Normalizer]:
    """Inserts the hidden character after the first letter of a special token at the beginning of a word."""
    starts = _special_starts(plan).items()
    return [normalizers.Replace(Regex(rf"(?<!\S){start}"), first + HIDDEN) for start, first in starts]


def _reveal_specials(decoder: decoders.Decoder) -> decoders.Decoder:
    return decoders.Sequence([decoder, decoders.Replace(HIDDEN, "")])


def _normalized(texts: Iterable[str], tokenizer: Tokenizer) -> Iterable[str]:
    return map(tokenizer.normalizer.normalize_str, texts) if tokenizer.normalizer else texts


def _count_words(texts: Iterable[str], tokenizer: Tokenizer) -> Counter[str]:
    split = tokenizer.pre_tokenizer.pre_tokenize_str
    return Counter(word for text in _normalized(texts, tokenizer) for word, _ in split(text))


def _most_frequent(counts: Counter[str], plan: Plan) -> dict[str, int]:
    """Ids of the special tokens and of the most frequent others, ordered by count and then by text."""
    frequent = [item for item, count in counts.most_common() if count >= plan.min_frequency]
    kept = [item for item in frequent if item not in plan.specials.tokens][: plan.room]
    return {token: number for number, token in enumerate(plan.specials.tokens + kept)}
