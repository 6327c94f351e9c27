"""Token-level distillation against its formula, computed from plain logits in float64, row by row."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    MBartConfig,
    MBartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.configs import NewTokenizer
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives import cross_entropy, loss_options, make_objective
from hf_seq2seq.objectives.distillation import OWN, Distillation, difference
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.training_options import Loss

TEXTS = ["abcdefg", "gfedcba"]
ROWS = {5: ([4, 5, 6, 1], [6, 7, 8, 9, 1]), 0: ([4, 1], [10, 1]), 9: ([5, 6, 7, 8, 1], [7, 5, 4, 1])}
LONGEST = 6
CODE = 8
"""Of a language, which starts mBART's decoder."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every test here go through several chunks."""
    monkeypatch.setattr(cross_entropy, "CHUNK_ELEMENTS", 40)


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    found: Tokenizers = train_tokenizers(TEXTS, TEXTS, NewTokenizer(tokenizer_type="char"))
    assert len(found.source) > 10
    return found


def new_model(family: str, size: int) -> Any:
    ids = {"vocab_size": size, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 3}
    sizes = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("layers", 1), ("ffn_dim", 8))}
    heads = {f"{side}_attention_heads": 2 for side in ("encoder", "decoder")}
    wide = {"d_model": 8, "dropout": 0.0, "init_std": 1.0}
    if family == "rnn":
        return RnnForConditionalGeneration(
            RnnSeq2SeqConfig(**ids, source_vocab_size=size, hidden_size=8, dropout=0.0, initializer_range=1.0)
        )
    if family == "transformer":
        config = TransformerSeq2SeqConfig(**ids, **sizes, **heads, **wide, source_vocab_size=size)
        return TransformerForConditionalGeneration(config)
    if family == "t5":
        t5 = T5Config(**ids, d_model=8, d_ff=8, d_kv=4, num_layers=1, num_heads=2, dropout_rate=0.0)
        return T5ForConditionalGeneration(t5)
    if family == "gpt2":
        drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        return GPT2LMHeadModel(GPT2Config(**ids, **drops, n_embd=8, n_layer=1, n_head=2, initializer_range=1.0))
    if family == "mbart":
        mbart = MBartConfig(**ids | {"decoder_start_token_id": CODE}, **sizes, **heads, **wide)
        return MBartForConditionalGeneration(mbart)
    return BartForConditionalGeneration(BartConfig(**ids, **sizes, **heads, **wide, max_position_embeddings=32))


@pytest.fixture
def save_teacher(tokenizers: Tokenizers, tmp_path: Path) -> Any:
    def save(family: str) -> Path:
        folder = tmp_path / family
        new_model(family, len(tokenizers.source)).save_pretrained(folder)
        tokenizers.save(folder)
        return folder

    return save


def batch_of(rows: list[int]) -> dict[str, Tensor]:
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(ROWS[row][0]) for row in rows], True, 0)
    labels = torch.nn.utils.rnn.pad_sequence([torch.tensor(ROWS[row][1]) for row in rows], True, IGNORE)
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": labels, "rows": torch.tensor(rows)}


def objective_of(student: Any, tokenizers: Tokenizers, *args: str) -> Distillation:
    context = GenerationContext(tokenizers, None, 7, LONGEST)
    objective = make_objective(Loss(loss_type="distillation", loss_args=args), student, 0.1, context)
    assert isinstance(objective, Distillation)
    objective._teacher[0].double()
    return objective


def logits_of(model: Any, source: list[int], target: list[int]) -> Tensor:
    ids, labels = torch.tensor([source]), torch.tensor([target])
    shifted = model.prepare_decoder_input_ids_from_labels(labels=labels)
    return model(input_ids=ids, decoder_input_ids=shifted, use_cache=False).logits[0]


def kl(p: Tensor, q: Tensor) -> Tensor:
    return sum((a * (a.log() - b.log()) for a, b in zip(p, q, strict=True)), torch.tensor(0.0))


def apart(kind: str, teacher: Tensor, student: Tensor, beta: float) -> Tensor:
    """The divergence of two distributions, `(vocabulary,)`."""
    if kind == "jensen_shannon":
        mixed = beta * teacher + (1 - beta) * student
        return beta * kl(teacher, mixed) + (1 - beta) * kl(student, mixed)
    return kl(teacher, student) if kind == "forward" else kl(student, teacher)


