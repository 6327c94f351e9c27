"""Beam search whose outputs must hold given words.

The hypotheses of a source are kept in banks by how many tokens of the words they have, so that those on the way to
them are not pushed out by those that say something more likely; a hypothesis may end when it has all.

Paper: Post and Vilar, 2018, section 3, https://aclanthology.org/N18-1119 (dynamic beam allocation). Deviation: what is
left after an even split goes to the fullest bank, which thereby gains a token a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hf_seq2seq.decoding.beam_search import Beam, BeamSearch
from hf_seq2seq.decoding.decoder import Decoder
from hf_seq2seq.decoding.hypothesis import Bounds
from hf_seq2seq.decoding.rules import FORBIDDEN
from hf_seq2seq.decoding.selection import best
from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Word:
    """A word that must appear.

    Attributes:
        inner: its tokens inside a text.
        first: its tokens where a text begins with it.
    """

    inner: tuple[int, ...]
    first: tuple[int, ...]

    def met(self, ids: Sequence[int]) -> bool:
        """Whether an output holds it."""
        size = len(self.inner)
        inside = any(tuple(ids[start : start + size]) == self.inner for start in range(len(ids) - size + 1))
        return inside or tuple(ids[: len(self.first)]) == self.first

    def begun(self, ids: Sequence[int]) -> dict[int, int]:
        """Tokens that would carry it on, each with how many tokens of the word the output ends with."""
        found = {self.first[0]: 0} if not ids else {}
        for tokens, starts in ((self.inner, range(len(ids) + 1)), (self.first, range(1))):
            for start in starts:
                size = len(ids) - start
                if size < len(tokens) and tuple(ids[start:]) == tokens[:size] and (size or tokens is self.inner):
                    found[tokens[size]] = max(size, found.get(tokens[size], 0))
        return found


def progress(words: Sequence[Word], ids: Sequence[int]) -> tuple[int, set[int], bool]:
    """Tokens of the words that an output has, tokens that would be progress, and whether it has all words."""
    unmet = [word for word in words if not word.met(ids)]
    begun = [word.begun(ids) for word in unmet]
    whole = sum(len(word.inner) for word in words) - sum(len(word.inner) for word in unmet)
    partial = max((size for each in begun for size in each.values()), default=0)
    return whole + partial, {token for each in begun for token in each}, not unmet


def find_words(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", longest: int) -> tuple[Word, ...]:
    """The tokens of words that must appear.

    Raises:
        InputError: a word that the vocabulary lacks, or words that need more than `longest` tokens and EOS.
    """
    found = []
    for text in texts:
        first, inner = (tuple(tokenizer(each, add_special_tokens=False)["input_ids"]) for each in (text, f" {text}"))
        if not inner or tokenizer.unk_token_id in (*first, *inner):
            raise InputError(f"--force-words: {text!r} is not in the vocabulary")
        found.append(Word(inner, first))
    needed = sum(min(len(word.inner), len(word.first)) for word in found) + 1
    if needed > longest:
        raise InputError(
            f"--force-words: {', '.join(texts)} and the end need {needed} tokens; the longest output has {longest} "
            "(--max-new-tokens)"
        )
    return tuple(found)


class ConstrainedBeam(Beam):
    """A beam whose finished hypotheses hold all words.

    Args:
        decoder: as for `Beam`.
        bounds: as for `Beam`.
        search: as for `Beam`.
        words: that must appear.
    """

    def __init__(self, decoder: Decoder, bounds: Bounds, search: BeamSearch, words: Sequence[Word]) -> None:
        super().__init__(decoder, bounds, search)
        self.words, self.needed = words, sum(len(word.inner) for word in words)

    def _outputs(self) -> list[list[list[int]]]:
        outputs: list[list[list[int]]] = self.tokens[:, :, self.prompt :].tolist()
        return outputs

    def _candidates(self, totals: Tensor) -> Tensor:
        """The best, every hypothesis's best, and all that is progress; EOS only where all words are there."""
        vocabulary, likely = totals.shape[2], best(totals, 2 * self.search.width)
        found = []
        for row, outputs in enumerate(self._outputs()):
            wanted = set(likely[row].tolist())
            for place, ids in enumerate(outputs):
                _, onward, complete = progress(self.words, ids)
                first = place * vocabulary
                wanted.add(first + int(totals[row, place].argmax()))
                ends = [first + int(token) for token in self.bounds.eos]
                wanted = wanted | set(ends) if complete else wanted - set(ends)
                wanted |= {first + token for token in onward}
            found.append(sorted(index for index in wanted if index < totals[row].numel()))
        size, beyond = max(2 * self.search.width, *map(len, found)), totals[0].numel()
        index = torch.tensor([row + [beyond] * (size - len(row)) for row in found], device=totals.device)
        scores = torch.cat([totals.flatten(1), totals.new_full((len(totals), 1), FORBIDDEN)], 1).gather(1, index)
        return index.gather(1, scores.argsort(dim=1, descending=True, stable=True))

    def _finishing(self, parents: Tensor, tokens: Tensor, ends: Tensor) -> Tensor:
        """Those that end and hold all words."""
        found = ends.clone()
        outputs = self._outputs()
        for row, place in ends.nonzero().tolist():
            ids = [*outputs[row][int(parents[row, place])], int(tokens[row, place])]
            found[row, place] = progress(self.words, ids)[2]
        return found

    def _onward(self, parents: Tensor, tokens: Tensor, sums: Tensor) -> Tensor:
        """A share of the beam for each bank, the rest for the best of all."""
        outputs, chosen = self._outputs(), []
        for row in range(len(parents)):
            banks: dict[int, list[int]] = {}
            for place, (parent, token, total) in enumerate(
                zip(parents[row].tolist(), tokens[row].tolist(), sums[row].tolist(), strict=True)
            ):
                if total > FORBIDDEN:
                    banks.setdefault(progress(self.words, [*outputs[row][parent], token])[0], []).append(place)
            chosen.append(self._allot(banks, parents.shape[1]))
        return torch.tensor(chosen, device=parents.device)

    def _allot(self, banks: dict[int, list[int]], candidates: int) -> list[int]:
        """Places of the candidates that go on, best first within the whole."""
        width, share = self.search.width, self.search.width // (self.needed + 1)
        found: list[int] = []
        for number in sorted(banks, reverse=True):
            size = share if found else max(1, width - share * self.needed)
            found += banks[number][:size]
        rest = [place for place in range(candidates) if place not in found]
        alive = {place for bank in banks.values() for place in bank}
        rest.sort(key=lambda place: (place not in alive, place))
        return sorted((found + rest)[:width])
