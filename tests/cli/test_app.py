"""The command itself: fast, complete, and it ends as it should."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hf_seq2seq import __version__

pytestmark = pytest.mark.usefixtures("forked")
OWN = sys.executable
NAMES = ["train", "preview", "generate", "classify", "evaluate", "tokenizer", "recipes"]


def run_it() -> list[str]:
    """What starts the command in a process of its own."""
    return [sys.executable, "-m", "hf_seq2seq"]


def test_version_and_help(command) -> None:
    assert command("--version") == (0, f"{__version__}\n", "")
    result = command()
    assert result.code == 0
    assert all(f" {name} " in result.out for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_its_help(command, name: str) -> None:
    result = command(name, "--help")
    assert result.code == 0
    assert f"hf-seq2seq {name}" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?"),
        (["train", "rn"], "unknown recipe 'rn'; did you mean 'rnn'?"),
        (["train", "./none.py"], "recipe './none.py': no such file"),
        (["preview", "none.py"], "recipe 'none.py': no such file"),
        (["recipes", "lst"], "Did you mean 'list'?"),
        (["generate"], "Missing argument 'MODEL'"),
        (["generate", "x", "--beam-size", "3"], "unknown flag '--beam-size'; here it is `--num-beams`"),
        (["push", "run", "me/x"], "named by a flag: push FOLDER --hub-model-id me/model"),
        (["train", "rnn", "--lr", "1"], "unknown flag '--lr'; here it is `--learning-rate`"),
        (["train", "rnn", "--teacher", "x"], "here it is `--loss-type distillation --loss-args teacher=DIR`"),
        (["evaluate", "x", "--stride", "500"], "unknown flag '--stride'; `train bert_classifier`, `classify` have it"),
        (
            ["train", "transformer", "--lora-r", "4"],
            "unknown flag '--lora-r'; recipes bart, bert_classifier, gpt … have",
        ),
        (["train", "rnn", "--warm-up-step", "4"], "did you mean '--warmup-steps'?"),
        (["train", "rnn", "a.csv"], "name a file of rows by a flag: --train-file a.csv"),
        (["evaluate", "x", "a.csv"], "name a file of rows by a flag: --test-file a.csv"),
        (["train", "rnn", "-c", "none.yaml"], "none.yaml: No such file or directory"),
        (["generate", "x", "--num-beam", "3"], "unknown flag '--num-beam'; did you mean '--num-beams'?"),
    ],
)
def test_wrong_words_are_refused_in_one_line(command, arguments: list[str], message: str) -> None:
    result = command(*arguments)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_a_model_behind_its_rows_is_told_to_come_first(command, model_folder: Path) -> None:
    result = command("evaluate", "a.csv", model_folder)
    assert result.code == 2
    assert f"rows are named by a flag: hf-seq2seq evaluate {model_folder} --test-file FILE" in result.err


def test_a_notice_about_data_appears_once(command, capsys: pytest.CaptureFixture[str]) -> None:
    command("--version")
    assert logging.lastResort
    for name in ("hf_seq2seq.data.sources", "hf_seq2seq.training"):
        for text in ("one", "two", "one"):
            logging.lastResort.handle(logging.makeLogRecord({"name": name, "msg": f"{name}: {text}"}))
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in said] == ["one", "two", "one", "two", "one"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "rnn", "--help"],
        ["train", "rnn", "--seed", "x"],
        ["train", "rnn", "--train-file", "missing.tsv"],
        ["preview", "rnn", "--train-file", "sample:cmudict.train.tsv.gz", "--test-file", "a=missing.tsv"],
        *([name, "--help"] for name in NAMES),
    ],
)
def test_nothing_heavy_is_imported_before_work_begins(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["hf-seq2seq", *{arguments!r}]
from hf_seq2seq.cli.app import main
try:
    main()
except SystemExit:
    heavy = {{"torch", "transformers", "datasets", "accelerate", "numpy", "pyarrow", "evaluate"}} & set(sys.modules)
    sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    found = subprocess.run([OWN, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def complete(line: str) -> list[str]:
    environment = os.environ | {
        "_HF_SEQ2SEQ_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    code = "import sys; sys.argv = ['hf-seq2seq']; from hf_seq2seq.cli.app import main; main()"
    found = subprocess.run([OWN, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return found.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hf-seq2seq tr", ["train"]),
        ("hf-seq2seq train rn", ["rnn"]),
        ("hf-seq2seq train rnn --learn", ["--learning-rate"]),
        ("hf-seq2seq train rnn --decoder-style ", ["luong", "bahdanau"]),
        ("hf-seq2seq generate folder --num-b", ["--num-beams", "--num-beam-groups"]),
        ("hf-seq2seq recipes show be", ["bert_classifier"]),
    ],
)
def test_the_shell_completes(line: str, expected: list[str]) -> None:
    assert complete(line) == expected


def test_a_recipe_s_own_bug_shows_its_traceback(command, recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("print(flatten(config))", "{}['missing']"))
    with pytest.raises(KeyError, match="missing"):
        command("train", recipe)
    found = subprocess.run([*run_it(), "train", recipe], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr.startswith("Traceback")
    assert "KeyError: 'missing'" in found.stderr


def test_bad_input_inside_a_recipe_is_one_line(command, recipe: Path) -> None:
    assert command("preview", recipe) == (2, "", "error: nothing to prepare\n")


WAITING = "import time\n    print(os.getpid(), flush=True)\n    time.sleep(60)"


def test_two_runs_do_not_share_a_folder(recipe: Path, tmp_path: Path) -> None:
    """Neither of one process nor of several; what is killed leaves a folder that is free."""
    recipe.write_text(recipe.read_text().replace("print(flatten(config))", WAITING))
    with subprocess.Popen([*run_it(), "train", recipe], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        process = run.stdout.readline().strip()
        for flags in ([], ["--num-processes", "2"], ["--overwrite-output-dir"]):
            second = subprocess.run([*run_it(), "train", recipe, *flags], capture_output=True, text=True)
            assert (second.returncode, second.stdout, len(second.stderr.splitlines())) == (2, "", 1)
            assert f"--output-dir: outputs/run is in use by another run, process {process} on " in second.stderr
        run.kill()
    recipe.write_text(recipe.read_text().replace(WAITING, "print('done')"))
    assert subprocess.run([*run_it(), "train", recipe], capture_output=True, text=True).stdout == "done\n"
    assert not list((tmp_path / "outputs" / "run").iterdir())


def test_ctrl_c_ends_with_130(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("print(flatten(config))", WAITING))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*run_it(), "train", recipe], **pipes, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline().strip().isdigit()
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "Traceback" not in said


@pytest.mark.parametrize("size", [10, 10**6])  # written at the end, written at once
def test_a_reader_that_leaves_is_no_error(recipe: Path, size: int) -> None:
    recipe.write_text(recipe.read_text().replace("print(configs", f"print('x' * {size}); print(configs"))
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*run_it(), "train", recipe], **pipes, env=buffered) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        said = run.stderr.read()
        run.wait(timeout=30)
    assert said == b""
    assert run.returncode == 1


def test_a_full_disk_is_one_line(recipe: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*run_it(), "train", recipe], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: standard output: No space left on device; files saved before are complete\n"


def test_a_file_that_is_no_recipe(command, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("Config = int\n")
    result = command("train", path)
    assert result.code == 2
    assert f"{path}: a recipe needs 'prepare'" in result.err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["train", "t5", "--batch-size", "4"], "'--per-device-train-batch-size' or '--per-device-eval-batch-size'"),
        (["generate", "m", "--batch-size", "4"], "did you mean '--per-device-eval-batch-size'?"),
        (["train", "t5", "--lerning-rate", "4"], "did you mean '--learning-rate'?"),
        (["train", "t5", "--zzzz"], "`hf-seq2seq train t5 --help` lists the flags"),
    ],
)
def test_a_flag_that_is_called_otherwise(command, arguments: list[str], hint: str) -> None:
    assert hint in command(*arguments).err


def test_a_key_that_is_called_otherwise(command, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("train_file: a.tsv\nbatch_size: 4\n")
    assert "did you mean 'per_device_train_batch_size'" in command("train", "t5", "-c", tmp_path / "run.yaml").err


def test_choices_are_shown_as_choices(command) -> None:
    page = command("train", "rnn", "--help").out
    assert "--decoder-style [luong|bahdanau]" in page
    assert "--report-to [tensorboard|wandb|trackio],…" in page
    assert "One of" not in page
