"""Loads what `hf-seq2seq export --format ctranslate2` wrote."""

import json
from pathlib import Path
from typing import Any

from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.ctranslate2_engine import CTranslate2Model, Shape
from hf_seq2seq.errors import InputError
from hf_seq2seq.saved.model_paths import REPORT_FILE
from hf_seq2seq.saved.run_settings import RunSettings, read_settings
from hf_seq2seq.settings_files import read_json_object

WEIGHTS_FILE = "model.bin"


def load_ctranslate2(path: str) -> tuple[CTranslate2Model, Tokenizers, RunSettings]:
    """Loads an exported model that generates text, on the GPU if CTranslate2 supports it.

    Raises:
        InputError: there is no such export, or CTranslate2 is not installed.
    """
    from transformers import GenerationConfig

    folder = Path(path).expanduser()
    report = read_report(folder)
    tokenizers = Tokenizers.load(folder)
    source, target = read_vocabularies(folder)
    shape = Shape(report["is_encoder_decoder"], report["max_position_embeddings"])
    settings = GenerationConfig.from_pretrained(folder)
    kind = "Translator" if shape.is_encoder_decoder else "Generator"
    model = CTranslate2Model(start_engine(folder, kind), source, target, settings, shape)
    return model, tokenizers, read_settings(str(folder), model, tokenizers.source)  # type: ignore[arg-type]


def read_report(folder: Path) -> dict[str, Any]:
    """The metadata of the export in a folder.

    Raises:
        InputError: the folder contains no model that CTranslate2 can generate with.
    """
    if not (folder / REPORT_FILE).is_file() or not (folder / WEIGHTS_FILE).is_file():
        what = "contains no CTranslate2 model" if folder.is_dir() else "no such folder"
        raise InputError(f"{folder}: {what}; `hf-seq2seq export MODEL {folder} --format ctranslate2` writes one")
    report = read_json_object(folder / REPORT_FILE)
    if "is_encoder_decoder" not in report:
        raise InputError(f"{folder}: contains a classifier, which does not generate text")
    return report


def read_vocabularies(folder: Path) -> tuple[list[str], list[str]]:
    """The source and the target vocabulary of an exported model, in the order of their ids."""
    names = ("shared_vocabulary", "vocabulary")
    shared = next((folder / f"{name}.json" for name in names if (folder / f"{name}.json").is_file()), None)
    files = [shared, shared] if shared else [folder / f"{side}_vocabulary.json" for side in ("source", "target")]
    source, target = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    return source, target


def start_engine(folder: Path, kind: str) -> Any:
    """A `Translator`, `Generator` or `Encoder` of CTranslate2 with as many threads as PyTorch uses.

    Raises:
        InputError: CTranslate2 is not installed.
    """
    import torch

    ctranslate2 = import_ctranslate2("--engine ctranslate2")
    device = "cuda" if torch.cuda.is_available() and ctranslate2.get_cuda_device_count() else "cpu"
    return getattr(ctranslate2, kind)(str(folder), device=device, intra_threads=torch.get_num_threads())


def import_ctranslate2(flag: str) -> Any:
    """The package.

    Args:
        flag: the flag that requires it, for the message.

    Raises:
        InputError: it is not installed.
    """
    try:
        import ctranslate2
    except ImportError as error:
        raise InputError(f"{flag}: needs one more package: pip install 'hf-seq2seq[export]'") from error
    return ctranslate2
