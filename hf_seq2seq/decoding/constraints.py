"""Beam search whose outputs must contain given words.

The hypotheses of a source are kept in banks by how many tokens of the words they have, so that partial matches are not
crowded out by likelier hypotheses; a hypothesis may end when it has all words.

Paper: Post and Vilar, 2018, section 3, https://aclanthology.org/N18-1119 (dynamic beam allocation). Deviation: the
remainder of an even split goes to the fullest bank, which thereby gains a token per step.
"""

import torch
from torch import Tensor

from hf_seq2seq.decoding.beams import Beam, BeamSettings, Candidates, Place
from hf_seq2seq.decoding.forced_words import ForcedWords, Ids
from hf_seq2seq.decoding.rules import FORBIDDEN
from hf_seq2seq.decoding.top_k import best


class ConstrainedBeam(Beam):
    """A beam whose finished hypotheses contain all words.

    Args:
        prompt: as for `Beam`.
        search: as for `Beam`.
        words: words that must appear.
    """

    def __init__(self, prompt: Tensor, search: BeamSettings, words: ForcedWords) -> None:
        super().__init__(prompt, search)
        self.words = words

    def _outputs(self, place: Place) -> list[list[Ids]]:
        return [[tuple(ids) for ids in row] for row in self.outputs(place)]

    def _candidates(self, totals: Tensor, place: Place) -> Tensor:
        """The best overall, the best of every hypothesis, and all that make progress.

        EOS only if all words are present.
        """
        vocabulary, likely = totals.shape[2], best(totals, 2 * self.search.width)
        found = []
        for row, outputs in enumerate(self._outputs(place)):
            wanted = set(likely[row].tolist())
            for rank, ids in enumerate(outputs):
                progress = self.words.progress(ids)
                first = rank * vocabulary
                # Some of the best tokens after a word may continue it.
                count = min(self.search.width, vocabulary) if progress.fresh else 1
                wanted |= {first + token for token in totals[row, rank].topk(count).indices.tolist()}
                ends = {first + token for token in place.bounds.ends_with}
                wanted = wanted | ends if progress.complete else wanted - ends
                wanted |= {first + token for token in progress.onward}
            found.append(sorted(index for index in wanted if index < totals[row].numel()))
        size, beyond = max(2 * self.search.width, *map(len, found)), totals[0].numel()
        index = torch.tensor([row + [beyond] * (size - len(row)) for row in found], device=totals.device)
        scores = torch.cat([totals.flatten(1), totals.new_full((len(totals), 1), FORBIDDEN)], 1).gather(1, index)
        return index.gather(1, scores.argsort(dim=1, descending=True, stable=True))

    def _finishing(self, chosen: Candidates, ends: Tensor, place: Place) -> Tensor:
        """Those that end and contain all words."""
        found = ends.clone()
        outputs = self._outputs(place)
        for row, rank in ends.nonzero().tolist():
            ids, token = outputs[row][int(chosen.parents[row, rank])], int(chosen.tokens[row, rank])
            ids = ids if token in place.bounds.ends_with else (*ids, token)
            found[row, rank] = self.words.progress(ids).complete
        return found

    def _onward(self, chosen: Candidates, sums: Tensor, place: Place) -> Tensor:
        """A share of the beam for each bank, the rest for the best of all."""
        onward = []
        each = zip(chosen.parents.tolist(), chosen.tokens.tolist(), sums.tolist(), strict=True)
        for outputs, (parents, tokens, totals) in zip(self._outputs(place), each, strict=True):
            banks: dict[int, list[int]] = {}
            for rank, (parent, token, total) in enumerate(zip(parents, tokens, totals, strict=True)):
                if total > FORBIDDEN:
                    banks.setdefault(self.words.progress((*outputs[parent], token)).tokens, []).append(rank)
            onward.append(self._allot(banks, len(parents)))
        return torch.tensor(onward, device=sums.device)

    def _allot(self, banks: dict[int, list[int]], candidates: int) -> list[int]:
        """Indices of the candidates that continue, best first overall."""
        width, share = self.search.width, self.search.width // (self.words.size + 1)
        found: list[int] = []
        for number in sorted(banks, reverse=True):
            size = share if found else max(1, width - share * self.words.size)
            found += banks[number][:size]
        rest = [place for place in range(candidates) if place not in found]
        alive = {place for bank in banks.values() for place in bank}
        rest.sort(key=lambda place: (place not in alive, place))
        return sorted((found + rest)[:width])
