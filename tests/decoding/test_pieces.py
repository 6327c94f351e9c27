"""Long texts piece by piece: every source token is in exactly one piece, and the spacing is that of the text."""

import random

from hf_seq2seq.decoding.counts import Counts
from hf_seq2seq.decoding.outputs import Output
from hf_seq2seq.decoding.pieces import PieceReader
from hf_seq2seq.decoding.splitting_options import Splitting

ROOM = 60
ENDS = (".", "!", "?", ",", ";", "", "", "", "", "")
GAPS = (" ", " ", " ", " ", "  ", "\n", "\n\n", "\t", "\n \n")


def document(draw: random.Random, words: int) -> str:
    parts = [f"w{draw.randrange(10**6)}{draw.choice(ENDS)}" for _ in range(words)]
    return draw.choice(("", " ", "\n")) + "".join(part + draw.choice(GAPS) for part in parts)


def test_500_documents_of_1_to_5000_words() -> None:
    draw = random.Random(7)
    documents = [document(draw, round(5000 ** (number / 499))) for number in range(500)]
    assert (len(documents[0].split()), len(documents[-1].split())) == (1, 5000)
    read: dict[int, list[str]] = {}

    def echo(sources: list[str], seeds: list[int]) -> tuple[list[list[Output]], Counts]:
        for source, seed in zip(sources, seeds, strict=True):
            read.setdefault(seed % 2**32, []).append(source)
        return [[Output(source.upper())] for source in sources], Counts()

    for kind in ("tokens", "sentences", "paragraphs"):
        read.clear()
        count = lambda texts: [len(text.split()) + 1 for text in texts]  # noqa: E731
        reader = PieceReader(Splitting(split=kind), count, ROOM, echo)
        chosen = documents if kind == "tokens" else documents[::10]
        outputs, counts = reader(chosen, range(len(chosen)))
        assert [output.text for (output,) in outputs] == [text.upper() for text in chosen]
        for number, text in enumerate(chosen):
            assert [word for piece in read[number] for word in piece.split()] == text.split()
            assert all(len(piece.split()) < ROOM for piece in read[number])
        assert counts.pieces == sum(map(len, read.values()))


def test_symbols_of_a_word_in_pieces_stay_apart() -> None:
    def spell(sources: list[str], seeds: list[int]) -> tuple[list[list[Output]], Counts]:
        return [[Output(" ".join(source))] for source in sources], Counts()

    reader = PieceReader(Splitting(split="tokens"), lambda texts: list(map(len, texts)), 4, spell, between=" ")
    ((output,),), _ = reader(["abcdefg hi"], [0])
    assert output.text == "a b c d e f g h i"
