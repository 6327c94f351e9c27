"""A search over runs that a stand-in trains: it writes the checkpoints that the real one would."""

import dataclasses
import json
import shutil

import pytest
import yaml

from hf_seq2seq.clocks import clocks
from hf_seq2seq.errors import InputError
from hf_seq2seq.training.state import State
from hf_seq2seq.tuning import search as searching
from hf_seq2seq.tuning.auto import _fitting, _training_rows, search_recipe
from hf_seq2seq.tuning.auto_config import Data
from hf_seq2seq.tuning.budget import Budget, closing_seconds
from hf_seq2seq.tuning.chosen import Chosen, preferred
from hf_seq2seq.tuning.decoding_settings import USUAL, DecodingSearch, Validation, ValidationSet, usual
from hf_seq2seq.tuning.domains import Choices
from hf_seq2seq.tuning.final import _enough, summary_of, tell_short, tuned
from hf_seq2seq.tuning.following import OUTPUT, Goal, best_score, progress_of
from hf_seq2seq.tuning.leaderboard import Entry
from hf_seq2seq.tuning.request import SearchRequest
from hf_seq2seq.tuning.spaces import Family
from hf_seq2seq.tuning.study import Study, TrialRecord

pytest.importorskip("optuna")

STEPS = 9


class Trainer:
    """Trains in no time: a run's score after n of 9 steps is n times its `gain`."""

    started: list = []
    waiting = staticmethod(lambda: None)

    def start(self, recipe, values, output, call=""):
        self.folder, self.values = searching.Path(values["output_dir"]), values
        self.started.append(values)
        self.folder.mkdir(parents=True, exist_ok=True)
        done = progress_of(self.folder, Goal("chrf", True))
        self.step, self.stopped = done.steps, False
        self.slow = values.get("slow", False)

    def poll(self, seconds):
        gain = self.values["gain"]
        if "max_time" in self.values and float(self.values["max_time"][:-1]) < self.values.get("needs", 0):
            (self.folder / OUTPUT).write_text(
                f"error: --max-time: is too little; give at least {self.values['needs']} s, or less"
            )
            return 2
        if gain == "broken":
            (self.folder / OUTPUT).write_text("a line\nerror: --gain: is broken\n")
            return 2
        if self.stopped:
            return 143
        if self.slow:
            return None
        if self.step == STEPS:
            scores = {"eval_chrf": STEPS * gain, "predict_chrf": 1.0} if "test_file" in self.values else {}
            (self.folder / "all_results.json").write_text(json.dumps(scores))
            return 0
        self.step += 1
        self.save(gain)
        return None

    def save(self, gain):
        score, loss = (0.0, 5.0 - gain) if self.values.get("alike") else (float(gain), 1.0)
        history = [{"step": n, "eval_chrf": n * score, "eval_loss": loss} for n in range(1, self.step + 1)]
        folder = self.folder / f"checkpoint-{self.step}"
        folder.mkdir()
        state = State(self.step, STEPS, best_model_checkpoint=folder.name, log_history=history)
        state.save(folder)
        (folder / "run.yaml").write_text(yaml.safe_dump({"recipe": "rnn", "gain": gain, "max_steps": STEPS}))

    def stop(self):
        self.stopped = True

    def close(self):
        pass


@pytest.fixture
def trainer(monkeypatch):
    Trainer.started = []
    monkeypatch.setattr(searching, "TrainServer", Trainer)
    return Trainer


def request(folder, gains, **more):
    base = {"gain": gains[0], "test_file": None, "train_file": None, "slow": False, "alike": False, "needs": 0}
    base |= {"max_time": None, "max_cpu_time": None}
    family = Family("rnn", {}, base, {"gain": Choices({str(gain): {"gain": gain} for gain in gains})})
    values = {"train_file": "a.tsv", "test_file": "b.tsv", "gain": gains[0]}
    return SearchRequest((family,), values | more.pop("values", {}), folder, Goal("chrf", True), **more)


