"""BERTScore: each token is matched to the most similar token of the other text by an encoder's contextual embeddings.

Written `bertscore` for the default encoder, `bertscore:MODEL` for another folder or Hub id and `bertscore:MODEL@LAYER`
for one of its layers. Scores are raw, unless `bertscore:MODEL@LAYER@FILE` names a file of baselines to rescale them by.
Texts longer than the encoder's limit are read in windows that overlap by half; the bert-score package truncates them.

Paper: Zhang et al. 2020, BERTScore: evaluating text generation with BERT, https://arxiv.org/abs/1904.09675
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.metrics.metric import Metric, TextRows, averaged, check_rows

if TYPE_CHECKING:
    import torch

KEYS = ("bertscore_precision", "bertscore_recall", "bertscore_f1")
DEFAULT = "roberta-large"
# Layers that correlate best with human judgments, from the paper's appendix and its authors' code; otherwise the last.
LAYERS = {
    "bert-base-uncased": 9,
    "bert-large-uncased": 18,
    "bert-base-multilingual-cased": 9,
    "bert-base-chinese": 8,
    "roberta-base": 10,
    "roberta-large": 17,
    "xlm-roberta-base": 9,
    "xlm-roberta-large": 17,
    "distilbert-base-uncased": 5,
    "distilroberta-base": 5,
    "microsoft/deberta-xlarge-mnli": 40,
}
LAYER_FIELDS = ("num_hidden_layers", "encoder_layers", "num_layers")  # encoders of BART and T5 are handled separately
BATCH, WINDOW = 64, 512  # texts encoded per batch; rows whose vectors are kept in memory at a time


class Encoder(NamedTuple):
    """A model that returns the vectors of one layer, and its tokenizer."""

    model: Any
    tokenizer: Any
    limit: int  # in tokens, special tokens included


class Text(NamedTuple):
    """A text's unit vectors, `(tokens, width)`, and which of its tokens are not special, `(tokens,)`."""

    vectors: "torch.Tensor"
    counted: "torch.Tensor"


@lru_cache
def make_bertscore(argument: str = "") -> Metric:
    """Mean precision, recall and F1 of tokens matched by an encoder, 0-100; each is the best over several references.

    Args:
        argument: "", or a folder or Hub id; then optionally "@" and a layer, counted from 1; then optionally "@" and a
            file of baselines in the bert-score package's format, lines of LAYER,P,R,F: a score x becomes (x - b) / (1 -
            b).

    Raises:
        InputError: there is no such model, layer or file; raised before anything is scored.
    """
    name, written, baselines = [*argument.split("@", 2), "", ""][:3]
    name = name or DEFAULT
    if written and not written.isdecimal():
        raise InputError(f"--metrics bertscore:{argument}: {written!r} is not a layer; write bertscore:MODEL@9")
    layer = _layer(name, int(written) if written else None)
    baseline = _baseline(Path(baselines), layer) if baselines else np.zeros(3)
    rescaled = Path(baselines).name if baselines else "no"
    text = f"model:{'/'.join(Path(name).parts[-2:])}|layer:{layer}|idf:no|long:windows|rescaled:{rescaled}"
    return averaged(partial(_rows, name, layer, baseline), True, KEYS, signature=lambda references: text)


def _baseline(file: Path, layer: int) -> np.ndarray:
    """Precision, recall and F1 of unrelated texts, `(3,)`."""
    try:
        rows = [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()[1:]]
        return np.array(next(row[1:4] for row in rows if int(row[0]) == layer), dtype=np.float64)
    except (OSError, ValueError, StopIteration):
        raise InputError(f"metric 'bertscore': {str(file)!r} has no line LAYER,P,R,F of layer {layer}") from None


def _layer(name: str, wanted: int | None) -> int:
    if name.startswith((".", "/")) and not Path(name).is_dir():
        raise InputError(f"metric 'bertscore': there is no folder {name!r}")
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        if "trust_remote_code" in str(error):
            raise InputError(f"metric 'bertscore': {name!r} runs its own code; take a model of transformers") from None
        reason = str(error).splitlines()[0]
        raise InputError(f"metric 'bertscore': {name!r} is no folder or Hub id of a model: {reason}") from None
    layers: int = config.num_hidden_layers
    layer = LAYERS.get(name, layers) if wanted is None else wanted
    if not 1 <= layer <= layers:
        raise InputError(f"metric 'bertscore': {name!r} has layers 1 to {layers}, not {layer}")
    return layer


def _loaded(name: str, layer: int) -> Encoder:
    """The model that compares tokens.

    Raises:
        InputError: its folder is damaged or holds no safetensors, or the Hub cannot be reached.
    """
    try:
        return _load(name, layer)
    except MemoryError:
        raise
    except Exception as error:  # a library raises any of a dozen exception types for a malformed folder
        line = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"metric 'bertscore': {name}: {shorten(line)}") from error


