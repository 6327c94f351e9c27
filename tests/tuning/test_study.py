import json

import pytest

from hf_seq2seq.errors import InputError
from hf_seq2seq.tuning.budget import needed_seconds
from hf_seq2seq.tuning.domains import Choices, Range
from hf_seq2seq.tuning.spaces import Family
from hf_seq2seq.tuning.study import COMPLETE, FAILED, JOURNAL, STARTS, STOPPED, Study

pytest.importorskip("optuna")

RNN = Family("rnn", {}, {"dropout": 0.2}, {"dropout": Range("dropout", 0.0, 0.5)})
TRANSFORMER = Family("transformer", {}, {"dropout": 0.1}, {"dropout": Range("dropout", 0.0, 0.5)})
GRID = Family("rnn", {}, {"cell": "gru"}, {"cell": Choices.of("cell", ["lstm", "gru", "rnn"])})


def finish(study, trial, value):
    study.report(trial, 1.0, value)
    study.tell(trial, COMPLETE, value=value, share=1.0)


def test_the_defaults_of_every_family_come_first(tmp_path):
    study = Study(tmp_path, [RNN, TRANSFORMER], greater=True, seed=1, most=4)
    for _ in range(4):
        finish(study, study.next_trial(), 1.0)
    records = study.records()
    assert [(record.recipe, record.settings) for record in records[:2]] == [("rnn", {}), ("transformer", {})]
    assert all(record.settings for record in records[2:])
    assert study.next_trial() is None


def test_a_small_space_of_choices_is_tried_whole_and_once(tmp_path):
    study = Study(tmp_path, [GRID], greater=True, seed=1, most=30)
    tried = []
    while trial := study.next_trial():
        tried.append(study.record(trial).settings)
        finish(study, trial, 1.0)
    assert tried == [{}, {"cell": "lstm"}, {"cell": "rnn"}]


def test_trials_stop_at_a_rung_unless_they_are_among_the_best_third_there(tmp_path):
    study = Study(tmp_path, [RNN], greater=False, seed=1, most=30)
    first = study.next_trial()
    assert not study.report(first, 1 / 9, 5.0)
    finish(study, first, 3.0)
    worse = study.next_trial()
    assert not study.report(worse, 0.05, 9.0)
    assert study.report(worse, 1 / 9, 6.0)
    study.tell(worse, STOPPED, value=6.0)
    better = study.next_trial()
    assert not study.report(better, 1 / 9, 4.0)
    assert not study.report(better, 2 / 9, 4.0)
    assert study.report(better, 1 / 3, 3.5)
    study.tell(better, STOPPED, value=3.5)
    assert [record.folder for record in study.ranked()] == ["000-rnn", "002-rnn", "001-rnn"]


@pytest.mark.parametrize(("value", "further"), [(50.0, {"rnn", "transformer"}), (90.0, {"rnn"})])
def test_a_family_far_behind_is_not_tried_further(value, further, tmp_path):
    study = Study(tmp_path, [RNN, TRANSFORMER], greater=False, seed=1, most=14)
    first = study.next_trial()
    for part, score in ((1, 60.0), (3, 40.0)):
        study.report(first, part / 9, score)
    finish(study, first, 30.0)
    second = study.next_trial()
    assert not study.report(second, 1 / 9, 99.0)  # defaults are given time
    assert study.report(second, 3 / 9, value)
    study.tell(second, STOPPED, value=value)
    while trial := study.next_trial():
        finish(study, trial, 30.0)
    assert {record.recipe for record in study.records()[2:]} == further


def test_a_killed_search_goes_on_with_the_trial_that_it_left(tmp_path):
    study = Study(tmp_path, [RNN], greater=True, seed=1, most=3)
    finish(study, study.next_trial(), 1.0)
    left = study.record(study.next_trial())
    with (tmp_path / JOURNAL).open("a") as journal:
        journal.write('{"op_code": 4, "work')
    (tmp_path / f"{JOURNAL}.lock").symlink_to("nothing")
    again = Study(tmp_path, [RNN], greater=True, seed=1, most=3)
    trial = again.next_trial()
    assert again.record(trial) == left
    finish(again, trial, 2.0)
    assert [record.value for record in again.records()] == [1.0, 2.0]
    drawn = again.record(again.next_trial()).settings
    assert drawn not in ({}, left.settings)


def test_a_trial_that_kills_the_search_is_given_up(tmp_path):
    for _ in range(STARTS):
        study = Study(tmp_path, [RNN], greater=True, seed=1, most=2)
        assert study.record(study.next_trial()).folder == "000-rnn"
    study = Study(tmp_path, [RNN], greater=True, seed=1, most=2)
    assert study.record(study.next_trial()).folder == "001-rnn"
    assert study.records()[0].state == FAILED
    assert "killed" in study.records()[0].reason


def test_another_search_is_refused_in_the_same_folder(tmp_path):
    Study(tmp_path, [RNN], greater=True, seed=1, most=2).check_same({"train_file": "a.tsv"})
    again = Study(tmp_path, [RNN], greater=True, seed=1, most=2)
    again.check_same({"train_file": "a.tsv"})
    with pytest.raises(InputError, match=r"another --train-file: a.tsv \(now b.tsv\)"):
        again.check_same({"train_file": "b.tsv"})


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / JOURNAL).write_text("my diary\n")
    with pytest.raises(InputError, match="is not a search's journal"):
        Study(tmp_path, [RNN], greater=True, seed=1, most=2)


def test_every_line_of_the_journal_is_json(tmp_path):
    study = Study(tmp_path, [RNN], greater=True, seed=1, most=2)
    finish(study, study.next_trial(), 1.0)
    assert all(isinstance(json.loads(line), dict) for line in (tmp_path / JOURNAL).read_text().splitlines())


def test_a_size_for_which_there_was_too_little_time_is_not_tried_again(tmp_path):
    sizes = Choices.of("model_size", ["tiny", "small"])
    space = {"model_size": sizes, "dropout": Range("dropout", 0.0, 0.5)}
    study = Study(
        tmp_path, [Family("t5", {}, {"model_size": "tiny", "dropout": 0.1}, space)], greater=True, seed=1, most=12
    )
    refusal = "--max-time: 9s is too little: the start took 1s, and the end about 9s; give at least 30 s, or fewer rows"
    assert needed_seconds(refusal) == 30
    sizes_tried = []
    while trial := study.next_trial():
        settings = study.record(trial).settings
        sizes_tried.append(settings.get("model_size", "tiny"))
        if sizes_tried[-1] == "small":
            study.tell(trial, FAILED, "too little time was left", needed=needed_seconds(refusal))
        else:
            finish(study, trial, 1.0)
    assert len(sizes_tried) == 12
    assert sizes_tried.count("small") == 1
