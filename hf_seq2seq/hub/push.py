"""Publishes a finished run: one commit of its files, and no commit where nothing changed."""

import shlex
import sys
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_seq2seq.configs import Hub, Publication, RunConfig
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.access import explained, open_hub
from hf_seq2seq.hub.licenses import check_license
from hf_seq2seq.hub.metadata import check_languages
from hf_seq2seq.hub.published_card import card_license, is_edited, published_card, renewed, sign_card, signed
from hf_seq2seq.hub.run_folder import MODEL, PREDICTIONS, TOKENIZER, adapter_base, check_finished, files_for_others
from hf_seq2seq.sections import flag, flatten, section_of

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

CARD = "README.md"
# Of an earlier push, these would be taken for parts of the model, or were asked for then and are not now.
RENEWED = (*MODEL, *TOKENIZER, *PREDICTIONS)


class Published(NamedTuple):
    """What came of a push: the repository's page, whether anything in it is new, and whether it names a license."""

    url: str
    changed: bool
    licensed: bool


def check_publication(options: Publication) -> "HfApi":
    """Refuses, before anything is trained or read, what could not be uploaded.

    Raises:
        InputError: no name, a license or language that the Hub refuses, or no right to write there.
    """
    check_card_options(options)
    if options.hub_model_id is None:
        raise InputError("--hub-model-id names the repository, such as me/my-model")
    return open_hub(options.hub_model_id)


def check_card_options(options: Publication) -> None:
    """Refuses what the Hub would not accept in a card.

    Raises:
        InputError: with the nearest license or the form of a language.
    """
    check_license(options.license)
    check_languages(options.language)


def check_run_publication(config: RunConfig) -> None:
    """Refuses, before a run is begun, what its card or its upload would be refused for; the Hub is not asked.

    Args:
        config: the recipe's.

    Raises:
        InputError: a license or language, or an adapter of a local folder that is to be published alone.
    """
    given = flatten(config)
    check_card_options(section_of(config, Hub) or Hub())
    alone = given.get("lora_r") is not None and not given.get("merge_adapter")
    base = given.get("model_name_or_path")
    if given.get("push_to_hub") and alone and base and Path(base).expanduser().is_dir():
        raise InputError(f"--push-to-hub: others lack {base}, which the adapter needs; add --merge-adapter")


def push(folder: Path, options: Publication) -> Published:
    """Uploads a finished run's folder.

    The card in the folder takes the license and the languages that are given here, and keeps them; nothing else in the
    folder changes.

    Args:
        folder: of a run.
        options: what to publish, and where.

    Raises:
        InputError: no finished run, an adapter of a model that nobody else has, or the Hub refuses or does not answer.
    """
    check_finished(folder)
    check_base(folder)
    api = check_publication(options)
    repository = str(options.hub_model_id)
    with explained(repository):
        sign_card(folder / "README.md", options.license, options.language)
        licensed = card_license(folder / "README.md") is not None
        repository, before = _open_repository(api, repository, options)
        operations: list[Any] = _additions(folder, repository, options, _card_there(api, repository, before))
        operations += _deletions(api, folder, repository, options)
        message = options.hub_commit_message or f"Publish {folder.resolve().name}"
        done = api.create_commit(repository, operations, commit_message=message, revision=options.hub_revision)
    return Published(f"{api.endpoint}/{repository}", done.oid != before, licensed)


def check_base(folder: Path) -> None:
    """Refuses an adapter whose base is a folder of this machine.

    Raises:
        InputError: names the folder and the way out.
    """
    base = adapter_base(folder)
    if base and Path(base).is_absolute():
        raise InputError(
            f"{folder}: an adapter of {base}, a folder that others do not have; "
            "--merge-adapter publishes a whole model, or publish the base and name it in adapter_config.json"
        )


def _open_repository(api: "HfApi", repository: str, options: Publication) -> tuple[str, str | None]:
    """Makes the repository and the branch where there are none; returns its full name and the branch's last commit."""
    private = options.hub_private_repo
    repository = api.create_repo(repository, private=private or None, exist_ok=True).repo_id
    if private and not api.model_info(repository).private:
        raise InputError(f"{repository}: is there already, and public; make it private on its page, or push elsewhere")
    if options.hub_revision:
        api.create_branch(repository, branch=options.hub_revision, exist_ok=True)
    return repository, api.model_info(repository, revision=options.hub_revision).sha


def _card_there(api: "HfApi", repository: str, revision: str | None) -> str | None:
    """The card that the repository has."""
    if not api.file_exists(repository, CARD, revision=revision):
        return None
    return Path(api.hf_hub_download(repository, CARD, revision=revision)).read_text(encoding="utf-8")


def _additions(folder: Path, repository: str, options: Publication, there: str | None) -> "list[CommitOperationAdd]":
    from huggingface_hub import CommitOperationAdd

    found = []
    for name in files_for_others(folder, options.include_predictions):
        content: str | bytes = str(folder / name)
        if name == CARD:
            content = _card(folder / name, repository, options, there).encode()
        found.append(CommitOperationAdd(name, content))
    return found


def _card(path: Path, repository: str, options: Publication, there: str | None) -> str:
    """What the repository's card becomes: the run's, unless the one that is there is somebody's own."""
    if there is not None and is_edited(there) and not options.replace_card:
        print(
            f"{repository}: its card was edited on the Hub, and stays; --replace-card puts the run's in its place",
            file=sys.stderr,
        )
        return signed(there, options.license, options.language)
    card = published_card(path.read_text(encoding="utf-8"), repository, options.hub_revision)
    return renewed(card, None if options.replace_card else there)


def _deletions(api: "HfApi", folder: Path, repository: str, options: Publication) -> "list[CommitOperationDelete]":
    from huggingface_hub import CommitOperationDelete

    kept = set(files_for_others(folder, options.include_predictions))
    there = api.list_repo_files(repository, revision=options.hub_revision)
    return [CommitOperationDelete(name) for name in there if name not in kept and _is_renewed(name)]


def _is_renewed(name: str) -> bool:
    """Whether a push writes files of this name; a star is no slash."""
    return any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in RENEWED)


def push_finished_run(folder: Path, options: Publication) -> None:
    """Uploads at the end of a training; a failure costs nothing, and says how to try again.

    Raises:
        InputError: the upload failed.
    """
    try:
        report(push(folder, options))
    except InputError as error:
        again = push_command(folder, options)
        raise InputError(f"{error}\nnothing is lost: the run is saved in {folder}; `{again}` uploads it") from error


def push_command(folder: Path, options: Publication) -> str:
    """The command that publishes a folder with these options."""
    words = ["hf-seq2seq", "push", str(folder)]
    for item in fields(Publication):
        value = getattr(options, item.name)
        if value != item.default:
            given = ",".join(value) if isinstance(value, tuple) else str(value)
            words += [flag(item.name)] if value is True else [flag(item.name), given]
    return shlex.join(words)


def report(done: Published) -> None:
    """Says on standard error where the model is, and what its card lacks."""
    print(f"published: {done.url}" if done.changed else f"nothing is new: {done.url}", file=sys.stderr)
    if not done.licensed:
        print("its card names no license, so others may not use it; --license names one", file=sys.stderr)
