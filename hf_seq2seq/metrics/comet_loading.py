"""Loads a checkpoint of COMET or CometKiwi from a folder or the Hub: hparams.yaml and weights as safetensors."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.metrics.comet_model import CometModel, CometSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SETTINGS_FILE = "hparams.yaml"
WEIGHTS = ("model.safetensors", "checkpoints/model.safetensors")
PICKLE = "checkpoints/model.ckpt"
ENCODERS = ("xlm-roberta", "xlm-roberta-xl")
FILES = [
    SETTINGS_FILE,
    *WEIGHTS,
    "config.json",
    "tokenizer*",
    "sentencepiece*",
    "special_tokens*",
    "README.md",
    "LICENSE*",
]
UNUSED = ("pooler.", "position_ids", "hidden2tag.", "dropout_mask", "dropout_fill")
"""Weights that do not change the score of a sentence."""
CONVERSION = (
    "a pickle is not loaded; convert it in Python: "
    "safetensors.torch.save_file({name: w.clone() for name, w in "
    "torch.load('model.ckpt', 'cpu', weights_only=True)['state_dict'].items()}, 'model.safetensors')"
)


class Loaded(NamedTuple):
    """A model in evaluation mode, its tokenizer, and how many positions its encoder has for tokens."""

    model: CometModel
    tokenizer: "PreTrainedTokenizerBase"
    positions: int


@lru_cache
def find_folder(name: str) -> Path:
    """The folder of a checkpoint, downloaded if `name` is a Hub id.

    Raises:
        InputError: there is none, or it has no settings or no weights in safetensors.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if name.startswith((".", "/", "~")) or name.count("/") != 1:
            raise InputError(f"metric 'comet': there is no folder {name!r}")
        folder = _download(name)
    if not (folder / SETTINGS_FILE).is_file():
        raise InputError(f"metric 'comet': {name} has no {SETTINGS_FILE}; give the folder of a COMET checkpoint")
    if not any((folder / file).is_file() for file in WEIGHTS):
        raise InputError(f"metric 'comet': {name} has no {WEIGHTS[0]}; of {PICKLE}: {CONVERSION}")
    return folder


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=FILES))
    except Exception as error:  # the Hub's client raises many kinds
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"metric 'comet': {name!r} is no folder, nor can it be fetched: {shorten(line)}") from error


@lru_cache
def read_settings(folder: Path) -> CometSettings:
    """The settings of a checkpoint.

    Raises:
        InputError: the file is damaged, or of a kind that is not supported.
    """
    place = folder / SETTINGS_FILE
    try:
        values = yaml.safe_load(place.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{place}: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise InputError(f"{place}: holds no settings")
    return CometSettings.of(values, str(place))


def find_licence(folder: Path, name: str) -> str:
    """The licence that a checkpoint states: in its README's front matter, or as the title of a LICENSE file."""
    readme = folder / "README.md"
    if readme.is_file():
        _, marked, rest = readme.read_text(encoding="utf-8", errors="replace").partition("---\n")
        try:
            front: Any = yaml.safe_load(rest.partition("\n---")[0]) if marked else None
        except yaml.YAMLError:
            front = None
        if isinstance(front, dict) and isinstance(front.get("license"), str):
            return str(front["license"])
    for file in sorted(folder.glob("LICENSE*")):
        lines = [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
        return next((shorten(line) for line in lines if line), "not stated")
    return "not stated"


@lru_cache(maxsize=1)
def load_comet(folder: Path) -> Loaded:
    """Loads a checkpoint.

    Raises:
        InputError: a file is missing, damaged or of another architecture.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    settings = read_settings(folder)
    own = str(folder) if (folder / "config.json").is_file() else settings.pretrained_model
    try:
        config = AutoConfig.from_pretrained(own, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(own, trust_remote_code=False)
        if config.model_type not in ENCODERS:
            raise InputError(f"{folder}: the encoder {config.model_type}; supported are {', '.join(ENCODERS)}")
        config._attn_implementation = "eager"
        model = CometModel(settings, AutoModel.from_config(config, add_pooling_layer=False).float())
        weights = load_file(next(folder / file for file in WEIGHTS if (folder / file).is_file()))
    except InputError:
        raise
    except Exception as error:  # a library raises any of a dozen exception types for a malformed folder
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"metric 'comet': {folder}, encoder {own}: {shorten(line)}") from error
    _fill(model, weights, folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Loaded(model.to(device).eval(), tokenizer, config.max_position_embeddings - 2)


def _fill(model: CometModel, weights: Mapping[str, Any], folder: Path) -> None:
    """Puts weights into a model.

    Raises:
        InputError: some are missing, unknown, or of another shape.
    """
    try:
        missing, unexpected = model.load_state_dict(
            {name: part.float() for name, part in weights.items()}, strict=False
        )
    except RuntimeError as error:
        line = str(error).splitlines()[-1].strip()
        raise InputError(f"metric 'comet': {folder}: weights of another size: {shorten(line)}") from None
    missing = [name for name in missing if not name.endswith(UNUSED)]
    strange = [name for name in unexpected if not any(part in name for part in UNUSED)]
    if missing or strange:
        what = f"lacks {missing[0]}" if missing else f"has {strange[0]}, which is not known here"
        raise InputError(f"metric 'comet': {folder}: {what}")
