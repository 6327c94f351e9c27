"""The chunked loss head against torch's cross-entropy and against each model's own logits."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.objectives import cross_entropy
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy, chunked_cross_entropy
from hf_seq2seq.ragged import IGNORE

VOCABULARY = 37


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every test here go through several chunks."""
    monkeypatch.setattr(cross_entropy, "CHUNK_ELEMENTS", 3 * VOCABULARY)


def layer(dtype: torch.dtype, bias: bool = True) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Inputs, weight, bias and labels of 20 positions."""
    hidden = torch.randn(20, 6, dtype=dtype, requires_grad=True)
    weight = torch.randn(VOCABULARY, 6, dtype=dtype, requires_grad=True)
    offsets = torch.randn(VOCABULARY, dtype=dtype, requires_grad=True) if bias else None
    return hidden, weight, offsets, torch.randint(VOCABULARY, (20,))


def gradients(loss: Tensor, of: list[Tensor]) -> list[Tensor]:
    # A factor, for the loop divides the sum by its weight.
    return list(torch.autograd.grad(loss * 0.3, of))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_torch(dtype: torch.dtype, smoothing: float, bias: bool) -> None:
    hidden, weight, offsets, labels = layer(dtype, bias)
    wanted = [x for x in (hidden, weight, offsets) if x is not None]
    found = chunked_cross_entropy(hidden, weight, labels, bias=offsets, label_smoothing=smoothing)
    logits = F.linear(hidden, weight, offsets)
    expected = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradients(found, wanted), gradients(expected, wanted), rtol=1e-6, atol=2e-6)


def test_very_large_logits_neither_overflow_nor_vanish() -> None:
    hidden, weight, _, labels = layer(torch.float32)
    found = chunked_cross_entropy(hidden * 1000, weight, labels)
    expected = F.cross_entropy(F.linear(hidden * 1000, weight), labels, reduction="sum")
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradients(found, [hidden]), gradients(expected, [hidden]), rtol=1e-5, atol=1e-4)


def test_bfloat16_sums_in_float32() -> None:
    hidden, weight, _, labels = layer(torch.bfloat16)
    found = chunked_cross_entropy(hidden, weight, labels)
    expected = F.cross_entropy(F.linear(hidden, weight).float(), labels, reduction="sum")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    grads = gradients(found, [hidden, weight])
    assert [g.dtype for g in grads] == [torch.bfloat16] * 2
    torch.testing.assert_close(grads, gradients(expected, [hidden, weight]), rtol=0.03, atol=0.03)


def test_a_large_layer_gets_chunks_of_half_its_own_size() -> None:
    assert cross_entropy.chunk_rows(torch.empty(VOCABULARY, 6)) == 3
    assert cross_entropy.chunk_rows(torch.empty(VOCABULARY, 64)) == 32
    assert cross_entropy.chunk_rows(torch.empty(10**6, 1)) == 1


class Logits(TorchDispatchMode):
    """Notes the rows of every matrix product of the output layer: `(rows, vocabulary)`."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []
        self.products = 0
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and found.ndim and found.shape[-1] == VOCABULARY:
            self.largest = max(self.largest, found.numel())
            if func is torch.ops.aten.mm.default:
                self.rows.append(found.shape[0])
        self.products += func in (torch.ops.aten.mm.default, torch.ops.aten.addmm_.default)
        return found


def test_without_gradients_no_product_but_the_logits() -> None:
    hidden, weight, _, labels = layer(torch.float32)
    with Logits() as seen, torch.no_grad():
        chunked_cross_entropy(hidden, weight, labels)
    assert seen.products == len(seen.rows) == 7


def t5(**changes: Any) -> PreTrainedModel:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": VOCABULARY}
    return T5ForConditionalGeneration(T5Config(**sizes, dropout_rate=0.0, decoder_start_token_id=0, **changes))


def bart_like(config_class: type, model_class: Callable[[Any], PreTrainedModel]) -> PreTrainedModel:
    sides = ("encoder", "decoder")
    sizes = {"layers": 2, "attention_heads": 2, "ffn_dim": 32, "layerdrop": 0.0}
    sizes = {f"{side}_{name}": value for side in sides for name, value in sizes.items()}
    tokens = {"pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 1, "decoder_start_token_id": 3}
    quiet = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "forced_eos_token_id": None}
    return model_class(config_class(vocab_size=VOCABULARY, d_model=16, **sizes, **tokens, **quiet))


def bart() -> PreTrainedModel:
    return bart_like(BartConfig, BartForConditionalGeneration)


