"""`hf-seq2seq push FOLDER`: publish a finished run on the Hub."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from hf_seq2seq.cli.flag_command import FlagCommand
from hf_seq2seq.cli.options import Argument, Values
from hf_seq2seq.configs import Publication
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import Section, build, option


@dataclass(frozen=True, kw_only=True)
class Merging(Section):
    """Adapters."""

    merge_adapter: bool = option(False, "Publish a full model: the adapter merged into its base.")


@dataclass(frozen=True)
class PushConfig:
    """The flags of `push`."""

    hub: Publication = field(default_factory=Publication)
    merging: Merging = field(default_factory=Merging)


Folder = Annotated[str, Argument(metavar="FOLDER", help="Folder of a finished run.")]


def push(folder: Folder, *, values: Values) -> None:
    """Uploads a run."""
    config = build(PushConfig, values, origin="push")
    from hf_seq2seq.hub import push as hub
    from hf_seq2seq.hub.published_card import sign_card
    from hf_seq2seq.hub.run_folder import adapter_base, check_finished

    place = Path(folder).expanduser()
    if not config.merging.merge_adapter:
        hub.report(hub.push(place, config.hub))
        return
    check_finished(place)
    if adapter_base(place) is None:
        raise InputError(f"--merge-adapter: {folder} contains no adapter")
    hub.check_publication(config.hub)
    sign_card(place / "README.md", config.hub.license, config.hub.language)
    from hf_seq2seq.hub.merging import merged_copy

    with merged_copy(place) as copy:
        hub.report(hub.push(copy, config.hub))


COMMAND = FlagCommand(push, PushConfig)
build_command = COMMAND.build
