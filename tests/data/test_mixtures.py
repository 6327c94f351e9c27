"""The file of a mixture: what is read from it, and what is refused with its line."""

from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from hf_seq2seq.configs import Evaluation, Mixing, PairData
from hf_seq2seq.data.mixtures import Member, all_metrics, mix, read_member_pairs, read_members
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.errors import InputError

GOOD = """
copy:
  train_file: pairs.tsv
  test_file: pairs.tsv
  source_prefix: "copy: "
  metrics: [exact_match]
swap:
  train_file: pairs.tsv
  max_train_samples: 2
  validation_file: {a: pairs.tsv, b_c: pairs.tsv}
  text_column: target
  summary_column: source
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.tsv").write_text("source\ttarget\nab\tba\ncd\tdc\nef\tfe\n")
    (tmp_path / "empty.tsv").write_text("source\ttarget\n")
    return tmp_path / "tasks.yaml"


def test_each_task_has_its_own_data_prefix_and_metrics(file: Path) -> None:
    file.write_text(GOOD)
    options = Mixing(mixture="tasks.yaml")
    members = read_members(options, PairData(), Evaluation(metrics=("bleu", "chrf")))
    assert [member.name for member in members] == ["copy", "swap"]
    assert [member.metrics for member in members] == [("exact_match",), ("bleu", "chrf")]
    assert all_metrics(members) == ("exact_match", "bleu", "chrf")
    assert members[1].validation_sets == ["swap_a", "swap_b_c"]
    splits, mixture = mix(members, [read_member_pairs(m, "tasks.yaml") for m in members], options, seed=0)
    assert {split: len(rows) for split, rows in splits.items()} == {
        "train": 5, "validation_swap_a": 3, "validation_swap_b_c": 3, "test_copy": 3
    }  # fmt: skip
    assert splits["train"].sources == ["copy: ab", "copy: cd", "copy: ef", "ba", "dc"]
    assert splits["train"].targets == ["ba", "dc", "fe", "ab", "cd"]
    assert mixture.member_of("validation_swap_b_c") == (members[1], "validation_b_c")
    assert mixture.member_of("test_copy") == (members[0], "test")
    assert (mixture.epochs.sizes, mixture.epochs.draws) == ((3, 2), (3, 2))


def test_data_sets_with_weights(file: Path) -> None:
    rows = {"source": [f"s{n}" for n in range(60)], "target": [f"t{n}" for n in range(60)]}
    Dataset.from_dict(rows).save_to_disk("one")
    DatasetDict({"train": Dataset.from_dict(rows)}).save_to_disk("two")
    file.write_text(
        "a:\n  dataset_name: one\n  mixing_weight: 3\nb:\n  dataset_name: two\nc:\n  train_file: pairs.tsv\n"
    )
    options = Mixing(mixture="tasks.yaml", mixing="equal")
    members = read_members(options, PairData(), Evaluation())
    _, mixture = mix(members, [read_member_pairs(m, "tasks.yaml") for m in members], options, seed=0)
    assert (mixture.epochs.sizes, mixture.epochs.draws) == ((60, 60, 3), (74, 25, 24))


BAD = {
    "": r"tasks.yaml: contains no task",
    "copy:\n": r"tasks.yaml:1: 'copy' needs lines below it",
    "copy: {}\n": r"task 'copy': no data: give --train-file",
    "copy:\n  train_file: pairs.tsv\n  sorce_prefix: x\n": r"tasks.yaml:3: unknown option 'sorce_pre.*source_prefix",
    "copy:\n  train_file: pairs.tsv\n  max_train_samples: -1\n": r"tasks.yaml:3: --max-train-samples: -1 is too small",
    "copy:\n  train_file: pairs.tsv\n  mixing_weight: 0\n": r"tasks.yaml:3: --mixing-weight: 0.* must be",
    "copy:\n  learning_rate: 1\n": r"tasks.yaml:2: unknown option 'learning_rate'",
    "copy:\n  train_file: pears.tsv\n": r"task 'copy': pears.tsv: no such file; did you mean 'pairs.tsv'",
    "copy:\n  train_file: empty.tsv\n": r"task 'copy': empty.tsv: has no rows",
    "copy:\n  validation_file: pairs.tsv\n": r"task 'copy': no training rows",
    "copy:\n  train_file: pairs.tsv\n  source_column: x\n": r"task 'copy': pairs.tsv: no column 'x'",
    "a b:\n  train_file: pairs.tsv\n": r"'a b' is not a valid task name",
    "copy:\n  train_file: pairs.tsv\ncopy:\n  train_file: pairs.tsv\n": r"tasks.yaml:3: 'copy' occurs twice",
    "- copy\n": r"tasks.yaml:1: needs lines such as",
    "copy: [\n": r"tasks.yaml:2: not YAML",
}


def read_all(options: Mixing) -> list[dict[str, Pairs]]:
    members = read_members(options, PairData(), Evaluation())
    return [read_member_pairs(member, str(options.mixture)) for member in members]


def test_a_file_that_refers_to_itself(file: Path) -> None:
    file.write_text("a: &x\n  train_file: *x\n")
    with pytest.raises(InputError, match=r"tasks\.yaml:2: 'train_file' contains a section"):
        read_all(Mixing(mixture="tasks.yaml"))


@pytest.mark.parametrize("text", BAD)
def test_bad_files_are_refused_with_the_place(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(InputError, match=BAD[text]):
        read_all(Mixing(mixture="tasks.yaml"))


def test_two_sets_of_one_name_are_refused(file: Path) -> None:
    data = "  train_file: pairs.tsv\n  test_file:"
    file.write_text(f"a:\n{data} {{b_c: pairs.tsv}}\na_b:\n{data} {{c: pairs.tsv}}\n")
    options = Mixing(mixture="tasks.yaml")
    members = read_members(options, PairData(), Evaluation())
    with pytest.raises(InputError, match="two sets have the name 'a_b_c'"):
        mix(members, [read_member_pairs(member, "tasks.yaml") for member in members], options, 0)


def test_flags_that_do_not_go_with_a_mixture(file: Path) -> None:
    file.write_text(GOOD)
    with pytest.raises(InputError, match=r"--train-file and --mixture: write it below a task's name in tasks.yaml"):
        read_members(Mixing(mixture="tasks.yaml"), PairData(train_file="pairs.tsv"), Evaluation())
    with pytest.raises(InputError, match="--mixing-temperature needs --mixing temperature"):
        Mixing(mixing_temperature=4)
    with pytest.raises(InputError, match=r"missing.yaml: No such file"):
        read_members(Mixing(mixture="missing.yaml"), PairData(), Evaluation())


def test_it_says_whose_preferences_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.jsonl").write_text('{"source": "x", "target": "y", "chosen": "y", "rejected": "z"}\n')
    (tmp_path / "b.jsonl").write_text('{"source": "x", "target": "y"}\n')
    members = tuple(Member(name, PairData(train_file=str(tmp_path / f"{name}.jsonl")), ()) for name in ("a", "b"))
    pairs = [read_member_pairs(member, "tasks.yaml") for member in members]
    mix(members, pairs, Mixing(mixture="tasks.yaml"), 0)
    assert "tasks.yaml: chosen and rejected outputs of a are not used: b has none" in caplog.text
    caplog.clear()
    mix(members[:1], pairs[:1], Mixing(mixture="tasks.yaml"), 0)
    assert not caplog.text
