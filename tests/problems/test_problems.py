"""What every kind of task says of itself, and that nothing else asks which kind it is."""

import re
from pathlib import Path

import numpy as np
import pytest

from hf_seq2seq import run_configs
from hf_seq2seq.configs import Decoding
from hf_seq2seq.decoding.label_kinds import LABEL_KINDS, verdict
from hf_seq2seq.problems import LABEL_PROBLEMS
from hf_seq2seq.problems.causal_lm import CausalLMProblem
from hf_seq2seq.problems.denoising import DenoisingProblem
from hf_seq2seq.problems.masked_lm import MaskedLMProblem
from hf_seq2seq.problems.seq2seq import Seq2SeqProblem
from hf_seq2seq.task import Problem

KINDS: list[Problem] = [
    Seq2SeqProblem(Decoding(), 7),
    DenoisingProblem(7),
    CausalLMProblem(7),
    MaskedLMProblem(),
    *LABEL_PROBLEMS.values(),
]
SAID = ("purpose", "pipeline_tag", "program", "next_command")
PREDICTED = ("predict", "write_predictions", "judged")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_every_kind_describes_itself(kind: Problem) -> None:
    own = {name for name in SAID + PREDICTED if getattr(type(kind), name) is not getattr(Problem, name)}
    assert own == {*SAID, *(PREDICTED if kind.measure else ())}
    assert kind.units.endswith(".")
    assert (kind.longest_output is not None) == (not kind.is_classifier and not kind.predicts_in_place)


def test_the_option_names_every_kind_of_label() -> None:
    assert tuple(LABEL_PROBLEMS) == tuple(LABEL_KINDS) == run_configs.PROBLEMS


def test_nothing_asks_which_kind_a_task_is_of(repository: Path) -> None:
    asked = re.compile(r"task\.problem (==|!=|in|not in) |isinstance\(task\.problem")
    files = [path for path in (repository / "hf_seq2seq").rglob("*.py") if "recipes" not in path.parts]
    assert [path.name for path in files if asked.search(path.read_text(encoding="utf-8"))] == []


def test_a_label_is_chosen_before_scores_are_rounded() -> None:
    scores = np.array([0.33333331, 0.33333338, 0.33333331])
    found = verdict(LABEL_KINDS["single_label"], ("a", "b", "c"), scores)
    assert found == {"label": "b", "score": 0.333333, "scores": {"a": 0.333333, "b": 0.333333, "c": 0.333333}}
    several = verdict(LABEL_KINDS["multi_label"], ("a", "b", "c"), np.array([0.9, 0.5, 0.6]))
    assert (several["label"], several["score"]) == (["a", "c"], [0.9, 0.6])
    assert verdict(LABEL_KINDS["regression"], ("n",), np.array([2.5]))["score"] == 2.5
