"""Diverse beam search, compared with a plain implementation without a cache, a source and a hypothesis at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search

LIMIT, EOS = 7, 1


def repetitions(ids: list[int], others: list[list[int]], size: int | None) -> int:
    """How often others have the last token at its place, or the last n-gram anywhere."""
    if size is None:
        return sum(other[len(ids) - 1] == ids[-1] for other in others)
    last = [*[3] * (len(ids) < size), *ids][-size:]
    grams = [([3, *other])[start : start + size] for other in others for start in range(len(other) + 2 - size)]
    return grams.count(last)


def by_hand(model: Any, source: torch.Tensor, groups: int, width: int, strength: float, size: int | None) -> Any:
    """Finished hypotheses, the best first, of every group."""
    running: list[list[tuple[float, list[int]]]] = [[(0.0, [])] for _ in range(groups)]
    finished: list[list[tuple[float, list[int]]]] = [[] for _ in range(groups)]
    for length in range(1, LIMIT + 1):
        for group in range(groups):
            others = [ids for before in running[:group] for _, ids in before]
            ranked = []
            for total, ids in running[group]:
                inputs = torch.tensor([[3, *ids]])
                logits = model(input_ids=source, decoder_input_ids=inputs, use_cache=False).logits
                for token, log_prob in enumerate(logits[0, -1].log_softmax(-1).tolist()):
                    new = [*ids, token]
                    cost = strength * repetitions(new, others, size) if others else 0
                    ranked.append((total + log_prob - cost, total + log_prob, new))
            ranked.sort(reverse=True)
            ended = [(total / length, ids) for _, total, ids in ranked[:width] if ids[-1] == EOS or length == LIMIT]
            finished[group] = sorted(finished[group] + ended, reverse=True)[:width]
            running[group] = [(total, ids) for _, total, ids in ranked if ids[-1] != EOS][:width]
    return [[ids[:-1] if ids[-1] == EOS else ids for _, ids in group] for group in finished]


@pytest.mark.parametrize(("strength", "size"), [(0.5, None), (3.0, None), (2.0, 1), (2.0, 2)])
def test_groups_equal_those_worked_out_by_hand(
    strength: float, size: int | None, make_model: Callable[[str], Any], tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model("rnn")
    sources, _ = encode_texts(texts[:2], tokenizers.source, 64)
    settings = {"diversity_penalty": strength, "diversity_ngram_size": size, "early_stopping": "never"}
    search = Search(num_beams=6, num_beam_groups=3, num_return_sequences=6, **settings)
    with torch.inference_mode():
        found = Searcher(model, search, LIMIT)(source_batch(sources, range(2), 0), range(2))
        for row in range(2):
            source = torch.from_numpy(sources[row]).long()[None]
            expected = {tuple(ids) for group in by_hand(model, source, 3, 2, strength, size) for ids in group}
            assert {tuple(each.ids) for each in found[row]} == expected
            assert [each.score for each in found[row]] == sorted((each.score for each in found[row]), reverse=True)


def test_groups_differ_more_than_the_beams_of_one(
    make_model: Callable[[str], Any], tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model("rnn")
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    batch = source_batch(sources, range(16), 0)

    def first_tokens(**settings: Any) -> int:
        found = Searcher(model, Search(num_beams=4, num_return_sequences=4, **settings), LIMIT)(batch, range(16))
        return sum(len({each.ids[0] for each in outputs if each.ids}) for outputs in found)

    assert first_tokens(num_beam_groups=4, diversity_penalty=5.0) > 1.3 * first_tokens()
