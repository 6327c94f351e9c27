"""From a data set on the Hub to a model on the Hub and back, with an upload that breaks off, and adapters."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HubCommand = Callable[..., Any]
TINY = "d_model=16,encoder_layers=1,decoder_layers=1,encoder_ffn_dim=16,decoder_ffn_dim=16,encoder_attention_heads=2"
SMALL = ("--metrics", "chrf", "--max-target-length", "8", "--max-source-length", "8", "--max-steps", "2")
SCRATCH = ("--from-scratch", "--tokenizer-type", "char", "--config-overrides", f"{TINY},decoder_attention_heads=2")


def rows(words: str) -> bytes:
    lines = [f"{word},{word[::-1]}" for word in words.split()]
    return "\n".join(["source,target", *lines * 5, ""]).encode()


@pytest.fixture
def words(loopback_hub: Any) -> tuple[str, ...]:
    """A data set with a training and a test split."""
    loopback_hub.add("dataset", "me/words", {"train.csv": rows("abc bca cab ab cd"), "test.csv": rows("ac bd ca")})
    return ("--dataset-name", "me/words")


def program_of(repo: Any) -> str:
    card = repo.files()["README.md"].decode()
    return re.search(r"^```python\n(.*?)^```$", card, re.MULTILINE | re.DOTALL).group(1)


def test_there_and_back(loopback_hub: Any, hub_command: HubCommand, tmp_path: Path, words: tuple[str, ...]) -> None:
    # The server dies when the weights have arrived, before they are committed.
    loopback_hub.dies_at = "POST .*/commit/"
    push = ("--push-to-hub", "--hub-model-id", "me/reverser", "--license", "mit", "--hub-private-repo")
    said = hub_command("train", "bart", *words, *SMALL, *SCRATCH, *push, "--output-dir", "my run")
    assert said.code == 2
    reason, remedy = said.err.splitlines()[-2:]
    assert reason == f"error: me/reverser: the Hub does not respond ({loopback_hub.url})"
    assert remedy.startswith("nothing is lost: the run is saved in my run; ")
    run = tmp_path / "my run"
    assert {"model.safetensors", "README.md", "all_results.json"} <= {path.name for path in run.iterdir()}
    repo, sent = loopback_hub.repos["model", "me/reverser"], list(loopback_hub.uploads)
    assert (repo.messages, len(sent)) == (["initial commit"], 2)  # weights and picture

    # The command that the message names sends the rest.
    loopback_hub.dead, loopback_hub.dies_at = False, None
    again = shlex.split(re.search("`(.*)`", remedy).group(1))[1:]
    assert hub_command(*again).code == 0
    assert loopback_hub.uploads == sent
    assert repo.private
    assert repo.files()["model.safetensors"] == (run / "model.safetensors").read_bytes()
    card = repo.files()["README.md"].decode()
    assert "datasets:\n- me/words\n" in card
    assert "license: mit\n" in card

    # What comes back trains on, here with an adapter.
    said = hub_command("pull", "me/reverser", "pulled")
    command = re.search("`(hf-seq2seq train .*)`", said.err).group(1)
    assert command == "hf-seq2seq train bart --model-name-or-path pulled"
    assert {path.name for path in (tmp_path / "pulled").iterdir()} == repo.files().keys()
    lora = ("--lora-r", "2", "--learning-rate", "0.5", "--output-dir", "adapted")
    said = hub_command(*shlex.split(command)[1:], *words, *SMALL, *lora)
    assert said.code == 0, said.err

    # Its base is a folder of this machine, until it is merged or named by its place on the Hub.
    said = hub_command("push", "adapted", "--hub-model-id", "me/adapted")
    assert (said.code, str(tmp_path / "pulled") in said.err) == (2, True)
    said = hub_command("push", "adapted", "--hub-model-id", "me/adapted", "--merge-adapter")
    assert said.code == 0, said.err
    adapted = loopback_hub.repos["model", "me/adapted"]
    assert {"model.safetensors", "config.json"} <= adapted.files().keys()
    assert not [name for name in adapted.files() if name.startswith("adapter")]
    loopback_hub.add("model", "me/whole", adapted.files())
    settings = tmp_path / "adapted" / "adapter_config.json"
    settings.write_text(settings.read_text().replace(str(tmp_path / "pulled"), "me/reverser"))
    assert hub_command("push", "adapted", "--hub-model-id", "me/adapted").code == 0
    names = adapted.files().keys()
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names
    assert not {"model.safetensors", "config.json"} & names
    assert "an adapter of me/reverser" in hub_command("pull", "me/adapted", "adapter").err

    # Alone and merged they compute the same, and not what their base computes.
    compared = "inputs = tokenizer(texts, return_tensors='pt')\nloss = model(**inputs, labels=inputs.input_ids).loss"
    whole = program_of(loopback_hub.repos["model", "me/whole"]).replace("me/adapted", "me/whole")
    said = hub_command(
        program="\n".join(
            f"{text}\n{compared}\nprint('loss', loss.item())" for text in (program_of(repo), program_of(adapted), whole)
        )
    )
    assert said.code == 0, said.err
    base, alone, merged = [float(line.split()[1]) for line in said.out.splitlines() if line.startswith("loss")]
    assert alone == pytest.approx(merged, rel=1e-5)
    assert abs(alone - base) > 0.005