def biased(model: PreTrainedModel) -> PreTrainedModel:
    """With a nonzero final bias, as models that were trained elsewhere may have."""
    model.final_logits_bias.normal_()
    return model


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "t5, tied and scaled": t5,
    "t5, untied": lambda: t5(tie_word_embeddings=False),
    "bart with a final bias": lambda: biased(bart()),
    "pegasus with a final bias": lambda: biased(bart_like(PegasusConfig, PegasusForConditionalGeneration)),
}


def batch() -> dict[str, Tensor]:
    """Two rows, both sides padded."""
    labels = torch.tensor([[5, 9, 36, 7, 8, 1], [6, 1, IGNORE, IGNORE, IGNORE, IGNORE]])
    ids = torch.tensor([[8, 9, 10, 1], [11, 1, 0, 0]])
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}


def plain_loss(model: PreTrainedModel, rows: dict[str, Tensor], smoothing: float) -> Tensor:
    inputs = {name: value for name, value in rows.items() if name != "labels"}
    starts = model.prepare_decoder_input_ids_from_labels(labels=rows["labels"])
    logits = model(**inputs, decoder_input_ids=starts).logits.flatten(0, 1)
    labels = rows["labels"].flatten()
    return F.cross_entropy(logits, labels, reduction="sum", ignore_index=IGNORE, label_smoothing=smoothing)


def assert_equals_plain(objective: TokenCrossEntropy, smoothing: float) -> None:
    model = objective.model
    parameters = [p for p in model.parameters() if p.requires_grad]
    expected = plain_loss(model, batch(), smoothing)
    found = objective(batch())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradients(found, parameters), gradients(expected, parameters), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_exact_for_every_model(name: str, smoothing: float) -> None:
    objective = TokenCrossEntropy(MODELS[name]().train(), label_smoothing=smoothing)
    assert objective._projection is not None, "took the plain way"
    assert_equals_plain(objective, smoothing)


def test_smoothing_is_for_training_alone() -> None:
    objective = TokenCrossEntropy(bart(), label_smoothing=0.1).eval()
    torch.testing.assert_close(objective(batch()), plain_loss(objective.model, batch(), 0.0))


def test_words_that_a_source_lacks_share_no_smoothing() -> None:
    config = RnnSeq2SeqConfig(
        vocab_size=VOCABULARY, hidden_size=6, embedding_size=6, dropout=0.0,
        pointer_generator=True, copy_vocab_size=50, share_embeddings=True, source_vocab_size=VOCABULARY,
    )  # fmt: skip
    objective = TokenCrossEntropy(RnnForConditionalGeneration(config).train(), label_smoothing=0.1)
    rows = batch()
    found = objective(rows)
    inputs = {name: value for name, value in rows.items() if name != "labels"}
    real = rows["labels"] != IGNORE
    logits = objective.model(**inputs, decoder_input_ids=objective.shifted(rows)).logits[real]
    probabilities = logits.double().exp()
    true = probabilities.gather(1, rows["labels"][real][:, None]).log().sum()
    spread = probabilities[:, :VOCABULARY].log().mean(1).sum()
    assert found.item() == pytest.approx((-0.9 * true - 0.1 * spread).item())
    assert found < 8 * 5.0  # an id that cannot be copied has a log-probability of -87


def test_weight_counts_real_target_tokens() -> None:
    assert TokenCrossEntropy(bart()).weight(batch()) == 8


@pytest.mark.parametrize("name", MODELS)
def test_only_real_positions_reach_the_head_in_chunks(name: str) -> None:
    objective = TokenCrossEntropy(MODELS[name]())
    handed: list[torch.Size] = []
    objective.model.get_output_embeddings().register_forward_hook(lambda _, args, __: handed.append(args[0].shape))
    rows = cross_entropy.chunk_rows(objective.model.get_output_embeddings().weight)
    with Logits() as seen:
        objective(batch()).backward()
    assert [shape[1] for shape in handed] == [0]
    assert sum(seen.rows) == 8  # of 12 positions
    assert max(seen.rows) <= rows
    assert seen.largest <= max(rows, 17) * VOCABULARY  # 16 + 1 rows: the weight's transposed gradient is no logits


class Capped(BartForConditionalGeneration):
    """Logits capped as Gemma's are."""

    def forward(self, *args: Any, **options: Any) -> Any:
        found = super().forward(*args, **options)
        found.logits = 30 * torch.tanh(found.logits / 30)
        return found


def test_logits_that_are_more_than_a_layer_go_the_plain_way() -> None:
    # Fresh weights give logits so small that the cap hardly moves them; training makes them large.
    objective = TokenCrossEntropy(bart_like(BartConfig, Capped).train())
    assert objective._projection is None
    assert_equals_plain(objective, 0.0)


