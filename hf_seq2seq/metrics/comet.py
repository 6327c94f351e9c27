"""COMET and CometKiwi: a trained model's estimate of a translation's quality, with references or without.

Written `comet:MODEL` for a checkpoint that reads source, output and reference, and `cometkiwi:MODEL` for one that reads
no reference; MODEL is a folder or Hub id. Scores are 100 times the model's, usually 0-100. Every row needs its source.

Papers: see `comet_model.py`.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Metric, TextRows, averaged, check_rows, sources_of

if TYPE_CHECKING:
    import torch

    from hf_seq2seq.metrics.comet_loading import Loaded

COMET, KIWI = "Unbabel/wmt22-comet-da", "Unbabel/wmt22-cometkiwi-da"
BATCH = 32  # texts per forward pass
Ids = tuple[int, ...]


@lru_cache
def make_comet(argument: str = "") -> Metric:
    """The mean score of outputs given sources and references; of several references, the best counts.

    Args:
        argument: a folder or Hub id; "" for the model of the shared task of 2022.

    Raises:
        InputError: there is no such model, or it reads no references; raised before anything is scored.
    """
    return _make("comet", argument or COMET)


@lru_cache
def make_cometkiwi(argument: str = "") -> Metric:
    """The mean score of outputs given their sources alone.

    Args:
        argument: as for `make_comet`.

    Raises:
        InputError: there is no such model, or it reads references; raised before anything is scored.
    """
    return _make("cometkiwi", argument or KIWI)


def _make(key: str, name: str) -> Metric:
    from hf_seq2seq.metrics.comet_loading import find_folder, find_licence, read_settings

    folder = find_folder(name)
    settings = read_settings(folder)
    if settings.needs_references != (key == "comet"):
        other = "comet" if settings.needs_references else "cometkiwi"
        what = "compares with references" if settings.needs_references else "reads no references"
        raise InputError(f"--metrics {key}:{name}: this model {what}; write {other}:{name}")
    licence = find_licence(folder, name)
    text = f"model:{'/'.join(Path(name).parts[-2:])}|class:{settings.class_identifier}|scale:100|licence:{licence}"
    return averaged(
        partial(_rows, key, folder),
        True,
        (key,),
        signature=lambda references: text,
        needs_sources=True,
        needs_references=settings.needs_references,
        doubts=partial(_cut, key, folder),
        doubt="a text has more tokens than the model reads; what follows them did not count",
    )


def _rows(key: str, folder: Path, predictions: Sequence[str], references: TextRows) -> list[float]:
    from hf_seq2seq.metrics.comet_loading import load_comet
    from hf_seq2seq.metrics.comet_model import UNIFIED

    sources = sources_of(key, references)
    loaded = load_comet(folder)
    alone = not loaded.model.settings.needs_references
    if not alone:
        check_rows(predictions, references)
    accepted = [[""] if alone else list(row) for row in references]
    rows = list(zip(predictions, sources, accepted, strict=True))
    triples = list(dict.fromkeys((text, source, each) for text, source, several in rows for each in several))
    unified = loaded.model.settings.class_identifier == UNIFIED
    scores = dict(zip(triples, (_unified if unified else _compared)(loaded, triples), strict=True))
    return [100 * max(scores[text, source, each] for each in several) for text, source, several in rows]


def _cut(key: str, folder: Path, predictions: Sequence[str], references: TextRows) -> int:
    """How many rows have a text that is too long."""
    from hf_seq2seq.metrics.comet_loading import load_comet
    from hf_seq2seq.metrics.comet_model import UNIFIED

    loaded, found = load_comet(folder), 0
    unified = loaded.model.settings.class_identifier == UNIFIED
    for row in zip(predictions, sources_of(key, references), references, strict=True):
        texts = (*row[:2], *row[2])
        if sum(map(len, texts)) < loaded.positions // 4:  # far too few characters
            continue
        lengths = [len(ids) for ids in loaded.tokenizer(list(texts), verbose=False)["input_ids"]]
        found += max(lengths) > loaded.positions - 2 or (unified and sum(lengths[:2]) > loaded.positions)
    return found


def _compared(loaded: "Loaded", triples: Sequence[tuple[str, str, str]]) -> list[float]:
    """Scores from separate vectors of the texts."""
    import torch

    alone = not loaded.model.settings.needs_references
    texts = list(dict.fromkeys(text for triple in triples for text in (triple[:2] if alone else triple)))
    encoded = dict(zip(texts, _encoded(loaded, texts), strict=True))
    vectors = _vectors(loaded, list(dict.fromkeys(encoded.values())))
    found: list[float] = []
    for start in range(0, len(triples), BATCH):
        sides = [torch.stack([vectors[encoded[text]] for text in side]) for side in _sides(triples, start, alone)]
        with torch.no_grad():
            found += loaded.model.compare(*sides).tolist()
    return found


def _sides(triples: Sequence[tuple[str, str, str]], start: int, alone: bool) -> list[tuple[str, ...]]:
    sides = list(zip(*triples[start : start + BATCH], strict=True))
    return sides[:2] if alone else sides


def _unified(loaded: "Loaded", triples: Sequence[tuple[str, str, str]]) -> list[float]:
    """Scores from one sequence per triple; with source and reference, the mean over three sequences."""
    segments = loaded.model.settings.input_segments
    places = {"mt": 0, "src": 1, "ref": 2}
    views = [segments] if len(segments) == 2 else [("mt", "src"), ("mt", "ref"), segments]
    texts = list(dict.fromkeys(text for triple in triples for text in triple))
    encoded = dict(zip(texts, _encoded(loaded, texts), strict=True))
    sequences = [
        [_joined(loaded, [encoded[triple[places[part]]] for part in view]) for view in views] for triple in triples
    ]
    vectors = _vectors(loaded, list(dict.fromkeys(ids for row in sequences for ids in row)))
    return [sum(_score(loaded, vectors[ids]) for ids in row) / len(views) for row in sequences]


def _score(loaded: "Loaded", vector: "torch.Tensor") -> float:
    import torch

    with torch.no_grad():
        return float(loaded.model.estimator(vector[None])[0])


def _encoded(loaded: "Loaded", texts: Sequence[str]) -> list[Ids]:
    """Ids of texts with special tokens, truncated as by the authors' code, two tokens below what the encoder has."""
    longest = loaded.positions - 2
    return [tuple(ids) for ids in loaded.tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]]


def _joined(loaded: "Loaded", parts: Sequence[Ids]) -> Ids:
    """One sequence, `<s> a </s> </s> b </s>`; what does not fit is left out at its end."""
    end = loaded.tokenizer.sep_token_id
    found = list(parts[0])
    for ids in parts[1:]:
        found += [end, *ids[1:-1], end]
    return tuple(found[: loaded.positions])


def _vectors(loaded: "Loaded", texts: Sequence[Ids]) -> dict[Ids, "torch.Tensor"]:
    """The model's vectors of texts, longest first in batches."""
    import torch

    model, found = loaded.model, dict[Ids, "torch.Tensor"]()
    device = next(model.parameters()).device
    for batch in _batches(sorted(texts, key=len, reverse=True)):
        padded = loaded.tokenizer.pad({"input_ids": [list(ids) for ids in batch]}, return_tensors="pt").to(device)
        with torch.no_grad():
            found |= zip(batch, model.embed(padded["input_ids"], padded["attention_mask"]), strict=True)
    return found


def _batches(texts: Sequence[Ids]) -> Iterator[Sequence[Ids]]:
    return (texts[start : start + BATCH] for start in range(0, len(texts), BATCH))
