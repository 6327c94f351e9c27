"""Publishing over real HTTP: what goes up, what does not, and what a refusal leaves."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hf_seq2seq.api import recipe_files
from hf_seq2seq.configs import Hub
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.push import check_run_publication
from hf_seq2seq.recipes import bart
from hf_seq2seq.sections import build, options

HubCommand = Callable[..., Any]


def model(loopback_hub: Any, name: str = "me/run") -> Any:
    return loopback_hub.repos["model", name]


def program(card: str) -> str:
    return re.search(r"^```python\n(.*?)^```$", card, re.MULTILINE | re.DOTALL).group(1)


def test_a_link_out_of_the_run_is_not_followed(hub_command: HubCommand, run_folder: Path, tmp_path: Path) -> None:
    card = run_folder / "loss.png"
    (tmp_path / "secret").write_bytes(b"of mine")
    card.unlink(missing_ok=True)
    card.symlink_to(tmp_path / "secret")
    said = hub_command("push", run_folder, "--hub-model-id", "me/linked")
    assert said.code == 2
    assert f"loss.png: links to {tmp_path / 'secret'}, outside the run; put a copy in its place" in said.err
    card.unlink()
    (run_folder / "one.png").write_bytes(b"a picture")
    card.symlink_to("one.png")
    assert hub_command("push", run_folder, "--hub-model-id", "me/linked").code == 0


def test_what_is_there_is_not_sent_again(loopback_hub: Any, hub_command: HubCommand, run_folder: Path) -> None:
    loopback_hub.part_size = 7000  # the weights go in parts
    said = hub_command("push", "run", "--hub-model-id", "me/run", "--commit-message", "First")
    assert (said.code, said.out) == (0, "")
    assert said.err.splitlines()[0] == f"published: {loopback_hub.url}/me/run"
    assert "--license" in said.err
    repo = model(loopback_hub)
    assert repo.messages == ["initial commit", "First"]
    assert repo.files()["model.safetensors"] == (run_folder / "model.safetensors").read_bytes()
    assert len([line for line in loopback_hub.requests if "/part/" in line]) > 1
    uploads = list(loopback_hub.uploads)

    said = hub_command("push", "run", "--hub-model-id", "me/run")
    assert said.err.splitlines()[0] == f"nothing changed: {loopback_hub.url}/me/run"
    assert (len(repo.messages), loopback_hub.uploads) == (2, uploads)

    said = hub_command("push", "run", "--hub-model-id", "me/run", "--license", "mit", "--language", "en")
    assert "--license" not in said.err
    assert (len(repo.messages), loopback_hub.uploads) == (3, uploads)
    assert "license: mit\n" in repo.files()["README.md"].decode()
    assert "license: mit\n" in (run_folder / "README.md").read_text()
    assert "language:\n- en\n" in repo.files()["README.md"].decode()


def test_a_card_that_was_edited_on_the_hub_stays(loopback_hub: Any, hub_command: HubCommand, run_folder: Path) -> None:
    push = ("push", "run", "--hub-model-id", "me/run")
    assert "edited" not in hub_command(*push).err
    repo = model(loopback_hub)
    (run_folder / "README.md").write_text((run_folder / "README.md").read_text() + "\nMore, from home.\n")
    assert "edited" not in hub_command(*push).err
    card = repo.files()["README.md"].decode()
    assert "More, from home." in card
    assert card.count("<!-- hf-seq2seq wrote the text above") == 1

    edited = card.replace("## Limits\n", "## Limits\n\n- Written by hand.\n")
    loopback_hub.add("model", "me/run", repo.files() | {"README.md": edited.encode()})
    (run_folder / "all_results.json").write_text("{}")
    said = hub_command(*push)
    assert "me/run: its card was edited on the Hub and is kept; --replace-card replaces it by the run's" in said.err
    repo = model(loopback_hub)
    assert repo.files()["README.md"].decode() == edited
    assert repo.files()["all_results.json"] == b"{}"
    hub_command(*push, "--license", "mit")
    card = repo.files()["README.md"].decode()
    assert "license: mit\n" in card
    assert "- Written by hand." in card
    assert "edited" not in hub_command(*push, "--replace-card").err
    assert "- Written by hand." not in repo.files()["README.md"].decode()


def test_a_new_repository_s_license_is_kept(loopback_hub: Any, hub_command: HubCommand, run_folder: Path) -> None:
    loopback_hub.add("model", "me/run", {"README.md": b"---\nlicense: cc-by-4.0\n---\n"})
    assert "edited" not in hub_command("push", "run", "--hub-model-id", "me/run").err
    card = model(loopback_hub).files()["README.md"].decode()
    assert "license: cc-by-4.0\n" in card
    assert "## How to use" in card


def test_only_what_a_run_writes_is_published(loopback_hub: Any, hub_command: HubCommand, run_folder: Path) -> None:
    code = {path.name for path in run_folder.glob("*.py")}
    for name in ("notes.txt", "keys.py", "notes.png", ".env"):
        (run_folder / name).write_text("mine")
    (run_folder / "checkpoint-9").mkdir()
    (run_folder / "checkpoint-9" / "model.safetensors").write_bytes(b"9")
    hub_command("push", "run", "--hub-model-id", "me/run", "--include-predictions")
    names = model(loopback_hub).files().keys()
    results = {"all_results.json", "train_results.json", "predict_results.json", "generated_predictions.txt"}
    wanted = {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
    wanted |= {"target_tokenizer/tokenizer.json", "target_tokenizer/tokenizer_config.json"}
    wanted |= {"README.md", "loss.png", "run.yaml", "train_log.jsonl", ".gitattributes"}
    assert names == wanted | results | code
    mine = {"handler.py": b"", "onnx/model.safetensors": b""}  # put there by the user
    loopback_hub.add("model", "me/run", mine | model(loopback_hub).files())
    hub_command("push", "run", "--hub-model-id", "me/run")
    assert model(loopback_hub).files().keys() == (names | mine.keys()) - {"generated_predictions.txt"}


def test_private_and_on_a_branch(loopback_hub: Any, hub_command: HubCommand, run_folder: Path) -> None:
    said = hub_command("push", "run", "--hub-model-id", "team/run", "--private", "--revision", "v2/a")
    assert said.code == 0, said.err
    repo = model(loopback_hub, "team/run")
    assert repo.private
    assert repo.files("main").keys() == {".gitattributes"}
    card = repo.files("v2/a")["README.md"].decode()
    assert "model_path = snapshot_download('team/run', revision='v2/a')" in program(card)


def test_nothing_private_goes_to_a_public_place(loopback_hub: Any, hub_command: HubCommand, run_folder: Path) -> None:
    loopback_hub.add("model", "me/run", {"README.md": b"old"})
    said = hub_command("push", "run", "--hub-model-id", "me/run", "--private")
    assert said.code == 2
    assert "public" in said.err
    assert model(loopback_hub).files() == {"README.md": b"old"}
    assert hub_command("push", "run", "--hub-model-id", "me/run").code == 0  # the name alone is no reason


ALONE = """
import sys

