import pytest
import torch

from hf_seq2seq.architectures.cache import RecurrentCache


@pytest.fixture
def cache():
    cache = RecurrentCache()
    cache.state.write({"cells": torch.arange(3.0)[:, None]}, {"keys": torch.arange(3.0)[:, None]}, tokens=2)
    return cache


def rows(parts):
    return {name: part.flatten().tolist() for name, part in parts.items()}


def test_beams_take_over_the_state_but_not_the_source(cache):
    cache.reorder_cache(torch.tensor([2, 2, 0]))
    assert rows(cache.state.states) == {"cells": [2, 2, 0]}
    assert rows(cache.state.source) == {"keys": [0, 1, 2]}


def test_rows_can_be_repeated_and_chosen(cache):
    cache.batch_repeat_interleave(2)
    assert rows(cache.state.states)["cells"] == rows(cache.state.source)["keys"] == [0, 0, 1, 1, 2, 2]
    cache.batch_select_indices(torch.tensor([0, 5]))
    assert rows(cache.state.states)["cells"] == rows(cache.state.source)["keys"] == [0, 2]


def test_counts_tokens_and_forgets(cache):
    cache.state.write({}, {}, tokens=3)
    assert cache.get_seq_length() == 5
    assert cache.get_max_length() == -1
    assert not cache.is_croppable
    cache.reset()
    assert cache.get_seq_length() == 0


def test_cannot_go_back_or_hold_keys_and_values(cache):
    cache.crop(0)
    with pytest.raises(NotImplementedError, match="cannot go back"):
        cache.crop(1)
    with pytest.raises(NotImplementedError, match="keys and values"):
        cache.update(torch.ones(1), torch.ones(1), 0)
