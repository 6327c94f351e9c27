"""New pieces in the vocabulary of a pretrained tokenizer, learned from texts with its own kind of model.

The words of the texts are sequences of pieces that the tokenizer has, of which frequent ones become pieces themselves.
They are pieces of its model, not added tokens, which would match anywhere in a text: new merges of BPE come after all
others, and new pieces of Unigram are as probable as the old ones that they replace, and a little more for each one.
Both therefore join old pieces of a segmentation, and never change it otherwise. WordPiece takes the longest piece, as
always. Ids follow all others, those of added tokens included.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from unicodedata import category

from tokenizers import Tokenizer, models, trainers

from hf_seq2seq.data.tokenizers.unigram import learn_unigram
from hf_seq2seq.errors import InputError

OPTION = "--update-vocabulary"
KINDS = ("BPE", "Unigram", "WordPiece", "WordLevel")
SPACE = "▁"
INSIDE = "##"
LEAST = 2
"""Times that a piece must occur."""
BONUS = 1e-4
"""Log-probability of a new Unigram piece beyond that of its parts, for each part but one."""
BYTE = re.compile(r"<0x[0-9A-F]{2}>")
FIRST_CODE, SURROGATES, SURROGATE_COUNT = 0x100, 0xD800, 0x800

Ids = tuple[int, ...]


@dataclass
class Extension:
    """A tokenizer's model in the form of tokenizer.json, and what it is given.

    Attributes:
        tokenizer: the backend.
        model: its model's description, modified in place.
        ids: the id of every piece.
        new: for each new piece, the old pieces' ids that stand for its text without it.
    """

    tokenizer: Tokenizer
    model: dict[str, Any]
    ids: dict[str, int]
    new: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Extension":
        """The model with all added tokens as pieces, so that ids after theirs are free.

        Raises:
            InputError: the model is of another kind, or ids are missing.
        """
        model = json.loads(tokenizer.to_str())["model"]
        if model["type"] not in KINDS:
            raise InputError(f"{OPTION}: a {model['type']} tokenizer cannot be extended; --added-tokens adds words")
        is_list = isinstance(model["vocab"], list)
        ids = {piece: number for number, (piece, _) in enumerate(model["vocab"])} if is_list else model["vocab"]
        if ids and max(ids.values()) != len(ids) - 1:
            raise InputError(f"{OPTION}: the ids of this tokenizer are not consecutive; --added-tokens adds words")
        found = cls(tokenizer, model, ids)
        for number, token in sorted(tokenizer.get_added_tokens_decoder().items()):
            if token.content not in ids:
                found._append(token.content, min((score for _, score in model["vocab"]), default=0.0) if is_list else 0)
                if ids[token.content] != number:
                    raise InputError(
                        f"{OPTION}: the ids of this tokenizer are not consecutive at {token.content!r}; "
                        "--added-tokens adds words"
                    )
        return found

    def _append(self, piece: str, score: float) -> None:
        self.ids[piece] = len(self.ids)
        if self.model["type"] == "Unigram":
            self.model["vocab"].append([piece, score])

    def add(self, piece: str, old: list[int], score: float = 0.0) -> None:
        """Adds a piece unless it is there."""
        if piece not in self.ids:
            self._append(piece, score)
            self.new[piece] = old

    def apply(self) -> None:
        """Puts the model into the tokenizer."""
        state = json.dumps({"version": "1.0", "added_tokens": [], "model": self.model})
        self.tokenizer.model = Tokenizer.from_str(state).model

    def pieces_of(self, word: str) -> Ids:
        """The ids of a pre-tokenized word's pieces."""
        return tuple(token.id for token in self.tokenizer.model.tokenize(word))


@dataclass(frozen=True)
class Growth:
    """What a vocabulary has gained.

    Attributes:
        new: for each new piece, the ids of the old pieces that stand for its text without it.
        before: tokens per word of the texts before.
        after: the same after.
    """

    new: dict[str, list[int]]
    before: float
    after: float


