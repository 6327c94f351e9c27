"""Beam search whose outputs must contain given words.

The hypotheses of a source are kept in banks by how many tokens of the words they have, so that partial matches are not
crowded out by likelier hypotheses; a hypothesis may end when it has all words.

Paper: Post and Vilar, 2018, section 3, https://aclanthology.org/N18-1119 (dynamic beam allocation). Deviation: the
remainder of an even split goes to the fullest bank, which thereby gains a token per step.
"""

import torch
from torch import Tensor

from hf_seq2seq.decoding.beam_search import Beam, BeamSettings
from hf_seq2seq.decoding.decoder import Decoder
from hf_seq2seq.decoding.forced_words import ForcedWords, Ids
from hf_seq2seq.decoding.hypothesis import Bounds
from hf_seq2seq.decoding.rules import FORBIDDEN
from hf_seq2seq.decoding.top_k import best


class ConstrainedBeam(Beam):
    """A beam whose finished hypotheses contain all words.

    Args:
        decoder: as for `Beam`.
        bounds: as for `Beam`.
        search: as for `Beam`.
        words: words that must appear.
    """

    def __init__(self, decoder: Decoder, bounds: Bounds, search: BeamSettings, words: ForcedWords) -> None:
        super().__init__(decoder, bounds, search)
        self.words = words

    def _outputs(self) -> list[list[Ids]]:
        return [[tuple(ids) for ids in row] for row in self.tokens[:, :, self.prompt :].tolist()]

    def _candidates(self, totals: Tensor) -> Tensor:
        """The best overall, the best of every hypothesis, and all that make progress.

        EOS only if all words are present.
        """
        vocabulary, likely = totals.shape[2], best(totals, 2 * self.search.width)
        found = []
        for row, outputs in enumerate(self._outputs()):
            wanted = set(likely[row].tolist())
            for place, ids in enumerate(outputs):
                progress = self.words.progress(ids)
                first = place * vocabulary
                # Some of the best tokens after a word may continue it.
                count = min(self.search.width, vocabulary) if progress.fresh else 1
                wanted |= {first + token for token in totals[row, place].topk(count).indices.tolist()}
                ends = {first + int(token) for token in self.bounds.eos}
                wanted = wanted | ends if progress.complete else wanted - ends
                wanted |= {first + token for token in progress.onward}
            found.append(sorted(index for index in wanted if index < totals[row].numel()))
        size, beyond = max(2 * self.search.width, *map(len, found)), totals[0].numel()
        index = torch.tensor([row + [beyond] * (size - len(row)) for row in found], device=totals.device)
        scores = torch.cat([totals.flatten(1), totals.new_full((len(totals), 1), FORBIDDEN)], 1).gather(1, index)
        return index.gather(1, scores.argsort(dim=1, descending=True, stable=True))

    def _finishing(self, parents: Tensor, tokens: Tensor, ends: Tensor) -> Tensor:
        """Those that end and contain all words."""
        found = ends.clone()
        outputs = self._outputs()
        for row, place in ends.nonzero().tolist():
            ids, token = outputs[row][int(parents[row, place])], int(tokens[row, place])
            ids = ids if token in self.bounds.eos else (*ids, token)
            found[row, place] = self.words.progress(ids).complete
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
                    banks.setdefault(self.words.progress((*outputs[row][parent], token)).tokens, []).append(place)
            chosen.append(self._allot(banks, parents.shape[1]))
        return torch.tensor(chosen, device=parents.device)

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