sys.modules["hf_seq2seq"] = None  # any import of it fails
"""


def test_hand_built_models_load_where_this_package_is_not(
    loopback_hub: Any, hub_command: HubCommand, run_folder: Path
) -> None:
    hub_command("push", "run", "--hub-model-id", "me/run", "--private")
    card = model(loopback_hub).files()["README.md"].decode()
    assert "model_path = 'me/run'\n" in program(card)
    said = hub_command(program=ALONE + program(card))
    assert said.code == 0, said.err
    text = re.search(r"^texts = \['(.*)'\]$", card, re.MULTILINE).group(1)
    ours = hub_command("generate", "run", text)
    assert said.out.strip() == str([ours.out.rstrip("\n")])
    hidden = hub_command(program="import huggingface_hub\nhuggingface_hub.model_info('me/run')", token=None)
    assert "RepositoryNotFoundError" in hidden.err


class Refused(NamedTuple):
    arguments: tuple[str, ...]
    message: str
    token: str | None = "hf_loopbackWRITEsecret"


REFUSED = {
    "no name": Refused((), "--hub-model-id"),
    "no token": Refused(("--hub-model-id", "me/run"), "token", None),
    "wrong token": Refused(("--hub-model-id", "me/run"), "does not know the token; HF_TOKEN", "hf_wrongWRONGwrong"),
    "token that reads": Refused(("--hub-model-id", "me/run"), "is read-only", "hf_loopbackREADsecret"),
    "another's name": Refused(("--hub-model-id", "you/run"), "'me', who may write to me, team"),
    "no name at all": Refused(("--hub-model-id", "a/b/c"), "such as me/my-model"),
    "license": Refused(("--hub-model-id", "me/run", "--license", "apache2"), "did you mean 'apache-2.0'?"),
    "License": Refused(("--hub-model-id", "me/run", "--license", "Apache-2.0"), "did you mean 'apache-2.0'?"),
    "language": Refused(("--hub-model-id", "me/run", "--language", "english"), "'english'"),
    "no adapter": Refused(("--hub-model-id", "me/run", "--merge-adapter"), "contains no adapter"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_sent(
    loopback_hub: Any, hub_command: HubCommand, run_folder: Path, name: str
) -> None:
    arguments, message, token = REFUSED[name]
    before = {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
    said = hub_command("push", "run", *arguments, token=token)
    assert said.code == 2, said.err
    assert said.err.startswith("error: ")
    assert len(said.err.splitlines()) == 1
    assert message in said.err
    assert not loopback_hub.repos
    assert {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()} == before


def test_a_folder_without_a_finished_run(loopback_hub: Any, hub_command: HubCommand, run_folder: Path) -> None:
    for name, missing in (("all_results.json", "results"), ("model.safetensors", "weights")):
        (run_folder / name).unlink()
        said = hub_command("push", "run", "--hub-model-id", "me/run")
        assert (said.code, len(said.err.splitlines())) == (2, 1)
        assert "no finished run" in said.err
        assert missing in said.err
    assert "--resume-from-checkpoint last" in said.err
    assert "no such folder" in hub_command("push", "nothing", "--hub-model-id", "me/run").err
    assert not loopback_hub.requests


def test_a_full_quota_costs_nothing(loopback_hub: Any, hub_command: HubCommand, run_folder: Path) -> None:
    loopback_hub.quota = 10
    said = hub_command("push", "run", "--hub-model-id", "me/run")
    assert said.code == 2
    reason = "Private repository storage limit reached, please upgrade your plan"
    assert said.err == f"error: me/run: the Hub refuses (403): {reason}\n"
    assert model(loopback_hub).messages == ["initial commit"]
    loopback_hub.quota = None
    assert hub_command("push", "run", "--hub-model-id", "me/run").code == 0


def test_an_adapter_of_a_model_that_others_lack(hub_command: HubCommand, run_folder: Path) -> None:
    (run_folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/home/me/base"}))
    said = hub_command("push", "run", "--hub-model-id", "me/run")
    assert (said.code, len(said.err.splitlines())) == (2, 1)
    assert "/home/me/base" in said.err
    assert "--merge-adapter" in said.err


def test_every_recipe_can_publish() -> None:
    for name in recipe_files.names():
        assert "push_to_hub" in options(recipe_files.load(name).Config), name


def test_an_adapter_that_could_not_be_published_is_not_trained(tmp_path: Path) -> None:
    values = {"train_file": "t.tsv", "model_name_or_path": str(tmp_path), "output_dir": str(tmp_path / "out")}
    values |= {"lora_r": 2, "push_to_hub": True, "hub_model_id": "me/run"}
    with pytest.raises(InputError, match="--merge-adapter"):
        bart.prepare(build(bart.Config, values))
    with pytest.raises(InputError, match=r"t\.tsv"):
        bart.prepare(build(bart.Config, values | {"merge_adapter": True}))


def test_options_of_publishing_have_no_effect_without_it(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub(hub_model_id="me/run", hub_private_repo=True, license="mit")
    check_run_publication(bart.Config(hub=hub))
    assert [record.getMessage() for record in caplog.records] == [
        "--hub-model-id, --hub-private-repo: ignored without --push-to-hub"
    ]
    caplog.clear()
    for other in (replace(hub, push_to_hub=True), Hub(license="mit")):
        check_run_publication(bart.Config(hub=other))
    assert not caplog.records


def test_a_damaged_run_is_not_published(loopback_hub: Any, hub_command: HubCommand, run_folder: Path) -> None:
    for name in ("model.safetensors", "config.json", "all_results.json"):
        whole = (run_folder / name).read_bytes()
        (run_folder / name).write_bytes(whole[: len(whole) // 2])
        said = hub_command("push", run_folder, "--hub-model-id", "me/run")
        (run_folder / name).write_bytes(whole)
        assert (said.code, len(said.err.splitlines())) == (2, 1), said.err
        assert f"damaged, not published: {name} " in said.err
    assert not loopback_hub.repos