def expected(
    student: Any, teacher: Any, rows: dict[int, tuple[list[int], list[int], bool]], kind: str, heat: float = 2.0
) -> Tensor:
    """The loss of rows of source, target and whether the target is the data's; weight 0.7, smoothing 0.1, beta 0.3."""
    total = torch.zeros((), dtype=torch.float64)
    for source, target, is_gold in rows.values():
        with torch.no_grad():
            wanted = (logits_of(teacher, source, target) / heat).softmax(-1)
        logits = logits_of(student, source, target)
        for place, token in enumerate(target):
            log_probs = logits[place].log_softmax(-1)
            plain = -0.9 * log_probs[token] - 0.1 * log_probs.mean()
            divergence = apart(kind, wanted[place], (logits[place] / heat).softmax(-1), 0.3)
            total = total + 0.3 * plain * is_gold + 0.7 * heat**2 * divergence
    return total


def assert_same(found: Tensor, wanted: Tensor, model: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    pairs = [torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (found, wanted)]
    for first, second in zip(*pairs, strict=True):
        if first is not None or second is not None:
            torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("student", "teacher", "kind"),
    [
        ("transformer", "rnn", "forward"),
        ("rnn", "transformer", "reverse"),
        ("t5", "bart", "jensen_shannon"),
        ("bart", "t5", "forward"),
    ],
)
def test_loss_and_gradient_are_those_of_the_formula(
    student: str, teacher: str, kind: str, save_teacher: Any, tokenizers: Tokenizers
) -> None:
    model = new_model(student, len(tokenizers.source)).double()
    args = (f"teacher={save_teacher(teacher)}", "temperature=2", "weight=0.7", f"divergence={kind}")
    objective = objective_of(model, tokenizers, *args, *(["beta=0.3"] if kind == "jensen_shannon" else []))
    rows = {row: (*pair, True) for row, pair in ROWS.items()}
    assert_same(objective(batch_of([5, 0, 9])), expected(model, objective._teacher[0], rows, kind), model)
    assert objective.weight(batch_of([5, 0, 9])) == 11


def test_logits_that_are_no_plain_layer(save_teacher: Any, tokenizers: Tokenizers) -> None:
    """As of a model with capped logits: they are computed whole."""
    model = new_model("transformer", len(tokenizers.source)).double()
    objective = objective_of(model, tokenizers, f"teacher={save_teacher('rnn')}", "weight=0.7", "temperature=2")
    rows = {row: (*pair, True) for row, pair in ROWS.items()}
    objective._projection, objective._teacher = None, (objective._teacher[0], None)
    assert_same(objective(batch_of([0, 9, 5])), expected(model, objective._teacher[0], rows, "forward"), model)


def test_own_samples_replace_the_targets_of_a_share_of_the_rows(save_teacher: Any, tokenizers: Tokenizers) -> None:
    model = new_model("transformer", len(tokenizers.source)).double()
    args = (f"teacher={save_teacher('rnn')}", "own_samples=0.5", "weight=0.7", "temperature=2")
    objective = objective_of(model, tokenizers, *args)
    objective.begin_step(3, 10)
    assert objective.generates
    assert objective.reads_rows
    draws = {row: objective.context.random(3, row).random() < 0.5 for row in ROWS}
    assert len(set(draws.values())) == 2
    whole = objective.augment(batch_of([5, 0, 9]))
    assert dict(zip([5, 0, 9], whole[OWN].tolist(), strict=True)) == draws
    rows = {}
    for number, labels in zip([5, 0, 9], whole["labels"], strict=True):
        target = labels[labels != IGNORE].tolist()
        assert (target == ROWS[number][1]) == (not draws[number])
        rows[number] = (ROWS[number][0], target, not draws[number])
    assert_same(objective(whole), expected(model, objective._teacher[0], rows, "forward"), model)
    parts = [objective(objective.augment(batch_of([row]))) for row in ROWS]
    torch.testing.assert_close(sum(parts), objective(whole))
    assert objective.weight(whole) == sum(len(target) for _, target, _ in rows.values())


def test_own_samples_of_mbart_end_with_the_code_that_starts_the_decoder(
    save_teacher: Any, tokenizers: Tokenizers
) -> None:
    model = new_model("mbart", len(tokenizers.source)).double()
    model.final_logits_bias[0, 0] = -1e9  # mBART's shift counts the tokens that are not padding
    objective = objective_of(model, tokenizers, f"teacher={save_teacher('mbart')}", "own_samples=1")
    batch = batch_of([5, 0, 9])
    labels = objective.augment(batch)["labels"]
    real = (labels != IGNORE).sum(1)
    assert labels.gather(1, real[:, None] - 1).tolist() == [[CODE]] * 3
    assert objective.shifted({"labels": labels})[:, 0].tolist() == [CODE] * 3


