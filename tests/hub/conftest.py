"""Finished runs of tiny models, and commands that take the loopback server for the Hub."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Said(NamedTuple):
    code: int
    out: str
    err: str


HubCommand = Callable[..., Said]


def pairs(path: Path, rows: int, seed: int) -> Path:
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcde", k=draw.randint(2, 6))) for _ in range(rows)]
    path.write_text("source\ttarget\n" + "".join(f"{word}\t{word[::-1]}\n" for word in words))
    return path


@pytest.fixture
def hub_command(
    loopback_hub: Any, hub_home: Path, torch_processes: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> HubCommand:
    """Runs `hf-seq2seq`, or a program without it, in a process of its own; no token may show in what it leaves."""
    (tmp_path / "cache").mkdir()
    hub_home.unlink(missing_ok=True)
    hub_home.symlink_to(tmp_path / "cache")

    def run(*arguments: str | Path, token: str | None = "hf_loopbackWRITEsecret", program: str = "") -> Said:
        environment = os.environ | loopback_hub.environment(token) | {"HF_HOME": str(hub_home)}
        environment |= {"PYTHONPATH": str(ROOT)}
        if "train" in arguments[:1]:  # which imports more than the others
            command = [request.getfixturevalue("hub_python"), "-m", "hf_seq2seq", *map(str, arguments)]
            pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
            done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, **pipes)
        else:
            done = torch_processes.run(*map(str, arguments), program=program, cwd=tmp_path, environment=environment)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        for secret in {*loopback_hub.tokens, *([token] if token else [])}:
            assert secret not in done.stdout + done.stderr
            assert not [path for path in files if secret.encode() in path.read_bytes()]
        assert not loopback_hub.leaks
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def trained_rnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hand-built model with one vocabulary per side; tests copy it."""
    from hf_seq2seq.recipes import rnn
    from hf_seq2seq.sections import build

    folder = tmp_path_factory.mktemp("rnn")
    values = {
        "train_file": str(pairs(folder / "train.tsv", 60, 1)),
        "test_file": str(pairs(folder / "test.tsv", 12, 2)),
    }
    values |= {"tokenizer_type": "char", "separate_vocabularies": True, "max_target_length": 8, "max_steps": 3}
    values |= {"hidden_size": 16, "embedding_size": 8, "metrics": "chrf", "output_dir": str(folder / "run")}
    rnn.main(build(rnn.Config, values))
    return folder / "run"


@pytest.fixture
def run_folder(trained_rnn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_rnn, tmp_path / "run"))
