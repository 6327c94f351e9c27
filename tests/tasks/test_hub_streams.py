"""A run on a data set of a Hub on the loopback interface, of several shards, of which a buffer at a time is fetched."""

import io
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

VALUES: dict[str, Any] = {
    "dataset_name": "team/pairs", "streaming": True, "shuffle_buffer_size": 40, "max_steps": 18, "save_steps": 2,
    "per_device_train_batch_size": 8, "hidden_size": 16, "embedding_size": 16, "dropout": 0.2, "use_cpu": True,
    "tokenizer_type": "char", "max_source_length": 12, "max_target_length": 12, "eval_steps": 100, "num_beams": 1,
    "save_total_limit": 100,
}  # fmt: skip
SHARD, SHARDS = 30, 4  # of 120 rows in all; 18 steps read 144
PROGRAM = """
import json
import os
import signal
import sys

import datasets

from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import rnn
from hf_seq2seq.sections import build
from hf_seq2seq.training.loop import Loop

values = json.loads(sys.argv[1])
datasets.config.STREAMING_READ_MAX_RETRIES, datasets.config.STREAMING_READ_RETRY_INTERVAL = 1, 0


def train(folder, dies_at, more):
    update = Loop._update

    def dies(loop):
        if loop.state.global_step == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        update(loop)

    Loop._update = dies
    rnn.main(build(rnn.Config, values | {"output_dir": folder} | more))


def run(folder, dies_at=None, **more):
    process = os.fork()
    if not process:
        try:
            train(folder, dies_at, more)
            os._exit(0)
        except InputError as error:
            print(error, flush=True)
        finally:
            os._exit(2)
    print(folder, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


run("whole")
run("killed", 9)
run("killed", resume_from_checkpoint="last")
"""
ALONE = '\nrun("cut off")\n'


def shard(first: int, count: int) -> bytes:
    draw = random.Random(first)
    words = ["".join(draw.choices("abcde", k=draw.randint(2, 9))) for _ in range(count)]
    stream = io.BytesIO()
    pq.write_table(pa.table({"source": words, "target": [word[::-1] for word in words]}), stream)
    return stream.getvalue()


def serve(hub: Any) -> list[str]:
    """Puts the data set on the Hub and names where its training shards are stored."""
    files = {f"data/train-{n:05}-of-{SHARDS:05}.parquet": shard(n * SHARD, SHARD) for n in range(SHARDS)}
    files["data/validation-00000-of-00001.parquet"] = shard(1000, 8)
    repo = hub.add("dataset", "team/pairs", files | {"README.md": b"# Pairs\n"})
    blobs = repo.trees[repo.branches["main"]]
    return [f"/cdn/{blobs[path].sha256}" for path in files if "train" in path]


def test_a_run_on_shards_goes_on_where_it_was_killed(
    loopback_hub: Any, hub_python: str, hub_home: Path, tmp_path: Path
) -> None:
    shards = serve(loopback_hub)
    (tmp_path / "cache").mkdir()
    hub_home.unlink(missing_ok=True)
    hub_home.symlink_to(tmp_path / "cache")
    environment = os.environ | loopback_hub.environment(None) | {"HF_HOME": str(hub_home)}

    def run(program: str) -> subprocess.CompletedProcess[str]:
        command = [hub_python, "-c", program, json.dumps(VALUES)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = run(PROGRAM)
    assert done.stdout.splitlines() == ["whole 0", "killed -9", "killed 0"], done.stderr
    assert not (tmp_path / "cache" / "datasets" / "team___pairs").exists()  # no file was kept
    assert "resuming from killed/checkpoint-8" in done.stderr
    fetched = [line.split()[1] for line in loopback_hub.requests if line.startswith("GET /cdn/")]
    assert set(shards) <= set(fetched)
    whole, found = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(found[name], weight) for name, weight in whole.items())

    # The storage is cut off behind the first buffer.
    loopback_hub.dies_at = f"GET {shards[2]}"
    alone = PROGRAM[: PROGRAM.index('\nrun("whole")')] + ALONE
    cut = run(alone)
    said, code = cut.stdout.splitlines()
    assert code == "cut off 2", cut.stderr
    assert said.startswith("team/pairs, split train: cannot be read further: ")
    assert (tmp_path / "cut off" / "checkpoint-4").is_dir()
