"""Export to a Hugging Face Space: a page by Gradio around the model, which runs on CPUs with transformers alone."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from hf_seq2seq import strict_json
from hf_seq2seq.data.messages import is_dialogue
from hf_seq2seq.data.tokenizers.languages import language_codes
from hf_seq2seq.decoding.classification import windows_of
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.export_check import Subject
from hf_seq2seq.hub.reading import cut_by_tokenizer
from hf_seq2seq.hub.safetensors_export import write_safetensors
from hf_seq2seq.saved.global_attention import attends_globally
from hf_seq2seq.saved.pooling import recorded_pooling

MODEL = "model"
"""Folder of the model inside the Space."""
SDK = "6.31.0"
"""Version of Gradio."""
EXAMPLES = 5
LONGEST = 300
"""Characters of an example."""
SEARCH = ("num_beams", "no_repeat_ngram_size", "length_penalty")
"""The run's search options that are also those of `generate` of transformers."""


def check_space(config: Any, is_classifier: bool) -> None:
    """Rejects a classifier whose pooling transformers alone cannot run.

    Raises:
        InputError: names the pooling.
    """
    pooling = recorded_pooling(config) if is_classifier else None
    if pooling:
        raise InputError(f"--format space: transformers alone cannot pool by {pooling!r}; use serve")


def write_space_model(folder: Path, subject: Subject, quantization: str) -> None:
    """Writes the weights.

    Raises:
        InputError: the model writes several languages, of which the page could name none.
    """
    model: Any = subject.model
    is_open = not subject.is_classifier and bool(language_codes(subject.tokenizers.target))
    if is_open and model.generation_config.forced_bos_token_id is None:
        raise InputError("--format space: the model writes several languages, and its page has no choice; use serve")
    write_safetensors(folder, subject, quantization)


def write_page(folder: Path, subject: Subject, name: str) -> None:
    """Writes what a Space has beside its model.

    Args:
        folder: of the Space.
        subject: the exported model.
        name: title of the page.
    """
    app = Path(__file__).with_name("space_app.txt").read_text(encoding="utf-8")
    (folder / "app.py").write_text(app, encoding="utf-8")
    settings = strict_json.dumps(settings_of(subject, name), ensure_ascii=False, indent=2)
    (folder / "space.json").write_text(settings + "\n", encoding="utf-8")
    (folder / "requirements.txt").write_text(requirements(), encoding="utf-8")
    front = {"title": name, "sdk": "gradio", "sdk_version": SDK, "python_version": "3.11", "app_file": "app.py"}
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    said = "Upload this folder as it is: `hf upload USER/NAME FOLDER . --repo-type space`."
    (folder / "README.md").write_text(f"---\n{head}---\n\n# {name}\n\n{said}\n", encoding="utf-8")


def settings_of(subject: Subject, name: str) -> dict[str, Any]:
    """What the page needs to know of a model."""
    model: Any = subject.model
    own = subject.settings
    kind = "encoder-decoder" if model.config.is_encoder_decoder else "decoder-only"
    search = {key: own.decoding[key] for key in SEARCH if key in own.decoding}
    rows = zip(subject.texts, *([subject.pairs] if subject.pairs else []), strict=True)
    short = [list(row) for row in rows if all(len(text) <= LONGEST for text in row)]
    windows = windows_on_page(subject)
    return {
        "title": name,
        "class": "classifier" if subject.is_classifier else kind,
        "chat": not subject.is_classifier and is_dialogue(own.run),
        "pairs": bool(subject.pairs),
        "own_code": type(model).__module__.startswith("hf_seq2seq."),
        "target_tokenizer": subject.tokenizers.target is not subject.tokenizers.source,
        "global_attention": not subject.is_classifier and attends_globally(model.config),
        "prefix": own.prefix,
        "max_source_length": own.max_source_length,
        "windows": windows,
        "reading": describe_limit(own.max_source_length, windows is not None),
        "search": {"max_new_tokens": own.max_target_length} | search,
        "examples": short[:EXAMPLES],
    }


def windows_on_page(subject: Subject) -> dict[str, Any] | None:
    """How the page reads long texts whole, with the tokenizer alone; None where it truncates them."""
    if not subject.is_classifier:
        return None
    tokenizer, own = subject.tokenizers.source, subject.settings
    windows = windows_of(tokenizer, own.max_source_length, own.run)
    windows = cut_by_tokenizer(windows, tokenizer, bool(subject.pairs))
    return None if windows is None else {"stride": windows.stride, "pooling": windows.pooling}


def describe_limit(longest: int | None, in_windows: bool) -> str:
    """What the page says of texts that are longer than the model's limit."""
    if longest is None:
        return ""
    return f"Texts of more than {longest} tokens are {'read in windows' if in_windows else 'cut off there'}."


def requirements() -> str:
    """The packages of the page at the versions that wrote it, torch for CPUs."""
    names = ("torch", "transformers", "tokenizers", "safetensors", "jinja2")
    lines = [f"{name}=={version(name).partition('+')[0]}" for name in names]
    return "\n".join(["--extra-index-url https://download.pytorch.org/whl/cpu", *lines]) + "\n"