def test_a_head_that_is_no_plain_layer_goes_the_plain_way() -> None:
    class Scaled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * 2

    model = bart().train()
    head = Scaled(16, VOCABULARY, bias=False)
    head.weight = model.lm_head.weight
    model.set_output_embeddings(head)
    objective = TokenCrossEntropy(model)
    assert objective._projection is None
    assert_equals_plain(objective, 0.0)


def covering(**changes: Any) -> PreTrainedModel:
    """A recurrent model with a coverage loss."""
    choices = {"attention": "additive", "coverage": True, "coverage_loss_weight": 0.7, "dropout": 0.0} | changes
    return RnnForConditionalGeneration(RnnSeq2SeqConfig(vocab_size=VOCABULARY, hidden_size=16, **choices)).double()


def by_row(loss: Callable[[dict[str, Tensor]], Tensor]) -> Tensor:
    """The sum of the losses of the batch's rows, each alone and without its padding."""
    rows = batch()
    total = torch.zeros((), dtype=torch.float64)
    for row, (source, target) in enumerate([(4, 6), (2, 2)]):
        total += loss(
            {name: part[row : row + 1, : target if name == "labels" else source] for name, part in rows.items()}
        )
    return total


def test_coverage_loss_does_not_depend_on_padding_or_split() -> None:
    objective = TokenCrossEntropy(covering().train())
    parameters = list(objective.model.parameters())
    together, apart = objective(batch()), by_row(objective)
    torch.testing.assert_close(together, apart)
    torch.testing.assert_close(gradients(together, parameters), gradients(apart, parameters))
    wider = {name: F.pad(part, (0, 3), value=IGNORE if name == "labels" else 0) for name, part in batch().items()}
    torch.testing.assert_close(objective(wider), together)
    own = objective.model(**batch(), num_items_in_batch=1).loss
    torch.testing.assert_close(own.double(), together)
    torch.testing.assert_close(by_row(lambda row: objective.model(**row, num_items_in_batch=1).loss), together)


def test_coverage_loss_is_added_in_training_alone() -> None:
    model = covering()
    objective = TokenCrossEntropy(model)
    losses = model(**batch(), use_cache=False).auxiliary_losses
    added = losses[batch()["labels"] != IGNORE].sum()
    assert added > 0.1
    torch.testing.assert_close(objective.eval()(batch()), plain_loss(model, batch(), 0.0))
    torch.testing.assert_close(objective.train()(batch()), plain_loss(model, batch(), 0.0) + added)
    objective._projection = None
    torch.testing.assert_close(objective(batch()).double(), plain_loss(model, batch(), 0.0) + added)
    assert covering(coverage_loss_weight=0.0)(**batch()).auxiliary_losses is None


def test_generation_after_training_sees_the_whole_head() -> None:
    model = bart().eval()
    expected = model(**batch()).logits
    objective = TokenCrossEntropy(model)
    objective(batch()).backward()
    torch.testing.assert_close(model(**batch()).logits, expected)


MEMORY = """
import resource, sys, json, torch
from torch.nn import functional as F
from hf_seq2seq.objectives.cross_entropy import chunked_cross_entropy
torch.set_num_threads(1)
hidden = torch.randn(2048, 16, requires_grad=True)
weight = torch.randn(32000, 16).div_(4).requires_grad_()
labels = torch.randint(32000, (2048,))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
if sys.argv[1] == "chunked":
    chunked_cross_entropy(hidden, weight, labels).backward()
else:
    F.cross_entropy(hidden @ weight.T, labels, reduction="sum").backward()
print(json.dumps(peak() - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
def test_an_eighth_of_the_plain_memory(forked_python: str) -> None:
    def megabytes(way: str) -> float:
        command = [forked_python, "-c", MEMORY, way]
        return json.loads(subprocess.run(command, env=dict(os.environ), check=True, capture_output=True).stdout)

    assert megabytes("chunked") <= megabytes("plain") / 8


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("plain", [False, True])
def test_losses_of_single_tokens(name: str, plain: bool) -> None:
    objective = TokenCrossEntropy(MODELS[name](), label_smoothing=0.1).eval()
    if plain:
        objective._projection = None
    rows = batch()
    inputs = {name: value for name, value in rows.items() if name != "labels"}
    starts = objective.model.prepare_decoder_input_ids_from_labels(labels=rows["labels"])
    logits, real = objective.model(**inputs, decoder_input_ids=starts).logits, rows["labels"] != IGNORE
    expected = F.cross_entropy(logits[real], rows["labels"][real], reduction="none")
    with torch.no_grad():
        found = objective.token_losses(rows)
        torch.testing.assert_close(found.sum(), objective(rows))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
