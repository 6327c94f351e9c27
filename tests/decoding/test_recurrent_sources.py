"""Recurrent models keep one row a source for all its hypotheses, and say what they say with a row for each."""

from typing import Any

import pytest
import torch

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.decoding import decoder as module
from hf_seq2seq.decoding.beam_attention import folds
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search

SHARED: list[dict[str, Any]] = [
    {"attention": "dot", "input_feeding": False},
    {"attention": "scaled_dot", "cell": "gru"},
    {"attention": "general", "input_feeding": True, "decoder_layers": 2},
    {"attention": "additive", "decoder_style": "bahdanau", "decoder_start": "bridge"},
    {"attention": "multi_head", "num_attention_heads": 4},
    {"attention": "general", "local_attention": "predictive", "attention_window": 2},
    {"attention": "none", "decoder_start": "bridge"},
]
REPEATED: list[dict[str, Any]] = [
    {"attention": "general", "local_attention": "monotonic", "attention_window": 2},
    {"attention": "additive", "coverage": True},
    {"attention": "location"},
    {"attention": "monotonic"},
    {"attention": "none", "context_feeding": True},
    {"attention": "additive", "pointer_generator": True, "share_embeddings": True},
]


def make_rnn(options: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 3}
    sizes = {"vocab_size": 17, "hidden_size": 16, "embedding_size": 16}
    model = RnnForConditionalGeneration(RnnSeq2SeqConfig(**sizes, **ids, **options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2.5)
    return model


def batch() -> dict[str, torch.Tensor]:
    rows = torch.randint(4, 17, (6, 9), generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([9, 2, 5, 7, 3, 9])
    mask = (torch.arange(9) < lengths[:, None]).long()
    return {"input_ids": rows * mask, "attention_mask": mask}


@pytest.mark.parametrize("options", SHARED, ids=str)
@pytest.mark.parametrize(
    "search",
    [
        Search(num_beams=4, num_return_sequences=4),
        Search(num_beams=4, num_beam_groups=2, diversity_penalty=1.0),
        Search(do_sample=True, num_return_sequences=3),
    ],
    ids=["beams", "groups", "samples"],
)
def test_outputs_are_those_of_repeated_sources(
    options: dict[str, Any], search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_rnn(options)
    assert folds(model)
    shared = Searcher(model, search, 12)(batch(), range(6))
    monkeypatch.setattr(module, "folds", lambda model: False)
    repeated = Searcher(model, search, 12)(batch(), range(6))
    assert len({tuple(each.ids) for found in shared for each in found}) > 4
    for found, expected in zip(shared, repeated, strict=True):
        assert [each.ids for each in found] == [each.ids for each in expected]
        assert [each.score for each in found] == pytest.approx([each.score for each in expected], rel=1e-4)


@pytest.mark.parametrize("options", REPEATED, ids=str)
def test_what_flows_from_step_to_step_needs_a_row_a_hypothesis(options: dict[str, Any]) -> None:
    model = make_rnn(options)
    assert not folds(model)
    for found, row in zip(Searcher(model, Search(num_beams=3), 8)(batch(), range(6)), range(6), strict=True):
        alone = {name: part[row : row + 1] for name, part in batch().items()}
        ((expected,),) = Searcher(model, Search(num_beams=3), 8)(alone, [row])
        assert found[0].ids == expected.ids


def test_nothing_of_the_source_is_repeated() -> None:
    with module.decoding([make_rnn(SHARED[2])], batch(), watch=True) as (decoder,):
        assert isinstance(decoder, module.CrossDecoder)
        decoder.start()
        decoder.keep(torch.arange(6).repeat_interleave(3), torch.arange(6))
        logits = decoder.step(torch.full((18,), 5))
        assert (len(logits), len(decoder.encoded.last_hidden_state), len(decoder.mask)) == (18, 6, 6)
        assert len(decoder.cache.state.source["keys"]) == 6
        assert decoder.attention is not None
        assert decoder.attention.shape == (18, 9)
        decoder.keep(torch.tensor([3, 3, 5, 17, 16, 16]), torch.tensor([1, 5]))
        decoder.step(torch.full((6,), 4))
        assert len(decoder.cache.state.source["keys"]) == 2
