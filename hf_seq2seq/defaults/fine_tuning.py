"""Learning rate, warm-up and epochs of models that were trained before."""

from collections.abc import Iterator, Mapping
from typing import Any

from hf_seq2seq.defaults.schedules import FEWEST_WARMED
from hf_seq2seq.sections import Choice

FINE_TUNING_RATES = {
    **dict.fromkeys(("t5", "mt5", "umt5", "longt5", "switch_transformers"), 3e-4),
    **{"bart": 4e-5, "pegasus": 1e-4, "bert_classifier": 4e-5, "gpt": 5e-5, "seq2seq": 5e-5, "encoder-decoder": 1e-4},
}
"""Peak learning rates of AdamW at a width of 768, of recipes, and of model types of `seq2seq` that differ from the
others; see `fine_tuning_choices`."""
USUAL_WIDTH = 768
MOST_RATE = 1e-3


def fine_tuning_choices(
    recipe: str, rows: int, width: int, adapter: bool, steps: int | None = None
) -> Iterator[Choice]:
    """Learning rate, warm-up and epochs of a pretrained model.

    The rates of the families at the width of their base models are those that their authors used (BART: Lewis et al.,
    2020, https://arxiv.org/abs/1910.13461; PEGASUS: Zhang et al., 2020, appendix C, https://arxiv.org/abs/1912.08777;
    BERT: Devlin et al., 2019, appendix A.3, https://arxiv.org/abs/1810.04805) or, for T5 with AdamW, that
    transformers' documentation names; narrower models take proportionally larger steps (Yang et al., 2022,
    https://arxiv.org/abs/2203.03466). Low-rank adapters want ten times as much (Biderman et al., 2024,
    https://arxiv.org/abs/2405.09673). Few rows need more passes (Mosbach, Andriushchenko and Klakow, 2021,
    https://arxiv.org/abs/2006.04884).

    Args:
        recipe: it, or the model's type: a key of `FINE_TUNING_RATES`.
        rows: training rows.
        width: of the model's layers.
        adapter: whether only an adapter is trained.
        steps: given ones, of which too few have no warm-up; None if they are not given.
    """
    rate = FINE_TUNING_RATES[recipe] * USUAL_WIDTH / width * (10 if adapter else 1)
    kind = "adapter" if adapter else "model"
    yield Choice(
        "learning_rate", float(f"{min(rate, MOST_RATE):.1g}"), f"a pretrained {kind} of width {width}", ("optim",)
    )
    if steps is None or steps >= FEWEST_WARMED:
        yield Choice("warmup_ratio", 0.1, "a pretrained model", ("warmup_steps",))
    epochs = round(min(20.0, max(3.0, 3 * (20_000 / rows) ** 0.5)))
    yield Choice("num_train_epochs", float(epochs), f"{rows:,} training rows", ("max_steps",))


def start_search_choices(search: Mapping[str, Any]) -> Iterator[Choice]:
    """The search of a model that was trained before, as `generate` and `evaluate` read it; greedy meanwhile.

    Args:
        search: flags of `Decoding`.
    """
    for name, value in search.items():
        yield Choice(name, value, "as in the start model's settings")
    if search.get("num_beams", 1) > 1:
        yield Choice("eval_beams", 1, "evaluations during training are greedy", ("num_beams",))


REWARD_SHARE = 0.25


def reward_choices(rate: float, whose: str) -> Iterator[Choice]:
    """Learning rate of a loss made of the model's own outputs: a quarter of the peak that its start was trained with.

    `docs/strategies/rewards.md` has what was measured: 5e-4 for a recurrent model whose peak was 2e-3.

    Args:
        rate: that peak.
        whose: for the reason.
    """
    reason = f"a quarter of {rate:g}, {whose}: the loss is made of the model's own outputs"
    yield Choice("learning_rate", float(f"{rate * REWARD_SHARE:.2g}"), reason, ("optim",))