def test_the_best_trial_is_measured_on_the_test_rows_once(trainer, tmp_path):
    found = searching.search(request(tmp_path / "out", [2, 5, 1, 4]))
    assert found["run"] == "001-rnn"
    assert found["settings"] == {"gain": 5}
    assert found["scores"] == {"eval_chrf": 45, "predict_chrf": 1.0}
    assert [values.get("test_file") for values in trainer.started] == [None] * 4 + ["b.tsv"]
    board = json.loads((tmp_path / "out/search/leaderboard.json").read_text())
    assert [(s["name"], s["state"], s["score"]) for s in board["systems"]] == [
        ("001-rnn", "complete", 45.0),
        ("final", "complete", 45),
        ("000-rnn", "complete", 18.0),
        ("003-rnn", "stopped", 4.0),
        ("002-rnn", "stopped", 1.0),
    ]
    assert board["final"]["run"] == "001-rnn"
    assert board["systems"][1]["settings"] == {"from": "001-rnn", "gain": 5}
    assert "| 001-rnn | 45 " in (tmp_path / "out/search/leaderboard.md").read_text()
    assert (tmp_path / "out/search/leaderboard.png").read_bytes().startswith(b"\x89PNG")
    assert yaml.safe_load((tmp_path / "out/search/trials/002-rnn/run.yaml").read_text())["gain"] == 1


def test_further_runs_of_the_best_settings_keep_the_base_as_its_trial_did(trainer, tmp_path):
    asked = request(tmp_path, [1, 2], budget=Budget(600))
    family = asked.families[0]
    space = family.space | {"dropout": Choices.of("dropout", [0.4])}
    family = dataclasses.replace(family, base=family.base | {"dropout": 0.4}, space=space)
    found = searching.search(dataclasses.replace(asked, families=(family,)))
    assert found["settings"] == {"gain": 2}
    assert [values.get("dropout") for values in trainer.started[:3]] == [None, 0.4, 0.4]  # the last one is longer


def test_a_failed_trial_is_recorded_with_its_reason_and_the_search_goes_on(trainer, tmp_path):
    found = searching.search(request(tmp_path, [1, "broken", 3]))
    assert found["settings"] == {"gain": 3}
    failed = json.loads((tmp_path / "search/leaderboard.json").read_text())["systems"][-1]
    assert (failed["state"], failed["reason"], failed["score"]) == ("failed", "--gain: is broken", None)


def test_a_search_of_which_every_trial_fails_says_why(trainer, tmp_path):
    with pytest.raises(InputError, match="no trial has a score: --gain: is broken"):
        searching.search(request(tmp_path, ["broken"]))


