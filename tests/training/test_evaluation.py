"""What an evaluation measures, set by set, in one process and in two, held against computations of the test's own."""

import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.nn import functional as F

from hf_seq2seq.recipes import bert_classifier, gpt
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.evaluation import evaluate_and_predict, predict, with_eval_beams

pytestmark = pytest.mark.usefixtures("forked")

MakeTask = Callable[..., Task]
SMALL = {"config_overrides": "num_layers=1,num_decoder_layers=1,d_model=32,d_ff=32,num_heads=2,d_kv=16"}


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, str]:
    """Validation sets of 5, 12 and 1 rows by the names de, de_at and en; rows are words and their reversals."""
    draw = random.Random(3)
    files = []
    for name, rows in (("de", 5), ("de_at", 12), ("en", 1)):
        words = ["".join(draw.choices("abcdefghij", k=draw.randint(1, 9))) for _ in range(rows)]
        path = tmp_path / f"{name}.tsv"
        path.write_text("source\ttarget\n" + "".join(f"{word}\t{word[::-1]}\n" for word in words))
        files.append(f"{name}={path}")
    return {"validation_file": ",".join(files)}


def own_loss(task: Task, split: str) -> tuple[float, int]:
    total, count = 0.0, 0
    task.model.eval()
    for row in range(len(task.splits[split])):
        batch = task.collate(task.splits[split], np.array([row]))
        with torch.no_grad():
            logits = task.model(**batch).logits[0].double()
        total += float(F.cross_entropy(logits, batch["labels"][0], reduction="sum"))
        count += batch["labels"].numel()
    return total, count


def test_named_sets_weigh_the_same_and_their_times_add_up(make_task: MakeTask, sets: dict[str, str]) -> None:
    task = make_task(**sets, **SMALL, per_device_eval_batch_size=4, metrics="exact_match,chrf")
    started = time.perf_counter()
    results, predictions = evaluate_and_predict(task, "validation", Accelerator(cpu=True), "eval")
    wall = time.perf_counter() - started
    losses = []
    for name, rows in (("de", 5), ("de_at", 12), ("en", 1)):
        total, count = own_loss(task, f"validation_{name}")
        assert results[f"eval_{name}_loss"] == pytest.approx(total / count, rel=1e-5)
        assert results[f"eval_{name}_samples"] == rows
        assert len(predictions[f"validation_{name}"]) == rows
        losses.append(total / count)
    assert results["eval_loss"] == pytest.approx(sum(losses) / 3, rel=1e-5)
    assert results["eval_samples"] == 18
    runtimes = [results[f"eval_{name}_runtime"] for name in ("de", "de_at", "en")]
    assert results["eval_runtime"] == pytest.approx(sum(runtimes))
    assert 0 < results["eval_runtime"] < wall
    assert results["eval_chrf"] == pytest.approx(sum(results[f"eval_{n}_chrf"] for n in ("de", "de_at", "en")) / 3)
    assert not any(name.startswith("predict") for name in results)


def test_the_mode_of_the_model_is_put_back(make_task: MakeTask) -> None:
    task = make_task(**SMALL, dropout=0.5)
    accelerator = Accelerator(cpu=True)
    for training in (True, False):
        task.objective.train(training)
        results = [evaluate_and_predict(task, "validation", accelerator, "eval")[0]["eval_loss"] for _ in range(2)]
        assert results[0] == results[1]  # without dropout
        assert task.model.training is task.objective.training is training
        assert {module.training for module in task.model.modules()} == {training}


def test_predictions_are_in_the_order_of_the_rows(make_task: MakeTask) -> None:
    """The model writes the source's own first letters: ids are copied from it."""
    task = make_task(**SMALL, per_device_eval_batch_size=3)
    found = predict(task, task.splits["validation"], Accelerator(cpu=True))
    lengths = task.splits["validation"].source.lengths
    assert len(set(lengths.tolist())) > 3  # else sorted by length they are in order anyway
    for row in range(len(lengths)):
        one = task.splits["validation"].source.select(np.array([row]))
        from hf_seq2seq.decoding.generation import generate_texts

        assert found[row] == generate_texts(task.model, task.tokenizers, one, task.config.decoding, 12)[0]


