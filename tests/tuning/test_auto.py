"""Searches with real runs."""

import json
from threading import Thread

import pytest

import hf_seq2seq
from hf_seq2seq.clocks import clocks
from hf_seq2seq.errors import InputError
from hf_seq2seq.folders import locked_folder
from hf_seq2seq.tuning.auto import auto, search_recipe
from hf_seq2seq.tuning.preparing import look

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
    with pytest.raises(InputError, match="--search: --num-beams is given beside it, too"):
        search_recipe("rnn", "num_beams=1,2", files | {"num_beams": 3, "output_dir": str(tmp_path / "out")})


def test_what_only_scores_of_outputs_choose_is_refused_where_trials_are_compared_by_others(files, tmp_path):
    values = files | {"metric_for_best_model": "loss", "output_dir": str(tmp_path / "out")}
    with pytest.raises(InputError, match="--search: --num-beams: is chosen by a score of outputs, and loss is none"):
        search_recipe("rnn", "dropout=0.1,0.2,num_beams=1,2", values)
    with pytest.raises(InputError, match="--ensemble: is chosen by a score of outputs, and loss is none"):
        search_recipe("rnn", "dropout=0.1,0.2", values, ensemble=2)
    with pytest.raises(InputError, match="--ensemble: is chosen by a score of outputs, and loss is none"):
        auto(recipes="rnn", ensemble=2, **values)
    labels = tmp_path / "labels.csv"
    labels.write_text("text,label\n" + "good,1\nbad,0\n" * 5)
    labelled = {"train_file": str(labels), "validation_file": str(labels), "output_dir": str(tmp_path / "out")}
    with pytest.raises(InputError, match="--ensemble: is for models that write texts; these predict labels"):
        search_recipe("bert_classifier", "learning_rate=1e-4,1e-3", labelled | {"from_scratch": True}, ensemble=2)
    with pytest.raises(InputError, match="--ensemble: is for models that write texts; these predict labels"):
        auto(ensemble=2, **labelled)
    assert not (tmp_path / "out").exists()


MESSAGES = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]


@pytest.mark.parametrize(
    ("name", "text", "given"),
    [
        ("rows.jsonl", (json.dumps({"messages": MESSAGES}) + "\n") * 20, {}),
        ("rows.txt", "1 hello\thi\n2 bye\tbye\n\n" * 20, {"objective": "dialogue"}),
    ],
)
def test_replies_are_learned_by_a_decoder_and_an_encoder_decoder(name, text, given, tmp_path, monkeypatch):
    path = tmp_path / name
    path.write_text(text)
    asked = []
    monkeypatch.setattr("hf_seq2seq.tuning.auto.search", asked.append)
    auto(train_file=str(path), validation_file=str(path), output_dir=str(tmp_path / "out"), **given)
    (request,) = asked
    assert [family.recipe for family in request.families] == ["gpt", "transformer"]
    assert [family.base["objective"] for family in request.families] == ["dialogue"] * 2
    assert request.baselines() == ()
    assert request.validation.sets[0].sources[0] == MESSAGES[:1]


def test_messages_beside_pairs_are_not_read_without_a_word(tmp_path, monkeypatch, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps({"messages": MESSAGES, "source": "a b", "target": "c d"}) + "\n") * 20)
    monkeypatch.setattr("hf_seq2seq.tuning.auto.search", lambda request: None)
    flags = {"train_file": str(path), "validation_file": str(path), "output_dir": str(tmp_path / "out")}
    auto(**flags)
    assert "column 'messages' is not read; --objective dialogue learns its replies" in capsys.readouterr().err
    auto(objective="dialogue", **flags)
    assert "is not read" not in capsys.readouterr().err


def test_named_columns_are_read_as_pairs_beside_messages(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps({"messages": MESSAGES}) + "\n") * 20)
    with pytest.raises(InputError, match="no column 'prompt'"):
        auto(train_file=str(path), source_column="prompt", target_column="messages", output_dir=str(tmp_path / "out"))
    with pytest.raises(InputError, match="bert_classifier learns labels, and the rows are conv"):
        auto(train_file=str(path), recipes="bert_classifier", output_dir=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_trials_on_different_training_rows_have_the_same_validation_rows(tmp_path, monkeypatch):
    path = tmp_path / "train.csv"
    path.write_text("source,target\n" + "".join(f"w{n:03},W {n:03}\n" for n in range(200)))
    asked = []
    monkeypatch.setattr("hf_seq2seq.tuning.auto.search", asked.append)
    values = {"train_file": str(path), "output_dir": str(tmp_path / "out")}
    search_recipe("rnn", "max_train_samples=100,150", values)
    assert asked[0].values["validation_split_percentage"] == 10
    held = [look("rnn", {}, asked[0].values | {"max_train_samples": most}).rows["validation"] for most in (100, 150)]
    assert held == [asked[0].rows["validation"]] * 2
    with pytest.raises(InputError, match="--search: --deduplicate: changes the rows that are held out"):
        search_recipe("rnn", "deduplicate=true,false", values)


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