def test_a_killed_search_goes_on_where_it_was(trainer, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def die(self, gain):
        if gain == 2 and self.step == 5:
            raise Killed
        Trainer.save(self, gain)

    monkeypatch.setattr(searching, "TrainServer", type("Dying", (Trainer,), {"save": die}))
    with pytest.raises(Killed):
        searching.search(request(tmp_path, [1, 2]))
    monkeypatch.setattr(searching, "TrainServer", Trainer)
    first_run = tmp_path / "search/trials/001-rnn/checkpoint-4"
    assert first_run.is_dir()
    shutil.rmtree(tmp_path / "search/trials/000-rnn/checkpoint-1")
    found = searching.search(request(tmp_path, [1, 2]))
    assert found["settings"] == {"gain": 2}
    assert not (tmp_path / "search/trials/000-rnn/checkpoint-1").exists()  # which was not trained again
    starts = [values["output_dir"].rpartition("/")[2] for values in trainer.started]
    assert starts == ["000-rnn", "001-rnn", "001-rnn", tmp_path.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_search_says_how_it_goes_on_however_often(trainer, tmp_path, monkeypatch, capsys, error):
    """Interruptions do not count as starts that ended without a word; without time the trial's score so far counts."""

    def interrupted(self, gain):
        Trainer.save(self, gain)
        raise error

    for number in range(1, 6):
        monkeypatch.setattr(searching, "TrainServer", type("Interrupted", (Trainer,), {"save": interrupted}))
        with pytest.raises(error):
            searching.search(request(tmp_path, [2], budget=Budget(600)))
        told = capsys.readouterr().err
        assert f"stopped; the same command resumes the search in {tmp_path / 'search'}\n" in told
        assert (f"resumed     the search in {tmp_path / 'search'}, of 1 trial and " in told) == (number > 1)
    monkeypatch.setattr(searching, "TrainServer", Trainer)
    assert searching.search(request(tmp_path, [2], budget=Budget(0.01)))["run"] == "000-rnn"
    board = json.loads((tmp_path / "search/leaderboard.json").read_text())["systems"]
    assert {(s["name"], s["state"], s["score"]) for s in board} >= {("000-rnn", "interrupted", 10.0)}
    found = searching.search(request(tmp_path, [2], budget=Budget(6000)))
    assert (found["run"], found["scores"]["eval_chrf"]) == ("000-rnn", 18)


def test_a_trial_that_is_killed_is_started_again_a_few_times(trainer, tmp_path, monkeypatch, capsys):
    kills = {"000-rnn": 1, "001-rnn": 9}

    def poll(self, seconds):
        name = self.folder.name
        if self.step == 4 and kills.get(name, 0) > 0:
            kills[name] -= 1
            return -9
        return Trainer.poll(self, seconds)

    monkeypatch.setattr(searching, "TrainServer", type("Killed", (Trainer,), {"poll": poll}))
    found = searching.search(request(tmp_path, [2, 5, 1]))
    assert (found["settings"], kills["001-rnn"]) == ({}, 6)
    board = json.loads((tmp_path / "search/leaderboard.json").read_text())["systems"]
    assert {s["name"]: s["state"] for s in board} | {"002-rnn": ""} == {
        "final": "complete", "000-rnn": "complete", "001-rnn": "failed", "002-rnn": ""
    }  # fmt: skip
    told = capsys.readouterr().err
    assert told.count("000-rnn  ended by SIGKILL, as where memory runs out; restarting it\n") == 1
    assert told.count("001-rnn  ended by SIGKILL") == 3


def test_a_full_disk_ends_a_search_that_goes_on_when_there_is_room(trainer, tmp_path, monkeypatch):
    def poll(self, seconds):
        if self.step == 4 and full:
            (self.folder / OUTPUT).write_text("error: checkpoint-4: No space left on device\n")
            return 2
        return Trainer.poll(self, seconds)

    full = True
    monkeypatch.setattr(searching, "TrainServer", type("Full", (Trainer,), {"poll": poll}))
    for _ in range(5):
        with pytest.raises(InputError, match="No space left on device; free some space and run the same command again"):
            searching.search(request(tmp_path, [2, 5]))
    full = False
    found = searching.search(request(tmp_path, [2, 5]))
    assert (found["settings"], found["scores"]["eval_chrf"]) == ({"gain": 5}, 45)


def test_a_trial_interrupted_before_its_first_score_is_named(trainer, tmp_path, monkeypatch):
    def interrupted(self, gain):
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "TrainServer", type("Interrupted", (Trainer,), {"save": interrupted}))
    with pytest.raises(KeyboardInterrupt):
        searching.search(request(tmp_path, [2], budget=Budget(600)))
    monkeypatch.setattr(searching, "TrainServer", Trainer)
    with pytest.raises(InputError, match="no trial has a score: 000-rnn was interrupted before its first evaluation"):
        searching.search(request(tmp_path, [2], budget=Budget(0.01)))
    assert searching.search(request(tmp_path, [2], budget=Budget(600)))["run"] == "000-rnn"


def test_other_beams_than_those_of_training_are_told_below_the_table(trainer, tmp_path, capsys):
    asked = request(tmp_path, [2])
    family = dataclasses.replace(asked.families[0], base=asked.families[0].base | {"eval_beams": 1, "num_beams": 5})
    searching.search(dataclasses.replace(asked, families=(family,)))
    remark = "scores of trials and members are those of training, with 1 beam; that of `final` is with 5"
    assert f"\n\n{remark}\n" in capsys.readouterr().err
    assert (tmp_path / "search/leaderboard.md").read_text().endswith(f"|\n\n{remark}\n")


def test_the_time_is_noted_while_a_run_is_in_progress(trainer, tmp_path, monkeypatch):
    noted = []

    def save(self, gain):
        Trainer.save(self, gain)
        study = Study(tmp_path / "search", asked.families, True, seed=1, most=2)
        noted.append((study.seconds, study.records()[0].seconds))

    monkeypatch.setattr(searching, "TrainServer", type("Looking", (Trainer,), {"save": save}))
    monkeypatch.setattr(searching, "NOTED", 0)
    asked = request(tmp_path, [1], began=(clocks()[0] - 50, clocks()[1]))
    searching.search(asked)
    assert noted[0] == (0.0, 0.0)
    (earlier, first), (later, second) = noted[1], noted[-1]
    assert 50 < earlier < later < 100
    assert 0 < first < second < 50


def test_a_budget_that_is_too_small_for_one_evaluation_is_refused(trainer, tmp_path):
    with pytest.raises(InputError, match=r"--max-time: .* is too little for one evaluation"):
        searching.search(request(tmp_path / "out", [1, 2], values={"slow": True}, budget=Budget(0.5)))
    assert not (tmp_path / "out").exists()


def test_a_trial_is_given_the_time_that_it_says_it_needs(trainer, tmp_path):
    searching.search(request(tmp_path / "out", [1, 2], values={"needs": 15}, budget=Budget(60)))
    limits = [values.get("max_time") for values in trainer.started]
    assert 7 < float(limits[0][:-1]) < 60 * 0.55 / 4
    assert limits[1:3] == ["15.0s"] * 2
    message = r"^--max-time: 20 s is too little .*, and a trial needs at least 15 s; give at least \d+ s, .*$"
    with pytest.raises(InputError, match=message):
        searching.search(request(tmp_path / "short", [1, 2], values={"needs": 15}, budget=Budget(20)))
    assert not (tmp_path / "short").exists()


def test_families_without_time_are_named_with_the_time_that_they_need(trainer, tmp_path, capsys, monkeypatch):
    def busy(self, trial):
        record = tried(self, trial)
        self.time.used_before += 60
        return record

    tried = searching._Search._try
    monkeypatch.setattr(searching._Search, "_try", busy)
    now = clocks()
    asked = request(tmp_path, [1, 2], budget=Budget(240), began=(now[0] - 100, now[1]))
    other = dataclasses.replace(asked.families[0], recipe="transformer")
    searching.search(dataclasses.replace(asked, families=(*asked.families, other)))
    told = capsys.readouterr().err
    assert "transformer was not tried: no time was left; give about --max-time 6m\n" in told


def test_a_family_that_needs_more_than_is_left_counts_as_not_tried(trainer, tmp_path, capsys):
    asked = request(tmp_path, [1], budget=Budget(200), began=(clocks()[0] - 30, clocks()[1]))
    slow = dataclasses.replace(asked.families[0], recipe="transformer", given={"needs": 90})
    searching.search(dataclasses.replace(asked, families=(*asked.families, slow)))
    told = capsys.readouterr().err
    assert "001-transformer  no score  0 s  skipped: too little time was left: a trial needs 1 min 30 s" in told
    assert "transformer was not tried: no time was left; give about --max-time 8m\n" in told


def test_what_follows_the_last_run_is_reserved_as_the_trials_measured_it():
    meter = {"limit": 30.0, "spent": 25.0, "start": 10.0, "scoring": 2.0}
    assert closing_seconds(meter, took=34.0, test_share=3.0) == 9 + 10 + 6
    budget = Budget(240)
    assert budget.for_runs(used=150, closing=25) == pytest.approx(65)
    assert budget.for_runs(used=150, closing=0) == pytest.approx(66)  # a tenth is left in any case


@pytest.mark.parametrize(("models", "trial"), [(1, 0.55 / 4), (2, 0.55 / 3), (5, 0.9 / 7), (10, 0.9 / 12)])
def test_an_ensemble_leaves_as_much_time_per_further_model_as_for_a_trial(models, trial):
    budget = Budget(1000, models=models)
    assert budget.trial(used=0) == pytest.approx(1000 * trial)
    assert budget.for_runs(used=budget.search, closing=0) >= (models - 1) * budget.trial(used=0) - 1e-9


def test_an_ensemble_has_no_trials_that_were_stopped(trainer, tmp_path, monkeypatch):
    offered = []
    monkeypatch.setattr(searching, "ensembled", lambda chosen, trials, *_: offered.extend(trials))
    searching.search(request(tmp_path / "out", [2, 5, 1, 4], ensemble=3))
    assert [folder.name for folder in offered] == ["001-rnn", "000-rnn"]


def test_an_ensemble_has_runs_of_the_best_settings_with_other_seeds(trainer, tmp_path, monkeypatch):
    def save(self, gain):
        Trainer.save(self, gain + 0.1 * (self.values.get("seed", 42) == 44))

    monkeypatch.setattr(searching, "TrainServer", type("Seeded", (Trainer,), {"save": save}))
    asked = request(tmp_path, [1, 2], budget=Budget(600), ensemble=3)
    family = dataclasses.replace(asked.families[0], base=asked.families[0].base | {"seed": 42})
    found = searching.search(dataclasses.replace(asked, families=(family,)))
    trials, members = trainer.started[:2], trainer.started[2:4]
    assert all("seed" not in values for values in trials)
    assert [(values["gain"], values["seed"]) for values in members] == [(2, 43), (2, 44)]
    first, second = (float(values["max_time"][:-1]) for values in members)
    assert first == pytest.approx(540 / 2, abs=30)  # of what the closing leaves
    assert second == pytest.approx(540, abs=30)  # as the first one took no time
    assert found["run"] == "001-rnn-seed-44"
    board = json.loads((tmp_path / "search/leaderboard.json").read_text())["systems"]
    assert [system["name"] for system in board][:3] == ["final", "001-rnn-seed-44", "001-rnn"]
    again = len(trainer.started)
    searching.search(dataclasses.replace(asked, families=(family,)))
    assert [values.get("seed") for values in trainer.started[again:]] == [None]  # the closing run alone


def test_a_continued_search_with_another_best_trial_trains_that_one_longer(trainer, tmp_path, monkeypatch, capsys):
    def save(self, gain):
        Trainer.save(self, gain + 10 * self.folder.name.startswith("final"))

    monkeypatch.setattr(searching, "TrainServer", type("Longer", (Trainer,), {"save": save}))
    asked = request(tmp_path, [2, 5], budget=Budget(600))
    assert searching.search(dataclasses.replace(asked, most=1))["scores"]["eval_chrf"] == 9 * 12
    found = searching.search(dataclasses.replace(asked, most=2))
    assert (found["settings"], found["scores"]["eval_chrf"]) == ({"gain": 5}, 9 * 15)
    assert "the trial had all steps" not in capsys.readouterr().err


def test_a_continued_search_trains_longer_where_it_has_much_more_time(trainer, tmp_path, monkeypatch):
    """The same limit again trains nothing; a run that is no better than the earlier one is not taken."""

    def save(self, gain):
        Trainer.save(self, gain + {"final-000-rnn": 2, "final-000-rnn-2": 3}.get(self.folder.name, 0))

    monkeypatch.setattr(searching, "TrainServer", type("Longer", (Trainer,), {"save": save}))
    runs = []
    for seconds in (600, 600, 1200, 1200, 2400):
        trainer.started.clear()
        found = searching.search(request(tmp_path, [2], budget=Budget(seconds)))
        finals = [values["output_dir"].rpartition("/")[2] for values in trainer.started]
        runs.append((found["run"], [name for name in finals if name.startswith("final")]))
    assert runs == [
        ("final-000-rnn", ["final-000-rnn"]),
        ("final-000-rnn", []),
        ("final-000-rnn-2", ["final-000-rnn-2"]),
        ("final-000-rnn-2", []),
        ("final-000-rnn-2", ["final-000-rnn-3"]),
    ]


def test_a_final_run_that_repeats_the_trial_says_why(trainer, tmp_path, capsys):
    asked = request(tmp_path, [2, 5], budget=Budget(600))
    family = dataclasses.replace(asked.families[0], base=asked.families[0].base | {"max_steps": STEPS})
    searching.search(dataclasses.replace(asked, families=(family,)))
    assert "to average its last checkpoints: the trial had all steps of --max-steps" in capsys.readouterr().err


def test_a_budget_for_few_steps_says_what_the_defaults_plan(trainer, tmp_path, capsys):
    asked = request(tmp_path, [2, 5], budget=Budget(600))
    more = {"max_steps": 3 * STEPS, "from_scratch": True, "objective": ["dialogue"]}
    family = dataclasses.replace(asked.families[0], base=asked.families[0].base | more)
    searching.search(dataclasses.replace(asked, families=(family,)))
    told = "the best run had 9 of the 27 steps that the defaults plan for these rows; give about --max-time 30m"
    command = f"hf-seq2seq train {family.recipe} --from-scratch --objective dialogue"
    command += " --train-file a.tsv --test-file b.tsv\n"
    assert f"{told}, or train with the defaults: {command}" in capsys.readouterr().err
    searching.search(request(tmp_path / "other", [2, 5], budget=Budget(600)))
    assert "the defaults plan" not in capsys.readouterr().err


@pytest.mark.parametrize(("models", "minutes"), [(1, 16), (2, 30)])
def test_the_time_for_all_steps_scales_their_own_time_alone(models, minutes):
    """A run of 10 of 30 steps: 200 s before them, 40 s for them; one of all takes 320 s."""
    state = State(global_step=10, budget={"max_time": {"limit": 240.0, "spent": 240.0, "start": 200.0}})
    assert _enough(Budget(100.0, models=models), state, planned=30) == f"{minutes}m"
    assert _enough(Budget(3000.0, models=models), state, planned=30) == "63m"
    enough = Budget(Budget(100.0, models=models).for_run(320), models=models)
    room = enough.trial(0) if models == 2 else enough.for_runs(enough.search, 0)
    assert room == pytest.approx(320)


def test_a_run_by_epochs_or_stopped_early_is_no_short_one(trainer, tmp_path, capsys):
    asked = request(tmp_path, [2], budget=Budget(600))
    base = asked.families[0].base | {"num_train_epochs": 40}
    chosen = Chosen("rnn", tmp_path / "run", {}, base, 1.0)
    for stopped in (False, True):
        folder = tmp_path / "run" / f"checkpoint-{9 + stopped}"
        folder.mkdir(parents=True)
        State(9, 9, steps_per_epoch=2, stopped_early=stopped).save(folder)
        tell_short(chosen, asked)
    assert capsys.readouterr().err.count("the best run had 9 of the 80 steps") == 1


def test_defaults_within_one_standard_error_of_the_best_are_taken():
    """Of 900 rows with 90 % right it is 1.0; other scores and trials that were stopped have none."""
    trials = [("000-a", {}, 89.1), ("001-b", {}, 88.9), ("002-a", {"dropout": 0.2}, 90.0)]
    records = [TrialRecord(0, "a", own, "complete", value, 1.0, 1.0, name, "") for name, own, value in trials]
    ranked = sorted(records, key=lambda record: -record.value)
    assert preferred(ranked, "accuracy", 900).folder == "000-a"
    assert preferred(ranked, "accuracy", 1300).folder == "002-a"  # 0.83
    assert preferred(ranked, "bleu", 900).folder == preferred(ranked, "accuracy", 0).folder == "002-a"
    cut = [dataclasses.replace(record, state="stopped") if record.number == 0 else record for record in ranked]
    assert preferred(cut, "accuracy", 900).folder == "002-a"


def test_a_search_of_families_takes_their_defaults_and_says_so(trainer, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hf_seq2seq.tuning.chosen.SHARES", ("chrf",))
    asked = request(tmp_path / "a", [8, 9], rows={"validation": [10, "a"], "train": [9999, "b"]})
    assert searching.search(asked)["settings"] == {"gain": 9}
    assert "standard error" not in capsys.readouterr().err
    asked = dataclasses.replace(asked, output_dir=tmp_path / "b", prefers_defaults=True)
    assert searching.search(asked)["run"] == "000-rnn"
    assert "best trial  000-rnn: defaults, within one standard error of 001-rnn\n" in capsys.readouterr().err


def test_a_search_that_has_no_time_to_go_on_says_so(trainer, tmp_path, capsys):
    asked = request(tmp_path, [1, 2, 3, 4], budget=Budget(600), most=4)
    searching.search(asked)
    assert "no time for a further trial" not in capsys.readouterr().err
    searching.search(dataclasses.replace(asked, budget=Budget(0.01)))
    assert "no time for a further trial: 0 s are left, and the longest one took" in capsys.readouterr().err


def test_a_size_without_time_is_tried_once(trainer, tmp_path, monkeypatch):
    def start(self, recipe, values, output, call=""):
        needs = 500 if values.get("hidden_size") == 512 else 0
        Trainer.start(self, recipe, values | {"needs": needs}, output, call)

    monkeypatch.setattr(searching, "TrainServer", type("Sized", (Trainer,), {"start": start}))
    asked = request(tmp_path, [1, 2, 3, 4, 5, 6], budget=Budget(200), most=12)
    sizes = Choices.of("hidden_size", [8, 512])
    family = asked.families[0]
    space = family.space | {"hidden_size": sizes}
    family = dataclasses.replace(family, base=family.base | {"hidden_size": 8}, space=space)
    searching.search(dataclasses.replace(asked, families=(family,)))
    assert [values.get("hidden_size") for values in trainer.started].count(512) == 1


def test_a_search_goes_on_where_its_folder_is_spelled_otherwise_but_not_on_other_rows(trainer, tmp_path):
    asked = request(tmp_path, [1, 2], values={"output_dir": "x"}, rows={"train": [80, "a1"], "validation": [9, "b1"]})
    searching.search(asked)
    searching.search(dataclasses.replace(asked, values=asked.values | {"output_dir": "./x/"}))
    other = dataclasses.replace(asked, rows={"train": [80, "a1"], "validation": [12, "b2"]})
    with pytest.raises(
        InputError, match=r"a search with other rows: validation had 9, digest b1 \(now 12, digest b2\)"
    ):
        searching.search(other)


def test_a_score_of_several_sets_is_that_of_the_named_one_or_the_mean():
    sets = tuple(
        ValidationSet(name, ["x"] * len(texts), [[text] for text in texts], ("exact_match",))
        for name, texts in {"a": ["1", "2"], "b": ["3"]}.items()
    )
    scores = {
        name: Validation(sets).score(["1", "0", "3"], Goal(name, True))
        for name in ("exact_match", "a_exact_match", "b_exact_match")
    }
    assert scores == {"exact_match": 75.0, "a_exact_match": 50.0, "b_exact_match": 100.0}
    assert Goal("a_loss", False).is_loss


def test_final_scores_begin_where_the_run_has_told_how_it_started(tmp_path):
    output = tmp_path / "final.txt"
    output.write_text("resuming from checkpoint-122\n  changed: --max-time none (was 67s)\n\n  validation\nLoss  1\n")
    assert summary_of(output) == ["", "  validation", "Loss  1"]


def test_decoding_settings_start_from_those_of_the_run(tmp_path, monkeypatch):
    class Model:
        def generate(self, sources, num_beams, length_penalty):
            return ["a b" if num_beams == 5 else "b"]

    monkeypatch.setattr("hf_seq2seq.api.models.load", lambda model: Model())
    base = {"num_beams": 5, "length_penalty": 1.0}
    rows = Validation((ValidationSet("", ["x"], [["a b"]], ("exact_match",)),))
    trying = DecodingSearch(tmp_path, rows, Goal("exact_match", True), base, usual(base))
    assert trying.best(tmp_path, lambda: 0.0) == ({}, 100.0)
    space = {"num_beams": USUAL["num_beams"]}
    greedy = DecodingSearch(tmp_path / "other", rows, Goal("exact_match", True), base, space)
    assert greedy.best(tmp_path, lambda: 0.0)[0] == {"num_beams": 1}  # which are not the defaults


def test_decoding_settings_are_those_of_a_checkpoint(tmp_path, monkeypatch):
    """A trial that goes on after an interruption has another one, and its earlier scores do not count."""
    folders = []

    class Known:
        def __init__(self, folder, *_):
            folders.append(folder.name)

        def best(self, model, left):
            return {}, 1.0

    monkeypatch.setattr("hf_seq2seq.tuning.final.DecodingSearch", Known)
    asked = request(tmp_path, [2], validation=Validation([]), decoding=USUAL)
    chosen = Chosen("rnn", tmp_path / "000-rnn", {}, asked.families[0].base, 1.0)
    for step in (3, 5):
        checkpoint = chosen.folder / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        State(step, 9, best_model_checkpoint=checkpoint.name).save(checkpoint)
        tuned(chosen, asked, lambda: 1.0)
    assert folders == ["decoding-000-rnn-checkpoint-3", "decoding-000-rnn-checkpoint-5"]


def test_cpu_time_is_that_of_this_process_and_of_its_runs(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "cpu_seconds", 300.0, raising=False)
    searching.search(request(tmp_path / "out", [1, 2], budget=Budget(600, "max_cpu_time")))
    assert trainer.started[0]["max_cpu_time"] in ("7.5s", "7.4s")  # a quarter of what is left of 330 seconds
    assert "max_time" not in trainer.started[0]


def test_equal_scores_are_ordered_by_loss(trainer, tmp_path):
    found = searching.search(request(tmp_path, [1, 3, 2], values={"alike": True}))
    assert found["settings"] == {"gain": 3}
    board = json.loads((tmp_path / "search/leaderboard.json").read_text())["systems"]
    trials = [system for system in board if system["name"] != "final"]
    assert [(system["score"], system["loss"]) for system in trials] == [(0.0, 2.0), (0.0, 3.0), (0.0, 4.0)]


def test_baselines_are_trained_once_and_only_where_a_trial_has_a_score(trainer, tmp_path, capsys):
    trained = []

    def baselines():
        trained.append(1)
        return (Entry("copy", "baseline", score=99.0), Entry("majority", "baseline", score=98.0))

    with pytest.raises(InputError):
        searching.search(request(tmp_path / "broken", ["broken"], baselines=baselines))
    assert not trained
    for _ in range(2):
        searching.search(request(tmp_path, [1, 2], baselines=baselines))
    assert len(trained) == 1
    assert "the baseline copy is better: validation chrf 99, the model 18\n" in capsys.readouterr().err
    assert "| copy " in (tmp_path / "search/leaderboard.md").read_text()


def test_a_search_without_any_score_makes_room_for_another(trainer, tmp_path, capsys):
    with pytest.raises(InputError, match="no trial has a score"):
        searching.search(request(tmp_path, ["broken"]))
    assert searching.search(request(tmp_path, [1, 2]))["settings"] == {"gain": 2}
    assert "the search there ended without a score; starting over" in capsys.readouterr().err


def test_another_search_in_the_folder_is_told_by_its_flags(trainer, tmp_path):
    searching.search(request(tmp_path, [1, 2]))
    with pytest.raises(
        InputError, match=r"another space of --gain for rnn: 1, 2 \(now 1, 3\)\n.*--overwrite-output-dir"
    ):
        searching.search(request(tmp_path, [1, 3]))


def test_the_final_folder_holds_the_chosen_run(trainer, tmp_path):
    searching.search(request(tmp_path, [1, 2]))
    closing = trainer.started[-1]
    assert (closing["gain"], closing["max_steps"], closing["resume_from_checkpoint"]) == (2, STEPS, "last")
    assert State.load(tmp_path / f"checkpoint-{STEPS}").finished


def test_scores_that_are_no_numbers_are_not_the_best():
    history = [{"step": 1, "eval_chrf": float("nan")}, {"step": 2, "eval_chrf": 3.0}, {"step": 3, "eval_chrf": None}]
    assert best_score(State(log_history=history), Goal("chrf", True)) == 3.0


@pytest.mark.parametrize("text", ["1:30:00", "90", "1H 30M"])
def test_a_search_reads_times_as_a_run_does(text, tmp_path):
    values = {"max_time": text, "output_dir": str(tmp_path / "new")}
    with pytest.raises(InputError, match="no data"):  # which is checked after the time
        search_recipe("rnn", "dropout=0.1,0.2", values)


@pytest.mark.parametrize(
    ("header", "recipes"),
    [
        ("source,target", ("rnn", "transformer")),
        ("Input,Target", ("rnn", "transformer")),
        ("text,target", ("bert_classifier",)),
        ("source,target,label", ("bert_classifier",)),
    ],
)
def test_a_target_beside_its_source_is_no_label(header, recipes, tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(
        f"{header}\n" + "one row,another,third\n" * 3 if header.count(",") == 2 else f"{header}\na,b\nc,d\n"
    )
    data = Data(train_file=str(path))
    assert _fitting(data, _training_rows(data)) == recipes
