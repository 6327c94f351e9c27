"""Alignment error rates of attention against gold alignments."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hf_seq2seq
from hf_seq2seq.analysis.sections.attention import attention
from hf_seq2seq.api.models import Model
from hf_seq2seq.decoding.alignment import align, pharaoh
from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.alignment import make_aer, read_links
from hf_seq2seq.reports.gold_alignments import counts_of

NOUNS, ADJECTIVES = "abcdef", "uvwxyz"


def language(rows: int, seed: int) -> tuple[list[dict[str, str]], list[str]]:
    """Sentences of a word-for-word language which puts an adjective after its noun, and their alignments."""
    generator, found, gold = np.random.default_rng(seed), [], []
    for _ in range(rows):
        words, order = list[str](), list[int]()
        for _ in range(generator.integers(1, 4)):
            place = len(words)
            words += [generator.choice(list(ADJECTIVES))] * (swapped := int(generator.integers(2)))
            words.append(generator.choice(list(NOUNS)))
            order += [place + 1, place] if swapped else [place]
        found.append({"source": " ".join(words), "target": " ".join(words[place].upper() for place in order)})
        gold.append(" ".join(f"{source}-{target}" for target, source in enumerate(order)))
    return found, gold


ROWS, GOLD = language(30, 1)


def trained(folder: Path, steps: int) -> Model:
    sizes: dict[str, Any] = {"hidden_size": 48, "embedding_size": 32, "max_steps": steps, "label_smoothing_factor": 0}
    sizes |= {"learning_rate": 1e-2, "eval_steps": steps}
    data: dict[str, Any] = {"train_file": language(600, 0)[0], "validation_file": ROWS, "tokenizer_type": "word"}
    return hf_seq2seq.train("rnn", **data, **sizes, output_dir=folder, use_cpu=True, max_target_length=12).model


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return trained(tmp_path_factory.mktemp("untrained") / "run", 1)


def analyzed(model: Model, folder: Path, gold: list[str]) -> Any:
    (folder / "gold.txt").write_text("".join(f"{line}\n" for line in gold))
    flags: dict[str, Any] = {"output_dir": folder / "report", "resamples": 100, "max_new_tokens": 12}
    return model.analyze(test_file=ROWS, gold_alignments=str(folder / "gold.txt"), **flags)


@pytest.mark.slow
def test_a_language_with_swaps(tmp_path: Path) -> None:
    model = trained(tmp_path / "run", 150)
    found = analyzed(model, tmp_path, GOLD).sections["attention"]
    errors = {(each["layer"], each["head"]): each["aer"] for each in found.numbers["alignment_errors"]}
    assert errors[1, "all"] < 15
    assert found.text[1].startswith(f"Layer 1 aligns best, with an error rate of {errors[1, 'all']:.1f}%")
    straight = [" ".join(f"{n}-{n}" for n in range(len(line.split()))) for line in GOLD]
    wrong = analyzed(model, tmp_path, straight).sections["attention"].numbers["alignment_errors"][0]["aer"]
    assert wrong > 30


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (GOLD[1:], "gold.txt: has 29 lines, and there are 30 test rows"),
        (["0:0", *GOLD[1:]], "gold.txt: line 1: '0:0' is not a link; write 3-4"),
        (["0-0 9-0", *GOLD[1:]], "gold.txt: line 1: a link has word 9 of the source, whose . words count from 0"),
        (["0-0 0-9", *GOLD[1:]], "gold.txt: line 1: a link has word 9 of the reference, whose . words count from 0"),
    ],
)
def test_gold_that_does_not_fit(untrained: Model, tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        analyzed(untrained, tmp_path, lines)
    assert not (tmp_path / "report").exists()


def test_counts_are_those_of_the_metric() -> None:
    weights = np.random.default_rng(0).random((2, 3, 4, 5))
    gold = "0-0 1p1 3-2 4p3 2-3"
    counts = counts_of(weights, read_links(gold))
    assert counts.shape == (2, 3, 4)
    said = pharaoh(align(weights[1, 2], range(5), range(4)))
    np.testing.assert_array_equal(counts[1, 2], make_aer("0-0").statistics([said], [[gold]])[0])


def test_the_best_layer_and_head_are_named(plant: Any) -> None:
    record = plant([{"source": "a", "outputs": ["b"], "references": ["b"]}])
    heads = np.array([[[4, 1, 1, 4], [4, 0, 0, 4]], [[4, 4, 4, 4], [4, 2, 2, 4]]], dtype=float)
    record.aligned.update(heads=heads, layers=heads.mean(1), all=heads.mean((0, 1)))
    found = attention(record)
    assert found is not None
    assert "Layer 2 aligns best, with an error rate of 25.0%" in found.text[1]
    assert "head 1 of layer 2 does, with 0.0%" in found.text[1]