@lru_cache(maxsize=1)
def _load(name: str, layer: int) -> Encoder:
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    spaced = {"add_prefix_space": True} if config.model_type in ("roberta", "gpt2") else {}
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **spaced)
    positions = getattr(config, "max_position_embeddings", None) or 512
    # A tokenizer saved without a maximum length says 1e30. RoBERTa's positions start after its padding id.
    limit = min(tokenizer.model_max_length, positions - 2 * ("roberta" in config.model_type))
    for field in LAYER_FIELDS:
        if hasattr(config, field):
            setattr(config, field, layer)
    with _quietly():
        safely = {"trust_remote_code": False, "use_safetensors": True}
        model = AutoModel.from_pretrained(name, config=config, dtype=torch.float32, **safely)
    model = model.get_encoder() if config.is_encoder_decoder else model
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Encoder(model.to(device).eval(), tokenizer, limit)


@contextmanager
def _quietly() -> Iterator[None]:
    """Loads without a progress bar, and without the warning about unused weights of the layers dropped on purpose."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _rows(name: str, layer: int, baseline: np.ndarray, predictions: Sequence[str], references: TextRows) -> np.ndarray:
    check_rows(predictions, references)
    encoder = _loaded(name, layer)
    pieces = [
        _window(encoder, predictions[start : start + WINDOW], references[start : start + WINDOW])
        for start in range(0, len(predictions), WINDOW)
    ]
    return 100 * (np.concatenate(pieces) - baseline) / (1 - baseline)


def _window(encoder: Encoder, predictions: Sequence[str], references: TextRows) -> np.ndarray:
    texts = _encode(encoder, [*predictions, *(reference for row in references for reference in row)])
    return np.array(
        [
            np.max([_match(texts[text.strip()], texts[reference.strip()]) for reference in row], axis=0)
            for text, row in zip(predictions, references, strict=True)
        ]
    )


def _encode(encoder: Encoder, texts: Sequence[str]) -> dict[str, Text]:
    import torch

    tokenizer = encoder.tokenizer
    unique = list(dict.fromkeys(text.strip() for text in texts))
    special = [i for i in (tokenizer.cls_token_id, tokenizer.sep_token_id) if i is not None]
    ids = {text: tokenizer(text, verbose=False)["input_ids"] for text in unique}
    parts = sorted((part for text in unique for part in _parts(text, ids[text], special, encoder.limit)), key=_length)
    pieces: dict[str, list[tuple[int, Text]]] = {text: [] for text in unique}
    for start in range(0, len(parts), BATCH):
        batch = parts[start : start + BATCH]
        padded = tokenizer.pad({"input_ids": [part.ids for part in batch]}, return_tensors="pt")
        padded = padded.to(encoder.model.device)
        with torch.no_grad():
            states = encoder.model(padded["input_ids"], attention_mask=padded["attention_mask"]).last_hidden_state
        vectors = torch.nn.functional.normalize(states, dim=-1).cpu()
        for part, row in zip(batch, vectors, strict=True):
            counted = torch.tensor([token not in special for token in part.ids[part.first : part.end]])
            pieces[part.text].append((part.start, Text(row[part.first : part.end].clone(), counted)))
    return {text: _joined([piece for _, piece in sorted(found, key=itemgetter(0))]) for text, found in pieces.items()}


def _joined(pieces: Sequence[Text]) -> Text:
    import torch

    vectors, counted = (torch.cat(each) for each in zip(*pieces, strict=True))
    return Text(vectors, counted)


class Part(NamedTuple):
    """A text, or a window of a long text.

    Attributes:
        text: the whole text.
        start: position of the window in the text's tokens.
        ids: the window's token ids, special tokens included.
        first: index in `ids` of the first token whose vector is taken from this window.
        end: index after the last such token.
    """

    text: str
    start: int
    ids: list[int]
    first: int
    end: int


def _length(part: Part) -> int:
    return len(part.ids)


def _parts(text: str, ids: list[int], special: Sequence[int], limit: int) -> list[Part]:
    """The text, or windows that overlap by half; each token comes from the one where it is farther from the edge."""
    if len(ids) <= limit:
        return [Part(text, 0, ids, 0, len(ids))]
    before, after = (ids[:1] if ids[0] in special else []), (ids[-1:] if ids[-1] in special else [])
    content = ids[len(before) : len(ids) - len(after)]
    room = limit - len(before) - len(after)
    starts = [*range(0, len(content) - room, max(1, room // 2)), len(content) - room]
    borders = [0, *((one + room + other) // 2 for one, other in pairwise(starts)), len(content)]
    parts = []
    for start, (low, high) in zip(starts, pairwise(borders), strict=True):
        window = [*before, *content[start : start + room], *after]
        first = low - start + len(before) if start else 0
        end = high - start + len(before) if high < len(content) else len(window)
        parts.append(Part(text, start, window, first, end))
    return parts


def _match(said: Text, wanted: Text) -> tuple[float, float, float]:
    """Precision, recall and F1, 0-1: special tokens can be matched to, but their own matches do not count."""
    if not said.counted.any() or not wanted.counted.any():
        return 0.0, 0.0, 0.0
    similarity = said.vectors @ wanted.vectors.T
    precision = float(similarity.max(dim=1).values[said.counted].mean())
    recall = float(similarity.max(dim=0).values[wanted.counted].mean())
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0
