"""A finished card: the license and languages that its author adds, and the path that its program loads from."""

import re
from pathlib import Path
from typing import Any

from hf_seq2seq.drafts import open_draft
from hf_seq2seq.saved.model_paths import BASE_CONFIG

ADAPTED = {
    False: ", config=config",
    True: ", config=config, ignore_mismatched_sizes=True",
}
"""How an adapter's model is loaded, by whether it classifies: then its base may have a head for other labels."""
CONFIG_LINE = f'config = AutoConfig.from_pretrained(f"{{model_path}}/{BASE_CONFIG}")'
LOAD_LINE = re.compile(r"^model_path = .*$", re.MULTILINE)
WITH_PEFT = re.compile(r"^PEFT loads it, too: .*\n\n", re.MULTILINE)
TITLE = re.compile(r"^# .*$", re.MULTILINE)


def card_license(path: Path) -> str | None:
    """The license that a card names."""
    found: str | None = _read(path).data.license
    return found


def sign_card(path: Path, license: str | None, languages: tuple[str, ...]) -> None:
    """Writes a license and languages into a card's front matter; without either the file is left alone."""
    new = ({"license": license} if license else {}) | ({"language": list(languages)} if languages else {})
    if not new:
        return
    card = _read(path)
    if any(getattr(card.data, key) != value for key, value in new.items()):
        for key, value in new.items():
            setattr(card.data, key, value)
        with open_draft(path) as stream:
            stream.write(str(card))


def published_card(text: str, repository: str, revision: str | None) -> str:
    """The card as the Hub shows it: it is called what the repository is called, and its program loads from there."""
    line = f"model_path = {repository!r}"
    if revision or BASE_CONFIG in text:  # which are read from a folder alone
        version = f", revision={revision!r}" if revision else ""
        line = (
            f"from huggingface_hub import snapshot_download\n\nmodel_path = snapshot_download({repository!r}{version})"
        )
    text = TITLE.sub(lambda _: f"# {repository.split('/')[-1]}", text, count=1)
    return LOAD_LINE.sub(lambda _: line, text, count=1)


def merged_card(text: str) -> str:
    """The card of an adapter that was added to its base: its program loads a whole model."""
    for words in (", AutoConfig", CONFIG_LINE + "\n", ADAPTED[True], ADAPTED[False]):
        text = text.replace(words, "", 1)
    return WITH_PEFT.sub("", text, count=1)


def _read(path: Path) -> Any:
    from huggingface_hub import ModelCard

    return ModelCard.load(path)
