"""Programs of the package in folders of users."""

import subprocess
from pathlib import Path

import pytest

import hf_seq2seq
from hf_seq2seq.python_modules import module_command


def test_files_of_a_user_s_folder_are_no_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('json of the folder')\n")
    monkeypatch.chdir(tmp_path)
    command = [*module_command("hf_seq2seq"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_checkout_needs_no_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(hf_seq2seq.__file__).parents[1])
    assert "-P" not in module_command("hf_seq2seq")
