import pytest
import torch
from safetensors.torch import load_file, save_file

from hf_seq2seq.training.damage import damage
from hf_seq2seq.training.state import State
from hf_seq2seq.tuning import averaged as averaging
from hf_seq2seq.tuning.chosen import Chosen, best_checkpoint
from hf_seq2seq.tuning.decoding_settings import Validation
from hf_seq2seq.tuning.following import Goal
from hf_seq2seq.tuning.request import SearchRequest


@pytest.fixture
def run(tmp_path):
    """A run of three checkpoints, of which the second is the best; their one weight is 1, 2 and 6."""
    for step, weight in ((1, 1.0), (2, 2.0), (3, 6.0)):
        folder = tmp_path / f"run/checkpoint-{step}"
        folder.mkdir(parents=True)
        save_file({"weight": torch.tensor([weight])}, folder / "model.safetensors")
        save_file({"moment": torch.tensor([float(step)])}, folder / "optimizer.safetensors")
        State(step, 3, best_model_checkpoint="checkpoint-2").save(folder)
    return tmp_path / "run"


def average(run, monkeypatch, right):
    """Averages, where a model's score is its weight's distance to what is right."""
    score = lambda model, _: -abs(float(load_file(model / "model.safetensors")["weight"]) - right)  # noqa: E731
    monkeypatch.setattr(averaging, "score_of", score)
    request = SearchRequest((), {}, run.parent, Goal("chrf", True), Validation(()))
    return averaging.averaged(Chosen("rnn", run, {}, {}, 0.0), request)


def test_a_mean_that_is_better_becomes_the_best_checkpoint(run, monkeypatch):
    found = average(run, monkeypatch, right=3.0)
    checkpoint = best_checkpoint(found.folder)
    assert checkpoint.name == "checkpoint-3"
    assert load_file(checkpoint / "model.safetensors")["weight"].tolist() == [3.0]
    assert load_file(checkpoint / "optimizer.safetensors")["moment"].tolist() == [3.0]
    assert not damage(checkpoint)
    assert State.load(run / "checkpoint-3").best_model_checkpoint == "checkpoint-2"
    assert load_file(run / "checkpoint-3/model.safetensors")["weight"].tolist() == [6.0]


def test_a_mean_that_is_worse_is_left(run, monkeypatch):
    assert average(run, monkeypatch, right=2.0).folder == run
