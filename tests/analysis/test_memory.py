"""The estimate of memory: counted as said, and near what a whole batch takes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hf_seq2seq.analysis.memory import estimate_memory, kept_bytes
from hf_seq2seq.configs import Decoding, NewTokenizer, Optimization, PairTokenization, Run
from hf_seq2seq.data.collation import Seq2SeqCollator
from hf_seq2seq.data.encoding import encode_pairs
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.problems.seq2seq import Seq2SeqProblem
from hf_seq2seq.task import Task


class Squares(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(10, 20)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.layer(batch["x"]).relu().sum()


def test_kept_bytes_are_those_of_the_graph() -> None:
    objective = Squares().eval()
    state = torch.get_rng_state()
    # The layer keeps its input, 5 x 10 numbers, and the rectifier its output, 5 x 20; the weights do not count.
    assert kept_bytes(objective, {"x": torch.ones(5, 10)}) == 4 * (5 * 10 + 5 * 20)
    assert not objective.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in objective.parameters())


@dataclass(frozen=True)
class Config:
    optimization: Optimization = field(default_factory=Optimization)
    run: Run = field(default_factory=Run)


def make_task(**optimization: Any) -> Task:
    from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
    from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration

    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list("abcdefgh"), size=random.integers(3, 30))) for _ in range(200)]
    tokenizers = train_tokenizers(texts, [], NewTokenizer(tokenizer_type="word"))
    pairs = Pairs(texts, [[text] for text in texts], ("source", "target"))
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 3}
    size = len(tokenizers.source)
    model = RnnForConditionalGeneration(RnnSeq2SeqConfig(vocab_size=size, hidden_size=32, embedding_size=32, **ids))
    config: Any = Config(Optimization(**optimization))
    return Task(
        recipe="rnn",
        config=config,
        model=model,
        tokenizers=tokenizers,
        splits={"train": encode_pairs(pairs, tokenizers, PairTokenization())},
        columns={},
        objective=TokenCrossEntropy(model),
        collate=Seq2SeqCollator(0),
        metrics=(),
        problem=Seq2SeqProblem(Decoding(), 128),
    )


def parts(task: Task) -> dict[str, float]:
    return {name: size for name, size, _ in estimate_memory(task).parts}


def test_weights_gradients_and_optimizer() -> None:
    task = make_task()
    next(task.model.parameters()).requires_grad_(False)
    frozen = next(task.model.parameters()).numel()
    memory = estimate_memory(task)
    count = sum(p.numel() for p in task.model.parameters())
    assert (memory.parameters, memory.trained) == (count, count - frozen)
    found = parts(task)
    assert found["weights"] == 4 * count
    assert found["gradients"] == 4 * (count - frozen)
    assert found["optimizer"] == 8 * (count - frozen)
    assert memory.total == pytest.approx(sum(found.values()))
    assert parts(make_task(optim="adafactor"))["optimizer"] < 0.2 * found["optimizer"]
    assert parts(make_task(optim="schedule_free_adamw"))["optimizer"] == found["optimizer"] + 8 * frozen
    assert parts(make_task(optim="adamw_8bit"))["optimizer"] == 2 * count
    assert parts(make_task(bf16=True))["weights"] == 6 * count


def test_activations_are_those_of_the_largest_batch() -> None:
    task = make_task(max_tokens_per_batch=6000)
    train = task.splits["train"]
    longest = np.argsort(train.lengths.sum(axis=1))[-100:]
    batch = task.collate(train, longest)
    whole = kept_bytes(task.objective, batch) * 6000 / (batch["input_ids"].numel() + batch["labels"].numel())
    assert parts(task)["activations"] == pytest.approx(whole, rel=0.15)
    assert parts(make_task(max_tokens_per_batch=3000))["activations"] == pytest.approx(whole / 2, rel=0.15)
