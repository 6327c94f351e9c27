"""Context of objectives that generate outputs for training rows and score them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from hf_seq2seq.data.copying import Words
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.inputs import Inputs, searched, source_of
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.generation import texts_of
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.metrics.metric import SourcedRow
from hf_seq2seq.ragged import IGNORE


@dataclass(frozen=True)
class GenerationContext:
    """A run's tokenizers, training rows and seed.

    Attributes:
        tokenizers: of source and target; None if nothing is generated.
        examples: the training rows; None if they change with the epoch, so that only labels are known.
        seed: the run's seed.
        longest: maximum output length in tokens, including EOS.
        prefix: prepended to every source.
        most: tokens of a training row's side in any epoch, at most; 0 if `examples` are the same in all.
    """

    tokenizers: Tokenizers | None = None
    examples: Examples | None = None
    seed: int = 0
    longest: int = 0
    prefix: str = ""
    most: int = 0

    def random(self, step: int, row: int) -> np.random.Generator:
        """Random numbers for a row in an optimizer step, independent of its batch."""
        return np.random.default_rng([self.seed, step, row])

    def step_seed(self, step: int) -> int:
        """A seed for a step's search, in which sampling also depends on the row's index."""
        return int(np.random.SeedSequence([self.seed, step]).generate_state(1)[0])

    def searcher(self, model: Any, step: int, **settings: Any) -> Searcher:
        """Searches by a model's own distribution, ignoring truncation in its generation settings."""
        assert self.tokenizers is not None
        whole: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "typical_p": 1.0, "repetition_penalty": 1.0}
        whole |= {"top_k": model.config.vocab_size, "min_p": 0.0, "min_new_tokens": 0}
        search = Search(seed=self.step_seed(step), **whole, **settings)
        return Searcher(model, search, self.longest, tokenizer=self.tokenizers.target)

    def searched(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a search for a batch's outputs reads: its sources, and the codes that its outputs begin with."""
        found = source_of(batch)
        if self.examples is not None and "rows" in batch:
            device = batch["attention_mask"].device
            known = searched(self.examples.source, batch["rows"].cpu().numpy())
            found |= {name: part.to(device) for name, part in known.items()}
        return found

    @property
    def forces_first(self) -> bool:
        """Whether each output begins with the code of its row's language."""
        source = None if self.examples is None else self.examples.source
        return isinstance(source, Inputs) and source.codes is not None and source.is_first

    def texts(self, ids: list[list[int]], row: int) -> list[str]:
        """The texts of several outputs of a row, which may contain copied words."""
        assert self.tokenizers is not None
        unknown: list[Words] | None = None
        if self.examples is not None and self.examples.unknown is not None:
            unknown = [self.examples.unknown[row]] * len(ids)
        return texts_of(ids, self.tokenizers, unknown)

    def references(self, row: int, labels: Tensor) -> list[str]:
        """The references of a row, with its source; if none are stored, the text of its labels, `(target,)`."""
        if self.examples is not None and self.examples.references is not None:
            return SourcedRow(self.examples.references[row], self.examples.texts[row])
        return self.texts([labels[labels != IGNORE].tolist()], row)
