"""Word vectors: what the lectures say of them, exactly, and that they find what belongs together."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_seq2seq.baselines.vector_arithmetic import VectorSpace, score_analogies
from hf_seq2seq.baselines.vector_options import Options
from hf_seq2seq.baselines.word_vectors import PADDING, WordVectors, formula, huffman, train, windows
from hf_seq2seq.cli.root import app
from hf_seq2seq.data.word_vectors import read_vectors, write_vectors
from hf_seq2seq.errors import InputError

OUTPUTS = ("negative_sampling", "hierarchical_softmax")


def model(output: str = OUTPUTS[0], words: int = 9, **more: object) -> WordVectors:
    torch.manual_seed(1)
    made = WordVectors(np.arange(1, words + 1), Options(output=output, vector_size=6, **more))  # type: ignore[arg-type]
    torch.nn.init.normal_(made.outputs.weight)
    return made


def test_cbow_does_not_depend_on_the_order_within_the_window() -> None:
    made, window = model(), torch.tensor([[1, 5, 2, 7, PADDING]])
    for _ in range(5):
        shuffled = window[:, torch.cat([torch.randperm(4), torch.tensor([4])])]
        assert torch.allclose(made.hidden(window), made.hidden(shuffled))
    text = np.array([3, 1, 2, 0, 4])
    once = windows([text], 2, np.random.default_rng(0))[0]
    swapped = windows([text[[1, 0, 2, 4, 3]]], 2, np.random.default_rng(0))[0]
    assert (once[2] == swapped[2]).all()


def test_a_one_hot_vector_times_the_matrix_is_the_look_up() -> None:
    made = model()
    for word in range(9):
        one_hot = torch.nn.functional.one_hot(torch.tensor([word]), 9).float()
        assert torch.equal(one_hot @ made.vectors.weight, made.vectors(torch.tensor([word])))
        assert torch.equal(made.hidden(torch.tensor([[word, PADDING]])), made.vectors(torch.tensor([word])))


def test_hierarchical_softmax_is_a_distribution() -> None:
    made = model(OUTPUTS[1])
    inputs = torch.tensor([[2, 4]]).expand(9, -1)
    losses = [made(inputs[:1], torch.tensor([word]), torch.Generator())[0].item() for word in range(9)]
    assert np.exp(-np.array(losses)).sum() == pytest.approx(1, abs=1e-5)


def test_negative_sampling_is_the_papers_loss() -> None:
    made = model(negatives=1)
    made.noise = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1], dtype=torch.float64)  # word 3 alone is drawn
    loss, _ = made(torch.tensor([[2, 4]]), torch.tensor([5]), torch.Generator())
    hidden = made.vectors.weight[[2, 4]].mean(dim=0)
    true, drawn = made.outputs.weight[5] @ hidden, made.outputs.weight[3] @ hidden
    assert torch.allclose(loss, -torch.log(torch.sigmoid(true)) - torch.log(torch.sigmoid(-drawn)))
    alone, _ = made(torch.tensor([[2, 4]]), torch.tensor([3]), torch.Generator())  # the true word is no negative
    assert torch.allclose(alone, -torch.log(torch.sigmoid(made.outputs.weight[3] @ hidden)))


def test_huffman_s_ways_are_the_shortest() -> None:
    nodes, turns = huffman(np.array([8, 4, 2, 1, 1]))
    assert sorted((turns != 0).sum(axis=1).tolist()) == [1, 2, 3, 4, 4]
    assert (turns != 0).sum(axis=1)[0] == 1
    assert len({tuple(row) for row in np.stack([nodes, turns], axis=-1).reshape(5, -1).tolist()}) == 5


@pytest.mark.parametrize("architecture", ["cbow", "skip_gram"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_multiply_adds_are_those_of_the_formulas(architecture: str, output: str) -> None:
    """64 equally frequent words: every way in the tree has log2 64 = 6 nodes."""
    draw = np.random.default_rng(2)
    sentences = [[f"w{word}" for word in draw.permutation(64)] for _ in range(150)]
    options = Options(
        architecture=architecture, output=output, vector_size=4, window=3, subsample=0, num_train_epochs=1, negatives=2
    )
    _, _, operations = train(sentences, options)
    assert operations.words == 64 * 150
    expected = formula(options, 64)
    scored = 4 * (6 if output == OUTPUTS[1] else 3)
    per_word = 4 * 4 + scored if architecture == "cbow" else 4 * (4 + scored)
    assert expected == per_word
    assert operations.counted / operations.words == pytest.approx(expected, rel=0.06)  # windows are cut at the ends


@pytest.mark.parametrize("architecture", ["cbow", "skip_gram"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_words_that_are_used_alike_are_near(architecture: str, output: str) -> None:
    draw = random.Random(3)
    groups = [("red", "green", "blue"), ("dog", "cat", "cow"), ("one", "two", "six")]
    context = [("paint", "colour", "light"), ("bark", "tail", "feed"), ("count", "add", "sum")]
    sentences = []
    for _ in range(600):
        kind = draw.randrange(3)
        sentences.append([draw.choice(context[kind]), draw.choice(groups[kind]), draw.choice(context[kind])])
    settings = {"architecture": architecture, "output": output, "vector_size": 12, "window": 2, "subsample": 0}
    options = Options(**settings, num_train_epochs=40, learning_rate=0.02, negatives=3)  # type: ignore[arg-type]
    words, vectors, _ = train(sentences, options)
    space = VectorSpace(words, vectors)
    for group in groups:
        assert {other for other, _ in space.neighbours(group[0], 2)} == {*group[1:]}


def test_files_are_read_back_and_those_without_a_header_too(tmp_path: Path) -> None:
    vectors = np.array([[1.5, -2, 3], [0.25, 0, 1e-6]], dtype=np.float32)
    write_vectors(tmp_path / "v.txt", ["a", "the dog"], vectors)
    words, found = read_vectors(str(tmp_path / "v.txt"))
    assert words == ["a", "the dog"]
    assert found == pytest.approx(vectors)
    text = (tmp_path / "v.txt").read_text().split("\n", 1)[1].replace("the dog", "dog")
    (tmp_path / "glove.txt").write_text(text)
    assert read_vectors(str(tmp_path / "glove.txt"), {"dog"})[0] == ["dog"]
    (tmp_path / "phrases.txt").write_text("2 1\nwindows 1\nwindows 10 3\n\n \n")
    assert read_vectors(str(tmp_path / "phrases.txt"))[0] == ["windows", "windows 10"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no vectors"),
        ("2 3\na 1 2 3\nb 1 2\n", r"v\.txt:3: 2 numbers, divided by spaces, after 'b', not 3"),
        ("a 1 2\nb 1 x\n", r"v\.txt:2: '1 x' is no vector of numbers"),
        ("a 1 nan\n", r"v\.txt:1: '1 nan' is no vector"),
        ("3 2\na 1 2\nb 1 2\n", r"v\.txt: has 2 vectors, and its first line says 3"),
        ("2 1\na 1 2\nb 1 2\n", r"v\.txt:2: 2 numbers, divided by spaces, after 'a', not 1"),
        ("a 1 2\nb 1 2 3\n", r"v\.txt:2: 3 numbers, divided by spaces, after 'b', not 2"),
        ("a 1 2\n\nb 1 2\n", r"v\.txt:2: 0 numbers"),
        ("a\t1\t2\n", r"v\.txt:1: 0 numbers, divided by spaces"),
        ("9" * 5000 + " 10\na 1 2\n", r"v\.txt:2: 2 numbers, divided by spaces, after 'a', not 1"),
        ("a 1e39\n", r"v\.txt:1: '1e39' is no vector of numbers"),
        ("² ³\na 1\n", r"v\.txt:1: '³' is no vector"),
    ],
)
def test_refuses_other_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_vectors(str(tmp_path / "v.txt"))


def test_analogies(tmp_path: Path) -> None:
    vectors = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [5, 5, -5]], dtype=np.float32)
    space = VectorSpace(["king", "queen", "man", "woman", "odd"], vectors)
    (tmp_path / "q.txt").write_text(": family\nking queen man woman\nking queen man odd\n: other\na b c d\n")
    found = score_analogies(space, str(tmp_path / "q.txt"))
    assert found == [
        ("family", 1, 2, 0),
        ("other", 0, 0, 1),
        ("all", 1, 2, 1),
    ]
    with pytest.raises(InputError, match="'quen' has no vector; did you mean 'queen'"):
        space.neighbours("quen", 1)


def test_a_word_without_a_vector_is_looked_up_in_lower_case(tmp_path: Path) -> None:
    space = VectorSpace(["a", "b", "c", "A"], np.array([[1, 0], [0, 1], [1, 1], [-1, 0]], dtype=np.float32))
    assert space.neighbours("B", 3)[0][0] == "c"
    assert space.neighbours("A", 3)[-1][0] == "a"
    (tmp_path / "q.txt").write_text("a B c A\n")
    assert score_analogies(space, str(tmp_path / "q.txt"))[-1] == ("all", 1, 1, 0)


def test_without_a_fourth_word_no_answer_is_right(tmp_path: Path) -> None:
    space = VectorSpace(["a", "b", "c"], np.eye(3, dtype=np.float32))
    (tmp_path / "q.txt").write_text("a b c a\n")
    assert score_analogies(space, str(tmp_path / "q.txt"))[-1] == ("all", 0, 1, 0)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("the dog barks\nthe cat sleeps\n" * 10)
    app(
        ["vectors", "train", "--train-file", "text.txt", "--output-file", "v.txt", "--vector-size", "8"],
        prog_name="hf-seq2seq",
        standalone_mode=False,
    )
    told = capsys.readouterr().out
    assert "multiply-adds per training word: " in told
    assert "word: 0 counted" not in told
    app(["vectors", "nearest", "v.txt", "dog", "--count", "2"], prog_name="hf-seq2seq", standalone_mode=False)
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("king\nqueen\n" * 8, ["--subsample", "0"], "no text has two words beside each other"),
        ("the cat sat\nthe dog sat\n", ["--subsample", "1e-9"], "--subsample 1e-09 leaves no two words beside each"),
        ("the cat sat\n", ["--output-file", "text.txt"], "--output-file text.txt: is read by --train-file"),
    ],
)
def test_refuses_what_would_teach_nothing_or_lose_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, flags: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(text)
    command = ["vectors", "train", "--train-file", "text.txt", "--min-count", "1", *flags]
    with pytest.raises(InputError, match=message):
        app(command, prog_name="hf-seq2seq", standalone_mode=False)
    assert Path("text.txt").read_text() == text
    assert not Path("vectors.txt").exists()
