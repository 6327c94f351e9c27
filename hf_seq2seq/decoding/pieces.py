"""Outputs of long texts from those of their pieces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hf_seq2seq.data.annotated_text import AnnotatedText
from hf_seq2seq.data.splitting import Count, Pieces, split_text, too_long
from hf_seq2seq.decoding.counts import Counts
from hf_seq2seq.decoding.outputs import Output
from hf_seq2seq.decoding.splitting_options import AGAIN, REFUSE, SPLIT, Splitting
from hf_seq2seq.errors import InputError

ROUNDS = 8
"""How often a text is read at most, the first time included."""
STRIDE = 2**32
"""Distance between the numbers of pieces, which seed their sampling."""

Generate = Callable[[list[str], list[int]], tuple[list[list[Output]], Counts]]


def in_language_of(like: str, text: str) -> str:
    """A text that knows the languages that another one knows."""
    return like.changed(text) if isinstance(like, AnnotatedText) else text


@dataclass(frozen=True)
class _Text:
    """A text on its way.

    Attributes:
        like: it, which may know its language; so do its pieces.
        pieces: it, or what became of it, in pieces.
        rounds: how often it was read.
        parts: its first pieces and their outputs.
    """

    like: str
    pieces: Pieces
    rounds: int = 0
    parts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class PieceReader:
    """Generates by pieces.

    Attributes:
        options: how texts are split.
        count: counts the tokens of texts.
        room: most tokens of a source; None for no limit.
        generate: outputs of texts, none of them blank, with numbers that seed their sampling.
        tells: whether an output's details have its pieces.
        between: what stands between outputs of pieces of one word.
    """

    options: Splitting
    count: Count
    room: int | None
    generate: Generate
    tells: bool = False
    between: str = ""

    def check(self, texts: Sequence[str], numbers: Sequence[int]) -> None:
        """Refuses texts that do not fit, if asked to.

        Raises:
            InputError: one does not; names its row.
        """
        if self.options.action != REFUSE:
            return
        for row, tokens in too_long(texts, self.count, self.room):
            what = "a piece has " if self.options.kind else ""
            raise InputError(
                f"row {numbers[row] + 1}: {what}{tokens:,} tokens, and at most {self.room} fit (--max-source-length); "
                "--on-too-long split reads it in pieces"
            )

    def __call__(self, texts: Sequence[str], numbers: Sequence[int]) -> tuple[list[list[Output]], Counts]:
        """One output of every text.

        Args:
            texts: the sources, none of them blank.
            numbers: their indices in the whole input.
        """
        waiting = {row: _Text(text, self._split(text, text, str(self.options.kind))) for row, text in enumerate(texts)}
        found: list[list[Output]] = [[] for _ in texts]
        counts = Counts(split=sum(len(one.pieces.texts) > 1 for one in waiting.values()))
        while waiting:
            written, more = self._read(waiting, numbers)
            counts += more
            for row, outputs in written.items():
                read = self._kept(waiting.pop(row), outputs)
                if again := self._again(read, outputs):
                    waiting[row] = again
                else:
                    found[row] = [self._output(read, outputs)]
        return found, counts

    def _kept(self, one: _Text, outputs: Sequence[Output]) -> _Text:
        """A text that was read once more."""
        pairs = zip(one.pieces.texts, outputs, strict=True)
        parts = [{"source": source, "prediction": output.text} | output.details for source, output in pairs]
        return replace(one, rounds=one.rounds + 1, parts=one.parts or parts)

    def _again(self, one: _Text, outputs: Sequence[Output]) -> _Text | None:
        """What is to be read next: the outputs as a text; None if that is all."""
        joined = one.pieces.joined([output.text for output in outputs], self.between)
        if self.options.combine != AGAIN or len(outputs) == 1 or one.rounds == ROUNDS or not joined.strip():
            return None
        pieces = self._split(joined, one.like, "tokens")
        # A text that does not become shorter never becomes one piece.
        return replace(one, pieces=pieces) if len(pieces.texts) < len(one.pieces.texts) else None

    def _output(self, one: _Text, outputs: Sequence[Output]) -> Output:
        joined = one.pieces.joined([output.text for output in outputs], self.between)
        if len(one.parts) == 1:
            return replace(outputs[0], text=joined)
        said: dict[str, Any] = {"pieces": one.parts} if self.tells else {}
        said |= {"rounds": one.rounds} if self.options.combine == AGAIN else {}
        return Output(joined, said, outputs[-1].unended)

    def _split(self, text: str, like: str, kind: str) -> Pieces:
        room = self.room if self.options.action == SPLIT else None
        found = split_text(
            str(text), kind, lambda texts: self.count([in_language_of(like, each) for each in texts]), room,
            self.options.split_language,
        )  # fmt: skip
        return found._replace(texts=[in_language_of(like, piece) for piece in found.texts])

    def _read(self, waiting: dict[int, _Text], numbers: Sequence[int]) -> tuple[dict[int, list[Output]], Counts]:
        """Outputs of the pieces of every text, one each."""
        sources, seeds = [], []
        for row, one in waiting.items():
            sources += [self._with_context(one, place) for place in range(len(one.pieces.texts))]
            first = one.rounds * 2**20
            seeds += [numbers[row] + STRIDE * (first + place) for place in range(len(one.pieces.texts))]
        self.check(sources, [seed % STRIDE for seed in seeds])
        written, counts = self.generate(sources, seeds)
        best = iter(written)
        found = {row: [self._own(next(best)) for _ in one.pieces.texts] for row, one in waiting.items()}
        return found, counts + Counts(pieces=len(sources))

    def _with_context(self, one: _Text, place: int) -> str:
        """A piece after the sentences before it, as many of them as fit."""
        separator, text = self.options.context_separator, one.pieces.texts[place]
        before = [] if one.rounds else one.pieces.texts[max(0, place - self.options.context_sentences) : place]
        for start in range(len(before)):
            whole = in_language_of(one.like, separator.join([*before[start:], text]))
            if self.room is None or self.count([whole])[0] <= self.room:
                return whole
        return text

    def _own(self, outputs: Sequence[Output]) -> Output:
        """The output of a piece without that of its context."""
        best = outputs[0] if outputs else Output("")
        separator = self.options.context_separator.strip()
        if self.options.context_sentences and separator and separator in best.text:
            return replace(best, text=best.text.rpartition(separator)[2].strip())
        return best
