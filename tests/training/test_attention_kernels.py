"""`--attn-implementation`: what each way computes, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import rnn
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.attention_kernels import use_kernels
from hf_seq2seq.training.run import run

MakeTask = Callable[..., Task]


def test_every_way_gives_the_same_loss(make_task: MakeTask, tmp_path: Any) -> None:
    found = {}
    for name in ("eager", "sdpa"):
        task = make_task(attn_implementation=name, max_steps=2, use_cpu=True, output_dir=str(tmp_path / name))
        found[name] = run(task)["train_loss"]
        assert task.model.config._attn_implementation == name
    assert found["eager"] == pytest.approx(found["sdpa"], rel=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"attn_implementation": "flash_attention_2"}, "flash_attention_2: trains on a GPU alone; sdpa is the fastest"),
        ({"attn_implementation": "flex_attention"}, "flex_attention: trains on a GPU alone"),
        ({"attn_implementation": "sdpa", "coverage_weight": 1.0}, "sdpa: --coverage-weight reads the attention"),
        ({"attn_implementation": "spda"}, "'spda'.*sdpa"),
    ],
)
def test_what_is_excluded_is_refused(make_task: MakeTask, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_task(use_cpu=True, **values)


def test_what_a_model_lacks_is_refused(make_task: MakeTask, pairs: dict[str, str]) -> None:
    config = build(rnn.Config, pairs | {"attn_implementation": "sdpa", "hidden_size": 8, "tokenizer_type": "char"})
    with pytest.raises(InputError, match=r"--attn-implementation sdpa: a 'rnn-seq2seq' model .*; it has eager"):
        use_kernels(rnn.prepare(config).model, config)
    task = make_task(dropout=0.1)
    flexible = build(type(task.config), pairs | {"from_scratch": True, "attn_implementation": "flex_attention"})
    with pytest.raises(InputError, match=r"has no dropout, and a 't5' model drops 0\.1 of it"):
        use_kernels(task.model, flexible)