def classifier_values(folder: Path, rows: int) -> dict[str, Any]:
    """A small new classifier of 40 training and so many validation rows."""
    draw = random.Random(5)
    for name, count in (("train", 40), ("dev", rows)):
        lines = [
            {"text": " ".join(draw.choices(["good", "bad", "film"], k=1 + n % 7)), "label": "np"[n % 2]}
            for n in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    files = {"train_file": str(folder / "train.jsonl"), "validation_file": str(folder / "dev.jsonl")}
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    options = {"from_scratch": True, "tokenizer_type": "char", "metrics": "accuracy", "output_dir": str(folder / "run")}
    overrides = {"config_overrides": ",".join(f"{name}={value}" for name, value in sizes.items())}
    return files | options | overrides


def test_logits_are_in_the_order_of_the_rows(tmp_path: Path) -> None:
    values = classifier_values(tmp_path, 11) | {"per_device_eval_batch_size": 3}
    task = bert_classifier.prepare(build(bert_classifier.Config, values))
    results, predictions = evaluate_and_predict(task, "validation", Accelerator(cpu=True), "eval")
    examples = task.splits["validation"]
    task.model.eval()
    right, loss = 0, 0.0
    for row in range(11):
        batch = task.collate(examples, np.array([row]))
        label = batch.pop("labels")
        with torch.no_grad():
            logits = task.model(**batch).logits
        np.testing.assert_allclose(predictions["validation"][row], logits[0].numpy(), rtol=1e-4, atol=1e-5)
        right += int(logits.argmax()) == int(label)
        loss += float(F.cross_entropy(logits, label))
    assert results["eval_accuracy"] == pytest.approx(100 * right / 11)
    assert results["eval_loss"] == pytest.approx(loss / 11, rel=1e-5)


def test_text_is_measured_by_token_and_by_byte(tmp_path: Path) -> None:
    documents = ["ab ba é", "bab", "a" * 20]
    (tmp_path / "text.txt").write_text("\n".join(documents * 4) + "\n")
    (tmp_path / "dev.txt").write_text("\n".join(documents) + "\n")
    values = {"train_file": str(tmp_path / "text.txt"), "validation_file": str(tmp_path / "dev.txt")}
    values |= {"num_hidden_layers": "1", "num_attention_heads": "2", "hidden_size": "32"}
    values |= {"objective": "causal", "from_scratch": "true", "tokenizer_type": "char", "block_size": "16"}
    task = gpt.prepare(build(gpt.Config, values | {"output_dir": str(tmp_path / "run")}))
    results, _ = evaluate_and_predict(with_eval_beams(task), "validation", Accelerator(cpu=True), "eval")
    tokens = sum(len(document) + 1 for document in documents)  # each ends by a token of its own
    assert results["eval_perplexity"] == pytest.approx(math.exp(results["eval_loss"]))
    size = sum(len(document.encode()) for document in documents)
    assert results["eval_bits_per_byte"] == pytest.approx(results["eval_loss"] * tokens / math.log(2) / size)


JOB = '''"""Evaluates sets of fewer rows than processes, and of more."""

import json
import os
import sys
from importlib import import_module

from accelerate import Accelerator
from accelerate.utils import set_seed

from hf_seq2seq.sections import build
from hf_seq2seq.training.evaluation import evaluate_and_predict

accelerator = Accelerator(cpu=True)
for name, values in json.loads(sys.argv[1]):
    set_seed(1)
    module = import_module(f"hf_seq2seq.recipes.{name}")
    task = module.prepare(build(module.Config, values))
    results, predictions = evaluate_and_predict(task, "validation", accelerator, "eval")
    found = {split: [str(item) if isinstance(item, str) else item.tolist() for item in items]
             for split, items in predictions.items()}
    line = {"recipe": name, "rank": accelerator.process_index, "results": results, "predictions": found}
    os.write(1, f"{json.dumps(line)}{os.linesep}".encode())  # in one piece, for another process writes there, too
accelerator.wait_for_everyone()
os._exit(0)
'''


def test_a_set_may_have_fewer_rows_than_there_are_processes(
    pairs: dict[str, str], sets: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "job.py").write_text(JOB)
    t5 = pairs | sets | SMALL | {"from_scratch": "true", "tokenizer_type": "char", "metrics": "exact_match,chrf"}
    t5 |= {"max_target_length": "12", "per_device_eval_batch_size": "2", "output_dir": str(tmp_path / "t5")}
    cases = [("t5", t5), ("bert_classifier", classifier_values(tmp_path, 1))]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(tmp_path / "job.py"), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=os.environ)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for name, values in cases:
        set_seed(1)
        module = import_module(f"hf_seq2seq.recipes.{name}")
        task = module.prepare(build(module.Config, values))
        results, predictions = evaluate_and_predict(task, "validation", Accelerator(cpu=True), "eval")
        shared = [line for line in lines if line["recipe"] == name]
        assert sorted(line["rank"] for line in shared) == [0, 1]
        for line in shared:
            assert line["results"].keys() == results.keys()
            for key, value in results.items():
                assert key.endswith("_runtime") or line["results"][key] == pytest.approx(value, rel=1e-4), key
            assert line["predictions"].keys() == predictions.keys()
            for split, expected in predictions.items():
                if name == "t5":
                    assert line["predictions"][split] == expected
                else:
                    np.testing.assert_allclose(line["predictions"][split], expected, rtol=1e-4, atol=1e-5)
