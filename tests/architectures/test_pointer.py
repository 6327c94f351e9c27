"""Writing mixed with copying: against a plain loop, with words beyond the vocabulary, and through `generate`."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.pointer import CopyIds, mix

POINTER = {"pointer_generator": True, "source_vocab_size": 13, "share_embeddings": True, "copy_vocab_size": 3}
STYLES = [
    {"attention": "additive", "coverage": True},
    {"attention": "general", "input_feeding": True},
    {"attention": "multi_head", "num_attention_heads": 2, "decoder_style": "bahdanau"},
]


@pytest.fixture
def sources(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Sources with words beyond the vocabulary of 13."""
    batch["input_ids"][0, 1], batch["input_ids"][0, 4], batch["input_ids"][1, 2] = 13, 14, 13
    return batch


def test_the_mixture_is_that_of_a_plain_loop() -> None:
    logits, gate = torch.randn(2, 3, 5), torch.randn(2, 3, 1)
    weights = torch.randn(2, 3, 4).softmax(-1)
    copy_ids = torch.tensor([[1, 6, 1, 0], [5, 5, 2, 3]])
    found = mix(logits, gate, weights, copy_ids, copy_vocab_size=2).exp().double()
    assert found.shape == (2, 3, 7)
    for row in range(2):
        for step in range(3):
            p_gen = 1 / (1 + math.exp(-gate[row, step, 0].item()))
            exps = [math.exp(value) for value in logits[row, step].tolist()]
            expected = [p_gen * value / sum(exps) for value in exps] + [0.0, 0.0]
            for place, word in enumerate(copy_ids[row].tolist()):
                expected[word] += (1 - p_gen) * weights[row, step, place].item()
            torch.testing.assert_close(found[row, step], torch.tensor(expected).double(), rtol=1e-5, atol=1e-7)


def test_gradients_are_finite_and_right() -> None:
    logits, gate, scores = (torch.randn(1, 2, n, dtype=torch.float64, requires_grad=True) for n in (4, 1, 3))
    copy_ids = torch.tensor([[1, 4, 1]])

    def words(logits: Tensor, gate: Tensor, scores: Tensor) -> Tensor:
        return mix(logits, gate, scores.softmax(-1), copy_ids, 2)[..., [0, 1, 4]]

    assert torch.autograd.gradcheck(words, (logits, gate, scores))
    mix(logits, gate, scores.softmax(-1), copy_ids, 2).sum().backward()
    assert all(torch.isfinite(x.grad).all() for x in (logits, gate, scores))


@pytest.mark.parametrize("style", STYLES)
def test_probabilities_sum_to_one(style: dict, build: Callable, sources: dict[str, Tensor]) -> None:
    model = build(**POINTER, **style)
    logits = model(**sources, decoder_input_ids=torch.tensor([[3, 4, 14]] * 4)).logits
    assert logits.shape == (4, 3, 16)
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(4, 3))
    probabilities = logits.exp()
    assert (probabilities[0, :, 13:15] > 1e-6).all()
    assert (probabilities[0, :, 15] < 1e-30).all()
    assert (probabilities[2, :, 13:] < 1e-30).all()


@pytest.mark.parametrize("style", STYLES)
def test_steps_and_beams_are_those_of_whole_targets(style: dict, build: Callable, sources: dict[str, Tensor]) -> None:
    model = build(**POINTER, **style)
    sources["input_ids"] += (sources["input_ids"] > 3).long() * 6  # half of all words are unknown
    sources["input_ids"].clamp_(max=15)
    torch.nn.init.constant_(model.model.decoder.copy_gate.projection.bias, -4.0)  # rather copies than writes
    found = model.generate(
        **sources, num_beams=3, max_new_tokens=6, output_scores=True, return_dict_in_generate=True, length_penalty=0.0
    )
    assert (found.sequences >= 13).any()  # it copies words that it cannot write
    labels = found.sequences[:, 1:]
    log_probabilities = model(**sources, decoder_input_ids=found.sequences[:, :-1]).logits.log_softmax(-1)
    chosen = log_probabilities.gather(2, labels[..., None]).squeeze(2)
    ended = (labels == 1).cumsum(1) - (labels == 1).int() > 0
    torch.testing.assert_close(chosen.masked_fill(ended, 0).sum(1), found.sequences_scores, rtol=1e-4, atol=1e-4)


def test_it_learns_to_copy_words_that_it_has_never_seen(build: Callable) -> None:
    torch.manual_seed(0)
    model = build(widen=1.0, **POINTER, attention="additive", hidden_size=32, dropout=0.0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)

    def pairs(rows: int) -> tuple[Tensor, Tensor]:
        """Four words, of which one is unknown; the target is the unknown word."""
        source = torch.randint(4, 12, (rows, 4))
        source[torch.arange(rows), torch.randint(0, 4, (rows,))] = 13
        return source, torch.tensor([[13, 1]] * rows)

    for _ in range(60):
        source, target = pairs(32)
        loss = model(input_ids=source, labels=target).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    source, target = pairs(50)
    written = model.eval().generate(input_ids=source, max_new_tokens=2)[:, 1:]
    assert (written == target).all(1).float().mean() > 0.95


def test_two_vocabularies_meet_by_a_map(build: Callable) -> None:
    ids = [0, 1, 2, 3, 12, 2, 11, 2, 2, 2, 5]
    config = RnnSeq2SeqConfig(
        vocab_size=13, source_vocab_size=11, pointer_generator=True, source_to_target_ids=ids, copy_vocab_size=2
    )
    assert CopyIds(config)(torch.tensor([[4, 10, 1], [11, 12, 0]])).tolist() == [[12, 5, 1], [13, 14, 0]]
    model = RnnForConditionalGeneration(config).eval()
    logits = model(input_ids=torch.tensor([[4, 11, 1]]), decoder_input_ids=torch.tensor([[3, 13]])).logits
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(1, 2))


def test_it_reloads(build: Callable, sources: dict[str, Tensor], tmp_path) -> None:
    model = build(**POINTER)
    model.save_pretrained(tmp_path)
    again = RnnForConditionalGeneration.from_pretrained(tmp_path)
    inputs = sources | {"decoder_input_ids": torch.tensor([[3, 4, 14]] * 4)}
    torch.testing.assert_close(again(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"share_embeddings": False}, "give source_to_target_ids"),
        ({"attention": "none"}, "pointer_generator=True with attention='none'"),
        ({"attention": "monotonic"}, "weights that sum to 1"),
        ({"local_attention": "predictive"}, "local_attention='none'"),
        ({"unk_token_id": None}, "copy_vocab_size=3 with unk_token_id=None"),
        ({"pointer_generator": False}, "copy_vocab_size with pointer_generator=False"),
        ({"source_to_target_ids": [0, 13]}, "has 2 ids from 0 to 13"),
    ],
)
def test_what_cannot_copy_is_refused(choices: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        RnnSeq2SeqConfig(**({"vocab_size": 13} | POINTER | choices))


def test_embeddings_alone_cannot_be_copied(build: Callable) -> None:
    with pytest.raises(ValueError, match="needs input_ids"):
        build(**POINTER)(inputs_embeds=torch.zeros(1, 2, 8), decoder_input_ids=torch.tensor([[3]]))
