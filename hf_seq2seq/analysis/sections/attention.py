"""What the decoder attends to in the source: maps of the rows shown, and figures of the whole test set.

Weights are not an explanation of an output (Jain and Wallace 2019, https://aclanthology.org/N19-1357), though not
worthless for one either (Wiegreffe and Pinter 2019, https://aclanthology.org/D19-1002).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_seq2seq.analysis.attention_figures import diagonality, entropies, monotonicity
from hf_seq2seq.analysis.records import FIGURES, Heat, Record, Section, Table
from hf_seq2seq.analysis.svg import lines
from hf_seq2seq.metrics.alignment import make_aer

STEPS = 40
"""Output tokens whose entropy is drawn."""
WARNING = (
    "The map has the source across and the output down; a row of weights sums to 1, and belongs to the step that wrote "
    "its token. Weights show where the decoder looked, which does not explain what it wrote."
)


def attention(record: Record) -> Section | None:
    """The attention of the rows shown, and what it is like over all rows."""
    if record.facts["task"] != "text":
        return None
    if not record.facts["attends"]:
        why = "This model has no attention of a decoder on an encoder's source: attention is left out."
        return Section("Attention", left_out=why)
    figures = {name: values for name, values in record.figures.items() if name.startswith("attention_")}
    means = {name: _mean(values) for name, values in figures.items()}
    heads = by_head(record.heats)
    tables = [Table("Over all rows, averaged over layers and heads", ("figure", "mean", "meaning"), _rows(means))]
    numbers: dict[str, Any] = {"means": means, "heads": heads, "steps": entropy_by_step(record.heats)}
    numbers["alignments"] = {str(each.row + 1): each.alignment for each in record.heats}
    pictures: dict[str, str] = {}
    text: tuple[str, ...] = (WARNING,)
    if record.aligned:
        numbers["alignment_errors"] = errors = alignment_errors(record.aligned)
        text += (_best(errors),)
        head = ("layer", "head", "alignment error rate")
        tables.append(Table("Against the gold alignments", head, [list(each.values()) for each in errors]))
    if heads:
        columns = ("layer", "head", "entropy / equal weights", "monotonic steps", "diagonality", "largest share")
        tables.append(Table("By layer and head, over the rows shown", columns, [list(each.values()) for each in heads]))
        pictures["attention-entropy"] = lines(numbers["steps"], "entropy in nats", "output token")
    return Section("Attention", text, numbers, tuple(tables), pictures, tuple(record.heats))


def alignment_errors(counts: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Alignment error rates in percent of all layers together, of each layer and of each head, counted from 1.

    `head` is "all" for weights averaged over heads, and so is `layer`.
    """
    found = [{"layer": "all", "head": "all", "aer": _error_rate(counts["all"])}]
    for layer, heads in enumerate(counts["heads"]):
        found.append({"layer": layer + 1, "head": "all", "aer": _error_rate(counts["layers"][layer])})
        if len(heads) > 1:
            found += [
                {"layer": layer + 1, "head": head + 1, "aer": _error_rate(sums)} for head, sums in enumerate(heads)
            ]
    return found


def _error_rate(sums: np.ndarray) -> float:
    score = make_aer().score
    assert score is not None
    return float(score(sums)["aer"])


def _best(errors: Sequence[Mapping[str, Any]]) -> str:
    """Which layer, and which head, aligns best."""
    layers = [each for each in errors if each["head"] == "all" and each["layer"] != "all"]
    layer, every = min(layers, key=lambda each: each["aer"]), min(errors, key=lambda each: each["aer"])
    found = f"Layer {layer['layer']} aligns best, with an error rate of {layer['aer']:.1f}% against the gold alignments"
    if every["head"] != "all":
        found += f"; of the heads, head {every['head']} of layer {every['layer']} does, with {every['aer']:.1f}%"
    return f"{found}. Each word of the reference is linked to the source word that it attends to most."


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _rows(means: dict[str, float | None]) -> list[list[Any]]:
    return [[name.removeprefix("attention_").replace("_", " "), mean, FIGURES[name]] for name, mean in means.items()]


def by_head(heats: Sequence[Heat]) -> list[dict[str, Any]]:
    """Figures of every layer and head, counted from 1, as means over rows of more than one token a side."""
    long = [each for each in heats if min(each.weights.shape[2:]) > 1]
    found = []
    for layer, head in np.ndindex(*long[0].weights.shape[:2]) if long else ():
        maps = [each.weights[layer, head] for each in long]
        entropy = np.mean([entropies(map_).mean() / np.log(map_.shape[1]) for map_ in maps])
        found.append(
            {
                "layer": layer + 1,
                "head": head + 1,
                "entropy": float(entropy),
                "monotonic": float(np.mean([monotonicity(map_) for map_ in maps])),
                "diagonal": float(np.mean([diagonality(map_) for map_ in maps])),
                "peak": float(np.mean([map_.mean(0).max() for map_ in maps])),
            }
        )
    return found


def entropy_by_step(heats: Sequence[Heat]) -> dict[str, list[tuple[float, float]]]:
    """Mean entropy of the weights of each step, over heads and rows, by layer."""
    found = {}
    for layer in range(heats[0].weights.shape[0]) if heats else ():
        steps = [entropies(each.weights[layer]).mean(0)[:STEPS] for each in heats]
        most = max(map(len, steps))
        means = [float(np.mean([own[step] for own in steps if len(own) > step])) for step in range(most)]
        found[f"layer {layer + 1}"] = [(float(step + 1), value) for step, value in enumerate(means)]
    return found
