"""What the model's own prefixes cost: the loss of the references after them, and after the references' own prefixes.

Paper: Ranzato et al. 2016, Sequence level training with recurrent neural networks, https://arxiv.org/abs/1511.06732
"""

from typing import Any

import numpy as np

from hf_seq2seq.analysis.records import Record, Section, Table
from hf_seq2seq.analysis.svg import lines
from hf_seq2seq.metrics.resampling import interval

SHOWN = 60
"""Positions in the picture."""


def exposure(record: Record) -> Section | None:
    """The gap between both losses, over all tokens and by position."""
    if record.facts["task"] != "text" or not record.supervised:
        return None
    found = exposure_gap(record)
    if found is None:
        why = "No reference can be read after the prefixes of an output: the exposure gap is left out."
        return Section("Exposure", left_out=why)
    places = record.exposure
    series = {
        "after the output's prefix": [(each["position"], each["own"]) for each in places[:SHOWN]],
        "after the reference's prefix": [(each["position"], each["reference"]) for each in places[:SHOWN]],
    }
    text = (
        sentence(found),
        "The tokens are those of the first reference, at the steps that the output has too. After a first error the "
        "output's prefix differs, and a right output with other words or another order is charged like a wrong one: "
        "read the growth along the positions, not the height. hf-seq2seq exposure measures how errors accumulate.",
    )
    head = ("position", "rows", "loss after the reference", "loss after the output", "gap", "from", "to")
    table = Table("By position, in nats per token", head, [list(each.values()) for each in places])
    pictures = {"exposure": lines(series, "loss in nats", "token of the reference")} if places else {}
    return Section("Exposure", text, found | {"positions": places}, (table,), pictures)


def exposure_gap(record: Record) -> dict[str, Any] | None:
    """Both losses per token, and their difference with its bootstrap interval; None if no row has them.

    Its keys: `rows`, `reference`, `own`, `gap`, `low`, `high`; losses in nats per token.
    """
    names = ("exposure_reference", "exposure_own", "exposure_steps")
    sums = np.stack([record.figures[name] for name in names], axis=1)
    sums = sums[~np.isnan(sums).any(axis=1)]
    if not len(sums):
        return None
    reference, own, steps = sums.sum(axis=0)
    generator, drawn = np.random.default_rng(record.facts["resampling_seed"]), []
    for _ in range(min(500, record.facts["resamples"])):
        drawn.append(sums[generator.integers(len(sums), size=len(sums))].sum(axis=0))
    gaps = np.array([(after - before) / count for before, after, count in drawn])[:, None]
    low, high = (float(bound[0]) for bound in interval(gaps, record.facts["confidence"]))
    found = {"rows": len(sums), "reference": float(reference / steps), "own": float(own / steps)}
    return found | {"gap": float((own - reference) / steps), "low": low, "high": high}


def sentence(found: dict[str, Any]) -> str:
    """Both losses in words."""
    return (
        f"In {found['rows']:,} rows a token of the reference has a loss of {found['reference']:.3f} nats after the "
        f"reference's prefix and of {found['own']:.3f} after the output's: a gap of {found['gap']:.3f} "
        f"[{found['low']:.3f}, {found['high']:.3f}]."
    )
