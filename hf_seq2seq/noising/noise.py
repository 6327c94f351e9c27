"""The interface of a noise, and noises composed of other noises."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.noising.rows import enclose
from hf_seq2seq.ragged import IGNORE, Ragged


class Noised(NamedTuple):
    """A training example, or a batch of them.

    Attributes:
        source: the model's input.
        target: the model's output; for `MaskedTokens` a label for every source token, -100 where there is none.
        source_labels: labels of source tokens for a second loss on the encoder, -100 where there is none.
    """

    source: Ragged
    target: Ragged
    source_labels: Ragged | None = None


class Noise(Protocol):
    """A function that turns rows of tokens into training pairs.

    A whole split is noised at once: the result depends on the generator and on all rows and their order, so the same
    row in another split is noised differently. Inputs are never modified in place. Temporary arrays take two to thirty
    times the memory of the tokens, so process a very large split in chunks.
    """

    @property
    def reads(self) -> str:
        """What `starts` must mark: "words", "sentences", or "" if it is ignored."""

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row.

        Args:
            tokens: rows of ordinary tokens.
            rng: source of all randomness: the same generator state gives the same result.
            starts: `(tokens,)` bool, whether a word or sentence starts at a token; see `reads`.
        """

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The most tokens of source and target.

        Args:
            lengths: tokens of each row, `(rows,)`.
            starts: as above; only used by noises for which it tightens the bound.

        Returns:
            `(rows, 2)` int64.
        """


def pair_bound(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Two bounds `(rows,)` as one array `(rows, 2)`."""
    return np.stack([source, target], axis=1).astype(np.int64)


def noise_counts(lengths: np.ndarray, rate: float) -> np.ndarray:
    """How many tokens of each row are noised, `(rows,)`: the rounded share, at least one if the row has any.

    Papers that draw every token independently have a random number; here it is fixed, as in the released code of BERT
    and BART, so that the length of the result is known in advance.
    """
    return np.minimum(np.maximum(np.rint(lengths * rate).astype(np.int64), 1), lengths)


def check_share(name: str, value: float) -> None:
    """Raises `InputError` if a share is not in 0-1."""
    if not 0 <= value <= 1:
        raise InputError(f"{name}: {value} is not a share from 0 to 1")


@dataclass(frozen=True)
class Enclosed:
    """A noise whose source and target rows begin and end with special tokens, which are never noised.

    T5 and PEGASUS end both with `</s>`; BART also begins both with `<s>`.

    Attributes:
        noise: the noise applied to the tokens in between.
        before: ids prepended to every source and target.
        after: ids appended to them.
    """

    noise: Noise
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @property
    def reads(self) -> str:
        """What `starts` must mark."""
        return self.noise.reads

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row; `starts` refers to the rows without the special tokens."""
        source, target, labels = self.noise(tokens, rng, starts)
        if labels is not None:
            labels = enclose(labels, [IGNORE] * len(self.before), [IGNORE] * len(self.after))
        return Noised(enclose(source, self.before, self.after), enclose(target, self.before, self.after), labels)

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The bound of the noise and the special tokens, `(rows, 2)`."""
        return self.noise.bound(lengths, starts) + len(self.before) + len(self.after)


@dataclass(frozen=True)
class Combined:
    """Noises applied to the source in sequence; the target is the row itself.

    The released BART permutes sentences, then infills text: `Combined((SentencePermutation(), TextInfilling(mask)))`.

    Paper: Lewis et al. 2020, section 2.2, https://aclanthology.org/2020.acl-main.703

    Attributes:
        noises: any of BART's five. Only the first may read sentences, because later noises see reordered tokens.

    Raises:
        InputError: a later noise reads words or sentences.
    """

    noises: tuple[Noise, ...]

    def __post_init__(self) -> None:
        late = [noise for noise in self.noises[1:] if noise.reads]
        if late:
            raise InputError(
                f"{type(late[0]).__name__} reads {late[0].reads}, so it must be the first noise of several"
            )

    @property
    def reads(self) -> str:
        """What the first noise reads."""
        return self.noises[0].reads if self.noises else ""

    def __call__(self, tokens: Ragged, rng: np.random.Generator, starts: np.ndarray | None = None) -> Noised:
        """Noises every row."""
        source = tokens
        for noise in self.noises:
            source = noise(source, rng, starts).source
            starts = None
        return Noised(source, tokens)

    def bound(self, lengths: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """The most tokens of source and target, `(rows, 2)`."""
        source = lengths
        for noise in self.noises:
            source = noise.bound(source, starts)[:, 0]
            starts = None
        return pair_bound(source, lengths)