def test_decoder_alone(save_teacher: Any, tokenizers: Tokenizers) -> None:
    model = new_model("gpt2", len(tokenizers.source)).double()
    folder = save_teacher("gpt2")
    objective = objective_of(model, tokenizers, f"teacher={folder}", "weight=0.7", "temperature=2")
    ids = torch.tensor([[4, 5, 6, 7], [8, 9, 0, 0]])
    labels = torch.tensor([[IGNORE, 6, 7, 1], [9, 1, IGNORE, IGNORE]])
    batch = {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": labels}
    total = torch.zeros((), dtype=torch.float64)
    for row, place in (labels != IGNORE).nonzero().tolist():
        logits, wanted = (each(ids[row : row + 1]).logits[0, place] for each in (model, objective._teacher[0]))
        log_probs = logits.log_softmax(-1)
        plain = -0.9 * log_probs[labels[row, place]] - 0.1 * log_probs.mean()
        total = total + 0.3 * plain + 2.8 * kl((wanted / 2).softmax(-1), (logits / 2).softmax(-1))
    assert_same(objective(batch), total, model)
    with pytest.raises(InputError, match="own_samples: is for models with an encoder"):
        objective_of(model, tokenizers, f"teacher={folder}", "own_samples=0.5")


def test_teacher_is_frozen_and_no_part_of_the_objective(save_teacher: Any, tokenizers: Tokenizers) -> None:
    model = new_model("transformer", len(tokenizers.source)).double()
    objective = objective_of(model, tokenizers, f"teacher={save_teacher('rnn')}")
    teacher = objective.train()._teacher[0]
    assert not teacher.training
    objective(batch_of([5])).backward()
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in teacher.parameters())
    assert len(list(objective.parameters())) == len(list(model.parameters()))
    plain = make_objective(Loss(), model, 0.0, GenerationContext()).eval()
    assert objective.eval()(batch_of([5, 0])) == plain(batch_of([5, 0]))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "--loss-args of distillation: teacher: is missing"),
        (("teacher=/none/such",), "distillation: /none/such: no such folder"),
        (("divergence=kl",), "unknown value 'kl'; choose from forward"),
        (("teacher=x", "beta=0.3"), "beta: only applies to divergence=jensen_shannon, not forward"),
        (("temperature=0",), "temperature: 0.0 is too small; the minimum is 0.01"),
        (("weight=2",), "weight: 2.0 is too large"),
        (("own_samples=1.5",), "own.samples: 1.5 is too large; the maximum is 1"),
        (("own_samples=-1",), "own.samples: -1.0 is too small; the minimum is 0"),
    ],
)
def test_bad_options(args: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        loss_options(Loss(loss_type="distillation", loss_args=args))


def test_another_vocabulary(save_teacher: Any) -> None:
    others = train_tokenizers(["xyzabcd"], ["xyzabcd"], NewTokenizer(tokenizer_type="char"))
    model = new_model("transformer", len(others.source)).double()
    folder = save_teacher("rnn")
    message = f"teacher={folder}: its source vocabulary is not the student's: only the teacher has "
    with pytest.raises(InputError, match=message):
        objective_of(model, others, f"teacher={folder}")
    with pytest.raises(InputError, match="only one of teacher and student has an encoder"):
        objective_of(model, others, f"teacher={save_teacher('gpt2')}")


def test_another_prefix(save_teacher: Any, tokenizers: Tokenizers) -> None:
    model, folder = new_model("transformer", len(tokenizers.source)).double(), save_teacher("rnn")
    (folder / "run.yaml").write_text("source_prefix: 'say: '\n")
    with pytest.raises(InputError, match=r"was trained with --source-prefix 'say: ', not ''"):
        objective_of(model, tokenizers, f"teacher={folder}")


def test_too_few_positions_for_rows_as_they_are_in_some_epoch(save_teacher: Any, tokenizers: Tokenizers) -> None:
    loss = Loss(loss_type="distillation", loss_args=(f"teacher={save_teacher('bart')}",))
    student = new_model("rnn", len(tokenizers.source))
    make_objective(loss, student, 0.1, GenerationContext(tokenizers, None, 7, LONGEST, most=32))
    with pytest.raises(InputError, match="has 32 positions, and rows have up to 33 tokens"):
        make_objective(loss, student, 0.1, GenerationContext(tokenizers, None, 7, LONGEST, most=33))


def test_differences_of_vocabularies() -> None:
    assert difference({"a": 0, "b": 1}, {"b": 1, "a": 0}) == ""
    assert difference({"a": 0, "b": 1}, {"a": 0}) == "2 tokens, not 1"
    assert difference({"a": 0, "b": 1}, {"a": 0, "c": 1}) == "only the teacher has 'b'"
    assert difference({"a": 0, "b": 1}, {"a": 1, "b": 0}) == "'a' is token 0, not 1"
