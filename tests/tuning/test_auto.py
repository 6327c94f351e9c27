"""Searches with real runs."""

from threading import Thread

import pytest

import hf_seq2seq
from hf_seq2seq.clocks import clocks
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import locked_folder
from hf_seq2seq.tuning.auto import auto, search_recipe

pytestmark = pytest.mark.usefixtures("forked")

WORDS = [("ab", "A B"), ("ba", "B A"), ("aab", "A A B"), ("bb", "B B"), ("abab", "A B A B"), ("baa", "B A A")]
TINY = {"hidden_size": 8, "embedding_size": 8, "max_steps": 2, "eval_steps": 1, "tokenizer_type": "char"}
TINY |= {"max_target_length": 8, "attention": "multi_head", "metrics": "chrf"}


@pytest.fixture
def files(tmp_path):
    text = "".join(f"{word}\t{sounds}\n" for word, sounds in WORDS)
    found = {f"{split}_file": tmp_path / f"{split}.tsv" for split in ("train", "validation", "test")}
    for path in found.values():
        path.write_text("word\tphonemes\n" + text)
    return {name: str(path) for name, path in found.items()}


def test_settings_are_tried_and_the_best_is_a_model_with_scores(files, tmp_path):
    pytest.importorskip("optuna")
    out = tmp_path / "out"
    space = "num_attention_heads=1,3,2,num_beams=1,2,length_penalty=1,2"
    found = hf_seq2seq.search("rnn", space, ensemble=2, **files, **TINY, output_dir=out)
    assert found.chosen["run"] == "000-rnn"
    assert found.chosen["scores"]["predict_samples"] == found.results["predict_samples"] == len(WORDS)
    board = found.leaderboard
    assert {system["name"]: system["state"] for system in board} == {
        "000-rnn": "complete", "001-rnn": "failed", "002-rnn": "complete", "ensemble": "complete", "final": "complete"
    }  # fmt: skip
    assert "3" in board[-1]["reason"]
    together = found.chosen["ensemble"]
    (member,) = together["members"]
    assert member == str(out / "ensemble/002-rnn")
    assert together["scores"]["chrf_low"] <= together["scores"]["chrf"] <= together["scores"]["chrf_high"]
    assert found.model.generate(["ab"], ensemble=[member]) != [""]
    assert not (out / "ensemble/002-rnn/optimizer.safetensors").exists()
    assert (
        "search('rnn', 'num_attention_heads=1,3,2,num_beams=1,2,length_penalty=1,2', train_file="
        in (out / "README.md").read_text()
    )
    assert not (out / "search/trials/000-rnn/predict_results.json").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"recipes": "rnn,bert_classifier"}, "bert_classifier learns labels, rnn texts"),
        ({"recipes": "rnn,rnn"}, "rnn is named twice"),
        ({"recipes": "rn"}, "unknown recipe 'rn'; did you mean 'rnn'"),
        ({"max_time": "soon"}, "--max-time: 'soon' is not a time"),
        ({"max_tim": "20m"}, "unknown option 'max_tim'; did you mean 'max_time'"),
    ],
)
def test_what_auto_cannot_do_is_one_clear_line(files, tmp_path, flags, message):
    with pytest.raises(InputError) as error:
        auto(**files, output_dir=str(tmp_path / "out"), **flags)
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_budget_that_starting_again_uses_up_is_refused(files, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_seq2seq.tuning.auto.command_began", lambda: tuple(now - 25 for now in clocks()))
    message = (
        r"^--max-time: 1 min is too little to try anything: the start took \d+ s, and a trial needs at least \d+ s"
    )
    values = files | TINY | {"max_time": "60s", "output_dir": str(tmp_path / "out")}
    with pytest.raises(InputError, match=message):
        auto(recipes="rnn", **{name: value for name, value in values.items() if name not in TINY})
    with pytest.raises(InputError, match=message):
        search_recipe("rnn", "dropout=0.1,0.2", values)
    assert not (tmp_path / "out").exists()


def test_a_setting_is_searched_or_given(files, tmp_path):
    with pytest.raises(InputError, match="--search: --dropout is given beside it, too"):
        search_recipe("rnn", "dropout=0.1,0.2", files | {"dropout": 0.1, "output_dir": str(tmp_path / "out")})


def test_rows_in_memory_cannot_be_searched(tmp_path):
    with pytest.raises(InputError, match="train_file: rows in this process's memory; the trials run in others"):
        hf_seq2seq.auto(train_file=[{"source": "a", "target": "b"}], output_dir=tmp_path / "out")


def test_a_search_does_not_replace_a_run(files, tmp_path):
    (tmp_path / "model.safetensors").write_text("")
    with pytest.raises(InputError, match="holds a run that is no search's"):
        auto(**files, output_dir=str(tmp_path))


def test_too_few_rows_to_hold_any_out_need_a_flag(files, tmp_path):
    with pytest.raises(InputError, match="no validation rows to choose by: give --validation-file"):
        auto(train_file=files["train_file"], output_dir=str(tmp_path / "out"))


@pytest.mark.parametrize("flags", [{"model_name_or_path": "no/such/model"}, {"label_column": "phonemes"}])
def test_a_flag_that_no_family_uses_is_refused(files, tmp_path, flags):
    (name,) = flags
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')}: not used by rnn or transformer"):
        auto(**files, **flags, recipes=("rnn", "transformer"), max_time="9m", output_dir=str(tmp_path / "out"))


def test_a_named_set_is_what_systems_are_compared_by(files, tmp_path):
    pytest.importorskip("optuna")
    sets = f"a={files['validation_file']},b={files['test_file']}"
    given = files | {"validation_file": sets, "metric_for_best_model": "a_chrf"}
    found = hf_seq2seq.search("rnn", "num_beams=1,2,dropout=0.1,0.2", **given, **TINY, output_dir=tmp_path / "out")
    assert {"eval_a_chrf", "eval_b_chrf"} <= set(found.results)


def test_a_refused_command_removes_no_earlier_search(files, tmp_path):
    pytest.importorskip("optuna")
    out = tmp_path / "out"
    hf_seq2seq.search("rnn", "dropout=0.1,0.2", max_trials=1, **files, **TINY, output_dir=out)
    journal = (out / "search/journal.log").read_bytes()
    wrong = files | TINY | {"output_dir": out, "overwrite_output_dir": True, "source_column": "nope"}
    with pytest.raises(InputError, match="no column 'nope'"):
        hf_seq2seq.search("rnn", "dropout=0.1,0.2", **wrong)
    assert (out / "search/journal.log").read_bytes() == journal
    hf_seq2seq.search(
        "rnn", "dropout=0.3,0.4", max_trials=1, **files, **TINY, output_dir=out, overwrite_output_dir=True
    )
    assert (out / "search/journal.log").read_bytes() != journal


def test_a_folder_in_use_is_refused_at_once(files, tmp_path):
    out, refused = tmp_path / "out", []

    def search():
        try:
            hf_seq2seq.search("rnn", "dropout=0.1,0.2", **files, **TINY, output_dir=out, overwrite_output_dir=True)
        except InputError as error:
            refused.append(str(error))

    with locked_folder(out):
        thread = Thread(target=search)
        thread.start()
        thread.join()
    assert "is in use by another run" in refused[0]


@pytest.mark.parametrize("given", [{"max_trials": 0}, {"max_trials": 1.5}, {"ensemble": -1}, {"ensemble": "x"}])
def test_numbers_of_a_search_are_checked_first(files, tmp_path, given):
    with pytest.raises(InputError, match=f"{next(iter(given))}|{next(iter(given)).replace('_', '-')}"):
        hf_seq2seq.search("rnn", "dropout=0.1,0.2", **given, **files, **TINY, output_dir=tmp_path / "out")
