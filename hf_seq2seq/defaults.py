"""Defaults that look at the data: what a flag leaves open is derived from the training rows by the rules below.

A given flag always wins, the same rows give the same values, and each value has the reason that a run and `preview`
print. The rules follow the papers that they name; what no paper settles was measured by `benchmarks/defaults.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TypeVar

from hf_seq2seq.configs import RunConfig
from hf_seq2seq.data.text_kinds import FORMS, SENTENCES, SYMBOLS, TITLES, UNSPACED, Side
from hf_seq2seq.sections import Choice, both_sides, options
from hf_seq2seq.training_options import Subwords

C = TypeVar("C", bound=RunConfig)

TOKENIZERS = {SYMBOLS: "word", FORMS: "char", UNSPACED: "unigram", SENTENCES: "bpe"}
CHARACTER_MODELS = (SYMBOLS, FORMS)
FEW_PIECES = 500
"""The fewest subwords of a vocabulary, unless its characters are more."""
NOT_SAMPLED = Subwords()
ROWS_TO_HOLD_OUT = 100
"""The fewest training rows of which a share is held out for validation."""
MOST_HELD_OUT = 1_000
"""Rows that are enough to choose a checkpoint by."""
LONGEST_SOURCE, LONGEST_TARGET = 1024, 512
"""Tokens; what is longer is cut, unless a flag allows more."""
EVALUATIONS = 20
DERIVABLE = frozenset(
    {
        *("tokenizer_type", "target_tokenizer_type", "vocab_size", "target_vocab_size"),
        *("hidden_size", "embedding_size", "initializer_range", "dropout", "position_embedding_type", "d_model"),
        *(f"{side}_{name}" for side in ("encoder", "decoder") for name in ("layers", "ffn_dim", "attention_heads")),
        *("metrics", "metric_for_best_model", "max_source_length", "max_target_length", "max_tokens_per_batch"),
        *("max_steps", "num_train_epochs", "logging_steps", "warmup_steps", "warmup_ratio", "lr_scheduler_type"),
        *("learning_rate", "optim", "scale_parameter", "label_smoothing_factor", "num_beams", "eval_beams"),
        *("eval_steps", "early_stopping_patience", "validation_split_percentage"),
    }
)
"""The options that the rules of this module choose."""


def settle(config: C, choices: Iterable[Choice]) -> C:
    """The configuration with the choices whose options were left open, all of them noted as `derived`.

    A configuration that Python made of sections has no open options.
    """
    if config.given is None:
        return config
    places = options(type(config))
    closed = config.given | {choice.name for choice in config.derived}
    taken = [c for c in choices if c.name in places and not closed.intersection((c.name, *c.unless))]
    sections: dict[str, dict[str, object]] = {}
    for choice in taken:
        sections.setdefault(places[choice.name][0], {})[choice.name] = choice.value
    changed = {name: replace(getattr(config, name), **values) for name, values in sections.items()}
    return replace(config, derived=(*config.derived, *taken), **changed)


def describe(choices: Sequence[Choice]) -> list[str]:
    """A line for each reason, with the values that it decided, in order."""
    reasons: dict[str, list[str]] = {}
    for choice in choices:
        value = ",".join(map(str, choice.value)) if isinstance(choice.value, tuple) else f"{choice.value}"
        reasons.setdefault(choice.reason, []).append(f"{choice.name} {value}")
    return [f"{', '.join(values)}: {reason}" for reason, values in reasons.items()]


def validation_choices(rows: int) -> Iterator[Choice]:
    """A share of the training rows to validate on, where no validation set is given; none of very few rows."""
    if rows >= ROWS_TO_HOLD_OUT:
        share = min(10.0, 100 * MOST_HELD_OUT / rows)
        reason = f"no validation set is given; 0 holds none of the {rows:,} training rows out"
        yield Choice("validation_split_percentage", float(f"{share:.3g}"), reason)


# Tokenizers ---------------------------------------------------------------------------------------------------------


def tokenizer_choices(
    source: Side, target: Side, joint: bool = False, sampled: Subwords = NOT_SAMPLED
) -> Iterator[Choice]:
    """Kind and size of new tokenizers.

    Characters for single words and whole symbols where the data has them already, as in all work on pronunciation and
    inflection (Wu, Cotterell and Hulden, 2021, https://aclanthology.org/2021.eacl-main.163). Subword vocabularies grow
    with the text: small ones are better for little data (Ding, Renduchintala and Duh, 2019,
    https://aclanthology.org/W19-6620; Gowda and May, 2020, https://aclanthology.org/2020.findings-emnlp.352).

    Args:
        source: what the sources look like.
        target: what the targets look like.
        joint: whether the model has one vocabulary for both sides.
        sampled: the sides whose segmentation is sampled, which needs a tokenizer that supports it.
    """
    if sampled.kind:
        yield from _sampled_choices(source, target, joint, sampled)
        return
    kinds = TOKENIZERS[source.kind], TOKENIZERS[target.kind]
    separate = not joint and (kinds[0] != kinds[1] or "word" in kinds)
    small = {source.kind, target.kind} <= set(CHARACTER_MODELS)
    if separate:
        yield Choice("tokenizer_type", kinds[0], f"sources: {source}", ("tokenizer_name",))
        yield Choice("target_tokenizer_type", kinds[1], f"targets: {target}", ("tokenizer_name", "tokenizer_type"))
    elif small or not joint:
        reason = f"sources: {source}; targets: {target}"
        yield Choice("tokenizer_type", "char" if small else kinds[0], reason, ("tokenizer_name",))
    if not separate and not small:
        size = max(subword_size(source) + subword_size(target), source.alphabet + target.alphabet + 64)
        yield Choice("vocab_size", min(32_000, size), _size_reason(source, target), ("tokenizer_name",))
    for name, side in (("vocab_size", source), ("target_vocab_size", target)) if separate else ():
        if side.kind not in CHARACTER_MODELS:
            size = max(subword_size(side), side.alphabet + 64)
            yield Choice(name, size, _size_reason(side), ("tokenizer_name", "vocab_size"))


def _sampled_choices(source: Side, target: Side, joint: bool, sampled: Subwords) -> Iterator[Choice]:
    """Tokenizers of which `--bpe-dropout` or `--unigram-sampling` draws segmentations, on the sides that it names."""
    sides = {"source": source, "target": target}
    asked = [name for name in sides if joint or sampled.subword_sides in ("both", name)]
    kinds = [sampled.kind if name in asked else TOKENIZERS[side.kind] for name, side in sides.items()]
    sizes = [max(FEW_PIECES, subword_size(side), side.alphabet + 64) for side in sides.values()]
    yield Choice("tokenizer_type", kinds[0], sampled.asked_for if "source" in asked else f"sources: {source}")
    if joint or len(set(kinds)) == 1:
        yield Choice("vocab_size", min(32_000, sum(sizes)), _size_reason(source, target), ("tokenizer_name",))
        return
    reason = sampled.asked_for if "target" in asked else f"targets: {target}"
    yield Choice("target_tokenizer_type", kinds[1], reason, ("tokenizer_name", "tokenizer_type"))
    for name, kind, size, side in zip(("vocab_size", "target_vocab_size"), kinds, sizes, sides.values(), strict=True):
        if kind not in ("char", "word"):
            yield Choice(name, size, _size_reason(side), ("tokenizer_name", "vocab_size"))


def subword_size(side: Side) -> int:
    """Pieces for one side of sentences: about a piece per 100 words, at least 500, at most 16,000, in hundreds."""
    if side.kind in CHARACTER_MODELS:
        return 0
    words = side.rows * (side.words if side.kind == SENTENCES else side.words * 8)
    return min(16_000, max(FEW_PIECES, round(words / 10_000) * 100))


def _size_reason(*sides: Side) -> str:
    words = sum(side.rows * side.words for side in sides)
    return f"about one piece per 100 words of {words:,.0f}"


# Models -------------------------------------------------------------------------------------------------------------


def rnn_choices(source: Side, target: Side) -> Iterator[Choice]:
    """Width, layers and dropout of the recipe `rnn`, and its learning rate; the dropout goes with the width.

    Luong's attention, the recipe's own default, learned faster than Bahdanau's on 800 French words (word error rate
    37 against 57 after 2,650 steps). Embeddings of characters start wide: on 800 Italian words a deviation of 0.5 had
    24.5 and 23.5 word errors (validation and test, two seeds), 0.1 had 27 and 24.
    """
    rows, reason = source.rows, f"{source.rows:,} rows of {TITLES[target.kind]}"
    small = target.kind in CHARACTER_MODELS
    width = (256 if rows < 2_000 else 384) if small else (256 if rows < 5_000 else 512)
    yield from _chosen(reason, hidden_size=width, embedding_size=width // 2 if small else 256)
    yield Choice("dropout", 0.4, reason, ("hidden_size", "embedding_size"))
    yield Choice("learning_rate", 2e-3 if small else 1e-3, reason)
    if small:
        yield Choice("encoder_layers", 2, reason, ("decoder_layers", "decoder_start", "hidden_size"))
        yield Choice("initializer_range", 0.5, reason)


def transformer_choices(source: Side, target: Side) -> Iterator[Choice]:
    """Size and dropout of the recipe `transformer`, and its learning rate; a given width keeps the plain model.

    Little data wants strong dropout and label smoothing (Sennrich and Zhang, 2019, https://aclanthology.org/P19-1021;
    Araabi and Monz, 2020, https://aclanthology.org/2020.coling-main.304). For Multi30k's 29,000 sentences a model
    of width 128 is as good as wider ones (Wu, Kong, Bi, Li and Kit, 2021, https://aclanthology.org/2021.acl-long.480).
    """
    rows, reason = source.rows, f"{source.rows:,} rows of {TITLES[target.kind]}"
    small = target.kind in CHARACTER_MODELS
    size = {"d_model": 256, "dropout": 0.3} if rows < 200_000 else {"d_model": 256, "dropout": 0.1}
    rate = 1e-3
    if not small and rows < 50_000:
        size, rate = {"d_model": 128, "dropout": 0.2} | both_sides(layers=4, ffn_dim=512), 3e-3
    elif not small and rows >= 500_000:
        size = {"d_model": 512, "dropout": 0.1} | both_sides(layers=6, ffn_dim=2048, attention_heads=8)
    for name, value in size.items():
        yield Choice(name, value, reason, ("d_model",))
    yield Choice("learning_rate", rate, reason, ("optim",))
    if small:
        yield Choice("position_embedding_type", "rotary", reason)


def t5_choices(source: Side, target: Side) -> Iterator[Choice]:
    """AdaFactor with steps in proportion to each matrix, without which a new T5 learns slowly.

    Paper: Shazeer and Stern, 2018, section 8, https://arxiv.org/abs/1804.04235; Raffel et al., 2020, section 3.1.2,
    https://arxiv.org/abs/1910.10683 (0.01 for the first steps).
    """
    reason = "a T5 from scratch"
    yield Choice("optim", "adafactor", reason, ("learning_rate",))
    yield Choice("scale_parameter", True, reason, ("learning_rate", "optim"))
    yield Choice("learning_rate", 1e-2, reason, ("optim",))


FROM_SCRATCH = {"t5": t5_choices}
"""The choices of a new model by recipe, where they are not those of `transformer`."""


def embedding_choices(width: int, file: str) -> Iterator[Choice]:
    """Embeddings of the width of the word vectors that they start from, in heads of an even width."""
    reason = f"{file} has vectors of {width} numbers"
    heads = next((count for count in (4, 3, 2) if width % (2 * count) == 0), 1)
    yield from _chosen(reason, embedding_size=width, d_model=width)
    if heads != 4:
        yield from (Choice(name, heads, reason, ("d_model",)) for name in both_sides(attention_heads=heads))


def _chosen(reason: str, **values: object) -> Iterator[Choice]:
    for name, value in values.items():
        yield Choice(name, value, reason)


# Metrics ------------------------------------------------------------------------------------------------------------


def metric_choices(source: Side, target: Side, validated: bool) -> Iterator[Choice]:
    """The metrics that the field reports for such targets; the first one also chooses the best checkpoint."""
    names, best, reason = _metrics(source, target)
    yield Choice("metrics", names, reason)
    if validated:
        yield Choice("metric_for_best_model", best, reason, ("metrics",))


def _metrics(source: Side, target: Side) -> tuple[tuple[str, ...], str, str]:
    reason = f"targets are {TITLES[target.kind]}"
    if target.kind == SYMBOLS:
        return ("word_error_rate", "phoneme_error_rate"), "word_error_rate", reason
    if target.kind == FORMS:
        return ("exact_match", "levenshtein"), "exact_match", reason
    if source.words >= 60 and source.words >= 3 * target.words and find_spec("rouge_score"):
        return ("rouge",), "rougeL", f"sources of {source.words:.0f} words, targets of {target.words:.0f}: summaries"
    return ("bleu", "chrf"), "chrf" if target.kind == UNSPACED else "bleu", reason


# Labels -------------------------------------------------------------------------------------------------------------

LONGEST_TEXT = 512
BEST = ("accuracy", "micro_f1", "pearson")
"""The first metrics of the kinds of labels, which choose the best checkpoint."""


def label_metric_choices(problem: str, metrics: Sequence[str], validated: bool) -> Iterator[Choice]:
    """What chooses the best checkpoint of a classifier."""
    if validated and metrics and metrics[0] in BEST:
        yield Choice("metric_for_best_model", metrics[0], f"labels are {problem}", ("metrics",))


def classifier_choices(texts: Side) -> Iterator[Choice]:
    """Vocabulary, learning rate and epochs of an encoder from scratch, which needs many more passes than BERT."""
    reason = f"an encoder from scratch; {texts}"
    yield Choice("vocab_size", max(1_000, subword_size(texts), texts.alphabet * 2 + 64), reason, ("tokenizer_name",))
    yield Choice("learning_rate", 5e-4, reason, ("optim",))
    yield Choice("num_train_epochs", float(round(enough_epochs(texts) / 2)), reason, ("max_steps",))
    yield Choice("warmup_ratio", 0.1, reason, ("warmup_steps",))


def text_length_choices(longest: int, positions: int | None) -> Iterator[Choice]:
    """A limit under which no text is cut, as far as the model's positions and 512 tokens allow."""
    limit = max(8, min(longest, LONGEST_TEXT, positions or LONGEST_TEXT))
    yield Choice("max_source_length", limit, f"the longest row has {longest:,} tokens")


# Fine-tuning --------------------------------------------------------------------------------------------------------

FINE_TUNING_RATES = {"t5": 3e-4, "bart": 4e-5, "pegasus": 1e-4, "bert_classifier": 4e-5, "gpt": 5e-5}
"""Peak learning rates of AdamW at a width of 768; see `fine_tuning_choices`."""
USUAL_WIDTH = 768
MOST_RATE = 1e-3


def fine_tuning_choices(recipe: str, rows: int, width: int, adapter: bool) -> Iterator[Choice]:
    """Learning rate, warm-up and epochs of a pretrained model.

    The rates of the families at the width of their base models are those that their authors used (BART: Lewis et al.,
    2020, https://arxiv.org/abs/1910.13461; PEGASUS: Zhang et al., 2020, appendix C, https://arxiv.org/abs/1912.08777;
    BERT: Devlin et al., 2019, appendix A.3, https://arxiv.org/abs/1810.04805) or, for T5 with AdamW, that
    transformers' documentation names; narrower models take proportionally larger steps (Yang et al., 2022,
    https://arxiv.org/abs/2203.03466). Low-rank adapters want ten times as much (Biderman et al., 2024,
    https://arxiv.org/abs/2405.09673). Few rows need more passes (Mosbach, Andriushchenko and Klakow, 2021,
    https://arxiv.org/abs/2006.04884).
    """
    rate = FINE_TUNING_RATES[recipe] * USUAL_WIDTH / width * (10 if adapter else 1)
    kind = "adapter" if adapter else "model"
    yield Choice(
        "learning_rate", float(f"{min(rate, MOST_RATE):.1g}"), f"a pretrained {kind} of width {width}", ("optim",)
    )
    yield Choice("warmup_ratio", 0.1, "a pretrained model", ("warmup_steps", "max_steps"))
    epochs = round(min(20.0, max(3.0, 3 * (20_000 / rows) ** 0.5)))
    yield Choice("num_train_epochs", float(epochs), f"{rows:,} training rows", ("max_steps",))


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


# Lengths, batches and steps -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lengths:
    """Tokens of the training rows.

    Attributes:
        rows: training rows.
        source: longest source.
        target: longest target.
        mean: of source and target together.
    """

    rows: int
    source: int
    target: int
    mean: float


def length_choices(lengths: Lengths, positions: int | None = None) -> Iterator[Choice]:
    """Limits under which nothing is cut, as far as memory and the model's positions allow."""
    for name, longest, most in (
        ("max_source_length", lengths.source, LONGEST_SOURCE),
        ("max_target_length", lengths.target, LONGEST_TARGET),
    ):
        room = max(8, longest // 5) if name == "max_target_length" else 0
        limit = min(longest + room, most, positions or most)
        yield Choice(name, max(limit, 8), f"the longest row has {longest:,} tokens")


def schedule_choices(
    side: Side, lengths: Lengths, processes: int, validated: bool, timed: bool = False
) -> Iterator[Choice]:
    """Token budget, optimizer steps, warm-up and evaluations of a model from scratch.

    Under a time limit (`timed`) the steps are a maximum, the warm-up is a share, and the limit schedules evaluations.
    """
    budget = token_budget(side, lengths)
    per_epoch = max(1.0, lengths.rows * lengths.mean * 1.1 / budget / processes)
    epochs = enough_epochs(side)
    steps = max(1, round(per_epoch * epochs))
    why = f"{lengths.rows:,} rows of {lengths.mean:.0f} tokens"
    yield Choice("max_tokens_per_batch", budget, why, ("per_device_train_batch_size",))
    batches = ("per_device_train_batch_size", "gradient_accumulation_steps", "max_tokens_per_batch")
    chosen = ("num_train_epochs", "max_steps", *batches)
    reason = f"{epochs:.0f} epochs of about {per_epoch:.0f} steps"
    reason = "at most: the time limit settles the steps" if timed else reason
    yield Choice("max_steps", steps, reason, chosen)
    every = max(1, round(steps / EVALUATIONS))
    yield Choice("logging_steps", max(1, min(50, steps // 40)), reason, chosen)
    if timed:
        yield Choice("warmup_ratio", 0.1, "the time limit settles the steps", (*chosen, "warmup_steps"))
    else:
        yield Choice("warmup_steps", max(1, min(800, steps // 8)), reason, (*chosen, "warmup_ratio"))
    yield Choice("lr_scheduler_type", "cosine", "the learning rate falls to 0 by the last step", chosen)
    yield Choice("label_smoothing_factor", 0.1, "a model from scratch", ("loss_type",))
    yield Choice("num_beams", 5, "final scores by beam search", ("do_sample",))
    yield Choice("eval_beams", 1, "evaluations during training are greedy", ("num_beams",))
    if validated and not timed:
        yield Choice("eval_steps", every, f"{EVALUATIONS} evaluations", chosen)
        yield Choice("early_stopping_patience", 8, f"{EVALUATIONS} evaluations", (*chosen, "eval_steps"))


def enough_epochs(side: Side) -> float:
    """Passes over the rows until small models have converged: fewer the more rows there are."""
    if side.kind in CHARACTER_MODELS:
        return min(100.0, max(8.0, 40 * (8_000 / side.rows) ** 0.4))
    return min(60.0, max(4.0, 16 * (29_000 / side.rows) ** 0.5))


def token_budget(side: Side, lengths: Lengths) -> int:
    """Padded tokens per batch: at least 25 steps per epoch where there are few rows, and room for the longest row."""
    usual = 1_600 if side.kind in CHARACTER_MODELS else 3_584
    few = lengths.rows * lengths.mean / 25
    return int(max(min(usual, few), 512, lengths.source + lengths.target))
