"""Publishing at the end of a training in two processes: one uploads, and a failed upload ends both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

HubCommand = Callable[..., Any]
SMALL = ("--tokenizer-type", "char", "--hidden-size", "16", "--embedding-size", "8", "--metrics", "chrf")
SHORT = ("--max-target-length", "8", "--max-steps", "2", "--per-device-train-batch-size", "4", "--num-processes", "2")
PUSH = ("--push-to-hub", "--hub-model-id", "me/run", "--license", "mit")
SAVED = {"model.safetensors", "config.json", "README.md", "all_results.json", "generated_predictions.txt", "run.yaml"}


def commits(loopback_hub: Any) -> list[str]:
    return [line for line in loopback_hub.requests if line.startswith("POST") and "/commit/" in line]


def test_two_processes_publish_once(loopback_hub: Any, hub_command: HubCommand, tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("source\ttarget\n" + "ab\tba\nabc\tcba\nbca\tacb\nca\tac\n" * 3)
    (tmp_path / "test.tsv").write_text("source\ttarget\nba\tab\ncab\tbac\nac\tca\n")
    train = ("train", "rnn", "--train-file", "train.tsv", "--test-file", "test.tsv", *SMALL, *SHORT, *PUSH)

    # The server dies when the files have arrived, before they are committed.
    loopback_hub.dies_at = "POST .*/commit/"
    said = hub_command(*train, "--output-dir", "run")
    assert "on 2 processes" in said.err
    assert said.code == 2, said.err
    reason, remedy = said.err.splitlines()[-2:]
    assert reason == f"error: me/run: the Hub does not respond ({loopback_hub.url})"
    assert remedy.startswith("nothing is lost: the run is saved in run; `hf-seq2seq push run ")
    assert (said.err.count("error:"), said.err.count("nothing is lost")) == (1, 1)
    assert {path.name for path in (tmp_path / "run").iterdir()} >= SAVED
    repo, sent = loopback_hub.repos["model", "me/run"], list(loopback_hub.uploads)
    assert repo.messages == ["initial commit"]

    # The same training once more, with a server that lives.
    loopback_hub.dead, loopback_hub.dies_at = False, None
    loopback_hub.requests.clear()
    said = hub_command(*train, "--output-dir", "again", "--hub-commit-message", "Once")
    assert (said.code, said.err.count("published: ")) == (0, 1), said.err
    assert "on 2 processes" in said.err
    assert repo.messages == ["initial commit", "Once"]
    assert len(commits(loopback_hub)) == 1
    assert len(loopback_hub.uploads) == len(set(loopback_hub.uploads))
    assert sent
    for name in ("model.safetensors", "all_results.json"):
        assert repo.files()[name] == (tmp_path / "again" / name).read_bytes()
