"""Options of publishing a model on the Hub; importing this module does not import torch."""

from dataclasses import dataclass

from hf_seq2seq.sections import Section, option


@dataclass(frozen=True, kw_only=True)
class Publication(Section):
    """Hub: what to publish, and how."""

    hub_model_id: str | None = option(None, "Repository on the Hub, such as me/my-model.")
    hub_private_repo: bool = option(False, "Make the repository private.", aliases=("private",))
    hub_revision: str | None = option(
        None, "Branch to write to, created if missing; by default main.", aliases=("revision",)
    )
    hub_commit_message: str | None = option(None, "Message of the commit.", aliases=("commit_message",))
    include_predictions: bool = option(False, "Also publish the predictions.")
    replace_card: bool = option(False, "Replace a card that was edited on the Hub; by default it is kept.")
    license: str | None = option(None, "License, by the Hub's name for it, such as apache-2.0.")
    language: tuple[str, ...] = option((), "Languages of the text, for the card: de,en; by default those of the data.")


@dataclass(frozen=True, kw_only=True)
class Hub(Publication):
    """Hub: what to publish, and how."""

    push_to_hub: bool = option(False, "Publish the run when it is finished and saved.")