def extend_tokenizer(tokenizer: Any, texts: Sequence[str], most: int) -> Growth:
    """Adds pieces that are frequent in texts: unknown characters first, then sequences of pieces within words.

    Args:
        tokenizer: of transformers, with a backend of the `tokenizers` library; modified in place.
        texts: to learn from.
        most: most new pieces.

    Raises:
        InputError: the tokenizer has no such backend, or one whose model cannot be extended.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        kind = type(tokenizer).__name__
        raise InputError(f"{OPTION}: {kind} has no tokenizer.json that could be extended; --added-tokens adds words")
    extension = Extension.of(backend)
    words = _words(backend, texts)
    total = sum(len(text.split()) for text in texts) or 1

    def per_word() -> float:
        return sum(len(extension.pieces_of(word)) * count for word, count in words.items()) / total

    before = per_word()
    if extension.model["type"] == "WordLevel":
        _add_words(extension, words, most)
    else:
        _add_characters(extension, words, most)
        extension.apply()
        if len(extension.new) < most:
            _add_sequences(extension, words, most - len(extension.new))
    extension.apply()
    return Growth(extension.new, before, per_word())


def _words(backend: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """The pre-tokenized words of texts without added tokens, and how often each occurs."""
    added = sorted((token.content for token in backend.get_added_tokens_decoder().values()), key=len, reverse=True)
    marks = re.compile("|".join(map(re.escape, added)) or r"(?!)")
    found: Counter[str] = Counter()
    for text in texts:
        for part in filter(None, marks.split(text)):
            read = backend.normalizer.normalize_str(part) if backend.normalizer else part
            split = backend.pre_tokenizer.pre_tokenize_str(read) if backend.pre_tokenizer else [(read, None)]
            found.update(word for word, _ in split)
    return found


def _add_words(extension: Extension, words: Counter[str], most: int) -> None:
    unknown = extension.ids.get(extension.model["unk_token"])
    old = [] if unknown is None else [unknown]
    missing = [word for word, count in words.most_common() if count >= LEAST and word not in extension.ids]
    for word in missing[:most]:
        extension.add(word, old)


def _add_characters(extension: Extension, words: Counter[str], most: int) -> None:
    """Adds frequent characters that no piece is; where bytes stand for them, they are sequences of bytes before."""
    model = extension.model
    if model.get("end_of_word_suffix") or (model["type"] == "BPE" and model.get("continuing_subword_prefix")):
        return
    inside = INSIDE if model["type"] == "WordPiece" else ""
    prefix = model.get("continuing_subword_prefix") or inside
    longest = model.get("max_input_chars_per_word") or len(max(words, key=len, default=""))
    counts: Counter[tuple[str, str]] = Counter()
    for word, count in words.items():
        for place, character in enumerate(word if len(word) <= longest else ""):
            counts[prefix if place else "", character] += count
    score = min((score for _, score in model["vocab"]), default=0.0) if model["type"] == "Unigram" else 0.0
    missing = [
        (start + character, character)
        for (start, character), count in counts.most_common()
        if count >= LEAST and start + character not in extension.ids
    ]
    for piece, character in missing[:most]:
        extension.add(piece, list(extension.pieces_of(character)), score)


def _add_sequences(extension: Extension, words: Counter[str], most: int) -> None:
    """Learns sequences of pieces from the words, and adds each as one piece."""
    model, texts = extension.model, {number: piece for piece, number in extension.ids.items()}
    units = _units(extension, words, texts)
    numbers = sorted({number for unit in units for number in unit})
    codes = {number: _code(rank) for rank, number in enumerate(numbers)}
    coded = Counter({"".join(codes[number] for number in unit): count for unit, count in units.items()})
    if not coded:
        return
    back = {code: number for number, code in codes.items()}
    prefix = "" if model["type"] == "Unigram" else model.get("continuing_subword_prefix") or ""

    def text(sequence: str) -> str:
        first, *rest = (texts[back[code]] for code in sequence)
        return first + "".join(piece.removeprefix(prefix) for piece in rest)

    size = len(numbers) + most
    if model["type"] == "Unigram":
        sequences = [piece for piece, _ in learn_unigram(coded, size) if len(piece) > 1][:most]
    else:
        added = _added(extension.tokenizer)
        merges = _without(_learn_merges(coded, size), lambda sequence: text(sequence) in added)
        sequences = [left + right for left, right in merges]
        if model["type"] == "BPE":
            model["merges"] += [[text(left), text(right)] for left, right in merges]
    for sequence in sequences:
        ids = [back[code] for code in sequence]
        old = [each for number in ids for each in extension.new.get(texts[number], [number])]
        extension.add(text(sequence), old, _score(model, ids))


def _score(model: dict[str, Any], ids: Sequence[int]) -> float:
    if model["type"] != "Unigram":
        return 0.0
    return sum(float(model["vocab"][number][1]) for number in ids) + BONUS * (len(ids) - 1)


def _units(extension: Extension, words: Counter[str], texts: dict[int, str]) -> Counter[Ids]:
    """The words as sequences of pieces; unknown ones, single bytes and added tokens are left out."""
    added, model = _added(extension.tokenizer), extension.model
    skipped = {number for number, piece in texts.items() if piece in added or BYTE.fullmatch(piece)}
    skipped |= {extension.ids.get(model.get("unk_token") or "", -1), model.get("unk_id", -1)}
    marks = {number for number, piece in texts.items() if _is_punctuation(piece)} if SPACE in extension.ids else set()
    found: Counter[Ids] = Counter()
    for word, count in words.items():
        unit: list[int] = []
        for number in extension.pieces_of(word):
            starts = number in skipped or texts[number].startswith(SPACE)
            if starts or (unit and (number in marks) != (unit[-1] in marks)):
                found[tuple(unit)] += count
                unit = []
            unit += [number] * (number not in skipped)
        found[tuple(unit)] += count
    return Counter({unit: count for unit, count in found.items() if len(unit) > 1})


def _added(tokenizer: Tokenizer) -> set[str]:
    """The texts of all added tokens, special ones included."""
    return {token.content for token in tokenizer.get_added_tokens_decoder().values()}


def _is_punctuation(piece: str) -> bool:
    """Whether a piece consists of punctuation and symbols, which SentencePiece does not join to letters either."""
    plain = piece.strip(SPACE)
    return bool(plain) and all(category(character)[0] in "PS" for character in plain)


def _code(rank: int) -> str:
    """A character that stands for a piece."""
    code = FIRST_CODE + rank
    return chr(code if code < SURROGATES else code + SURROGATE_COUNT)


def _learn_merges(coded: Counter[str], size: int) -> list[tuple[str, str]]:
    """Merges of the most frequent pairs, in their order."""
    learner = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=LEAST, show_progress=False)
    learner.train_from_iterator((word for word, count in coded.items() for _ in range(count)), trainer)
    return [(left, right) for left, right in json.loads(learner.to_str())["model"]["merges"]]


def _without(merges: list[tuple[str, str]], unwanted: Callable[[str], bool]) -> list[tuple[str, str]]:
    """The merges that neither make an unwanted sequence nor go on from one."""
    lost: set[str] = set()
    kept = []
    for left, right in merges:
        if left in lost or right in lost or unwanted(left + right):
            lost.add(left + right)
        else:
            kept.append((left, right))
    return kept
