"""The published form of a card: license and languages, and the path that its program loads from."""

import hashlib
import re
from pathlib import Path
from typing import Any

from hf_seq2seq.drafts import open_draft
from hf_seq2seq.saved.model_paths import BASE_CONFIG

ADAPTED = {
    False: ", config=config",
    True: ", config=config, ignore_mismatched_sizes=True",
}
"""How an adapter's model is loaded, keyed by whether it is a classifier, whose base may have a head for other labels.
"""
TRUST = ", trust_remote_code=True)"
CONFIG_LINES = {
    False: f'config = AutoConfig.from_pretrained(f"{{model_path}}/{BASE_CONFIG}")',
    True: f'config = AutoConfig.from_pretrained(model_path, _configuration_file="{BASE_CONFIG}"' + TRUST,
}
"""How the configuration of an adapter's base is loaded, keyed by whether the base's code lies in the folder.

Transformers finds that code only if it is given the folder rather than the file.
"""
LOAD_LINE = re.compile(r"^model_path = .*$", re.MULTILINE)
WITH_PEFT = re.compile(r"^PEFT loads it, too: .*\n\n", re.MULTILINE)
FRONT_MATTER = re.compile(r"\A\s*---\n.*?^---\s*$", re.MULTILINE | re.DOTALL)
MARK = "\n<!-- hf-seq2seq wrote the text above: {} -->\n"
MARKED = re.compile(r"\n<!-- hf-seq2seq wrote the text above: (\w+) -->\n?\Z")
TITLE = re.compile(r"^# .*$", re.MULTILINE)


def card_license(path: Path) -> str | None:
    """The license named in a card."""
    found: str | None = _parse(path.read_text(encoding="utf-8")).data.license
    return found


def sign_card(path: Path, license: str | None, languages: tuple[str, ...]) -> None:
    """Writes a license and languages into a card's front matter; without either the file is unchanged."""
    card = path.read_text(encoding="utf-8")
    new = signed(card, license, languages)
    if new != card:
        with open_draft(path) as stream:
            stream.write(new)


def published_card(text: str, repository: str, revision: str | None) -> str:
    """The card as published: titled after the repository, from which its program loads the model."""
    text = MARKED.sub("", text)
    line = f"model_path = {repository!r}"
    if revision or BASE_CONFIG in text:  # which can only be read from a folder
        version = f", revision={revision!r}" if revision else ""
        line = (
            f"from huggingface_hub import snapshot_download\n\nmodel_path = snapshot_download({repository!r}{version})"
        )
    text = TITLE.sub(lambda _: f"# {repository.split('/')[-1]}", text, count=1)
    return LOAD_LINE.sub(lambda _: line, text, count=1)


def is_edited(card: str) -> bool:
    """Whether somebody wrote a card, or edited one written by a push; metadata without text do not count."""
    mark = MARKED.search(card)
    if mark is not None:
        return mark[1] != _digest(card[: mark.start()])
    return bool(FRONT_MATTER.sub("", card, count=1).strip())


def keep_metadata(card: str, there: str | None) -> str:
    """The card with a comment by which later edits can be detected.

    Args:
        card: the card to publish.
        there: what it replaces: an earlier card, or metadata only, from which the card takes missing fields.
    """
    if there is not None and MARKED.search(there) is None:
        known, more = _parse(card), _parse(there).data.to_dict()
        lacking = {key: value for key, value in more.items() if getattr(known.data, key, None) is None}
        for key, value in lacking.items():
            setattr(known.data, key, value)
        card = str(known) if lacking else card
    return f"{card}{MARK.format(_digest(card))}"


def signed(card: str, license: str | None, languages: tuple[str, ...]) -> str:
    """The card with a license and languages in its front matter; missing ones are kept."""
    new = ({"license": license} if license else {}) | ({"language": list(languages)} if languages else {})
    known = _parse(card)
    if all(getattr(known.data, key) == value for key, value in new.items()):
        return card
    for key, value in new.items():
        setattr(known.data, key, value)
    return str(known)


def _digest(card: str) -> str:
    return hashlib.sha256(card.encode()).hexdigest()[:16]


def merged_card(text: str) -> str:
    """The card of an adapter merged into its base: its program loads a full model."""
    for words in (", AutoConfig", *(f"{line}\n" for line in CONFIG_LINES.values()), ADAPTED[True], ADAPTED[False]):
        text = text.replace(words, "", 1)
    return WITH_PEFT.sub("", text, count=1)


def _parse(card: str) -> Any:
    from huggingface_hub import ModelCard

    return ModelCard(card)
