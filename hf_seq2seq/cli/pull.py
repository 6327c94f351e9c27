"""`hf-seq2seq pull REPOSITORY FOLDER`: download a model from the Hub to a folder."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.sections import Section, build, option


@dataclass(frozen=True, kw_only=True)
class Version(Section):
    """Hub."""

    revision: str | None = option(None, "Branch, tag or commit; by default main.", aliases=("hub_revision",))


@dataclass(frozen=True)
class PullConfig:
    """The flags of `pull`."""

    hub: Version = field(default_factory=Version)


Repository = Annotated[str, Argument(metavar="REPOSITORY", help="Its name on the Hub, such as me/my-model.")]
Folder = Annotated[str, Argument(metavar="FOLDER", help="A new folder.")]


def pull(repository: Repository, folder: Folder, *, values: Values) -> None:
    """Downloads a model, and says how to use it."""
    config = build(PullConfig, values, origin="pull")
    from hf_seq2seq.hub.pull import pull as download
    from hf_seq2seq.hub.pull import what_next

    place = Path(folder).expanduser()
    download(repository, place, config.hub.revision)
    print(what_next(place), file=sys.stderr)


COMMAND = FlagCommand(pull, PullConfig)
build_command = COMMAND.build
