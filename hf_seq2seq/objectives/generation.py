"""What an objective needs that generates outputs of training rows and scores them."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from hf_seq2seq.data.copying import Words
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.generation import texts_of
from hf_seq2seq.ragged import IGNORE


@dataclass(frozen=True)
class GenerationContext:
    """A run's tokenizers, training rows and seed.

    Attributes:
        tokenizers: of source and target; None where nothing is generated.
        examples: the training rows; None where they change with the epoch, so that labels are all that is known.
        seed: of the run.
        longest: output in tokens, EOS counted.
    """

    tokenizers: Tokenizers | None = None
    examples: Examples | None = None
    seed: int = 0
    longest: int = 0

    def random(self, step: int, row: int) -> np.random.Generator:
        """Random numbers of a row in an optimizer step, which do not depend on its batch."""
        return np.random.default_rng([self.seed, step, row])

    def step_seed(self, step: int) -> int:
        """A seed for a step's search, in which rows draw by their numbers."""
        return int(np.random.SeedSequence([self.seed, step]).generate_state(1)[0])

    def texts(self, ids: list[list[int]], row: int) -> list[str]:
        """The texts of several outputs of a row, in whose place words may have been copied."""
        assert self.tokenizers is not None
        unknown: list[Words] | None = None
        if self.examples is not None and self.examples.unknown is not None:
            unknown = [self.examples.unknown[row]] * len(ids)
        return texts_of(ids, self.tokenizers, unknown)

    def references(self, row: int, labels: Tensor) -> list[str]:
        """The references of a row; where none are kept, the text of its labels, `(target,)`."""
        if self.examples is not None and self.examples.references is not None:
            return self.examples.references[row]
        return self.texts([labels[labels != IGNORE].tolist()], row)
