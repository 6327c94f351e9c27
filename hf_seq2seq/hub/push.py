"""Publishes a finished run: one commit of its files, or none if nothing changed."""

import logging
import shlex
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_seq2seq.configs import Hub, Publication, RunConfig
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.access import explained, open_hub
from hf_seq2seq.hub.licenses import check_license
from hf_seq2seq.hub.metadata import check_languages
from hf_seq2seq.hub.published_card import card_license, is_edited, keep_metadata, published_card, sign_card, signed
from hf_seq2seq.hub.run_folder import (
    MODEL,
    PREDICTIONS,
    TOKENIZER,
    adapter_base,
    check_finished,
    check_links,
    files_for_others,
)
from hf_seq2seq.sections import flag, flatten, section_of

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

logger = logging.getLogger(__name__)

CARD = "README.md"
OF_THE_CARD = ("license", "language")
"""Options that also count where nothing is published."""
# Left from an earlier push, these would be mistaken for parts of the model, or are no longer wanted.
RENEWED = (*MODEL, *TOKENIZER, *PREDICTIONS)


class Published(NamedTuple):
    """The result of a push: the repository's page, whether anything changed, and whether it names a license."""

    url: str
    changed: bool
    licensed: bool


def check_publication(options: Publication) -> "HfApi":
    """Rejects settings that would make the upload fail, before anything is trained or read.

    Raises:
        InputError: the name is missing, the Hub would reject the license or a language, or the user may not write
            there.
    """
    check_card_options(options)
    if options.hub_model_id is None:
        raise InputError("--hub-model-id names the repository, such as me/my-model")
    return open_hub(options.hub_model_id)


def check_card_options(options: Publication) -> None:
    """Rejects card metadata that the Hub would not accept.

    Raises:
        InputError: names the nearest license, or the format of a language code.
    """
    check_license(options.license)
    check_languages(options.language)


def check_run_publication(config: RunConfig) -> None:
    """Rejects settings that would make the card or upload fail, before a run starts and without asking the Hub.

    Args:
        config: the recipe's configuration.

    Raises:
        InputError: the license or a language is invalid, or an adapter of a local folder would be published alone.
    """
    given, hub = flatten(config), section_of(config, Hub) or Hub()
    check_card_options(hub)
    if not hub.push_to_hub and (idle := [name for name in hub.changed() if name not in OF_THE_CARD]):
        logger.warning("%s: ignored without --push-to-hub", ", ".join(map(flag, idle)))
    alone = (any(given.get(name) for name in ("lora_r", "ia3", "prompt_tokens"))) and not given.get("merge_adapter")
    base = given.get("model_name_or_path")
    if given.get("push_to_hub") and alone and base and Path(base).expanduser().is_dir():
        raise InputError(f"--push-to-hub: the adapter needs {base}, which is not on the Hub; add --merge-adapter")


def push(folder: Path, options: Publication) -> Published:
    """Uploads a finished run's folder.

    The license and languages given here are written to the card in the folder; nothing else in the folder changes.

    Args:
        folder: the run's folder.
        options: what to publish, and where.

    Raises:
        InputError: the run is not finished, the folder is an adapter of a local model, a file is a link out of the
            folder, or the Hub refuses or does not respond.
    """
    check_finished(folder)
    check_base(folder)
    check_links(folder, options.include_predictions)
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
    """Rejects an adapter whose base is a local folder.

    Raises:
        InputError: the base is local; names it and a fix.
    """
    base = adapter_base(folder)
    if base and Path(base).is_absolute():
        raise InputError(
            f"{folder}: an adapter of the local folder {base}; "
            "--merge-adapter publishes the full model, or publish the base and name it in adapter_config.json"
        )


def _open_repository(api: "HfApi", repository: str, options: Publication) -> tuple[str, str | None]:
    """Creates the repository and branch if missing; returns its full name and the branch's last commit."""
    private = options.hub_private_repo
    repository = api.create_repo(repository, private=private or None, exist_ok=True).repo_id
    if private and not api.model_info(repository).private:
        raise InputError(f"{repository}: already exists and is public; make it private on its page, or push elsewhere")
    if options.hub_revision:
        api.create_branch(repository, branch=options.hub_revision, exist_ok=True)
    return repository, api.model_info(repository, revision=options.hub_revision).sha


def _card_there(api: "HfApi", repository: str, revision: str | None) -> str | None:
    """The repository's current card."""
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
    """The repository's new card: the run's, unless the existing one was written or edited by somebody."""
    if there is not None and is_edited(there) and not options.replace_card:
        print(
            f"{repository}: its card was edited on the Hub and is kept; --replace-card replaces it by the run's",
            file=sys.stderr,
        )
        return signed(there, options.license, options.language)
    card = published_card(path.read_text(encoding="utf-8"), repository, options.hub_revision)
    return keep_metadata(card, None if options.replace_card else there)


def _deletions(api: "HfApi", folder: Path, repository: str, options: Publication) -> "list[CommitOperationDelete]":
    from huggingface_hub import CommitOperationDelete

    kept = set(files_for_others(folder, options.include_predictions))
    there = api.list_repo_files(repository, revision=options.hub_revision)
    return [CommitOperationDelete(name) for name in there if name not in kept and _is_renewed(name)]


def _is_renewed(name: str) -> bool:
    """Whether a push writes files of this name; a star does not match a slash."""
    return any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in RENEWED)


def push_finished_run(folder: Path, options: Publication) -> None:
    """Uploads at the end of training; a failure loses nothing, and says how to retry.

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
    for name, value in options.changed().items():
        if name != "push_to_hub":
            given = ",".join(value) if isinstance(value, tuple) else str(value)
            words += [flag(name)] if value is True else [flag(name), given]
    return shlex.join(words)


def report(done: Published) -> None:
    """Prints to standard error where the model is, and what its card lacks."""
    print(f"published: {done.url}" if done.changed else f"nothing changed: {done.url}", file=sys.stderr)
    if not done.licensed:
        print("its card names no license, so others may not use it; --license names one", file=sys.stderr)
