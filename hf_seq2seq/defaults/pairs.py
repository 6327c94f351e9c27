"""Tokenizers, models and metrics, from what the sources and targets of the training rows look like."""

from collections.abc import Iterator
from importlib.util import find_spec

from hf_seq2seq.data.text_kinds import FORMS, SENTENCES, SYMBOLS, TITLES, UNSPACED, Side
from hf_seq2seq.sections import Choice, both_sides
from hf_seq2seq.training_options import Subwords

TOKENIZERS = {SYMBOLS: "word", FORMS: "char", UNSPACED: "unigram", SENTENCES: "bpe"}
CHARACTER_MODELS = (SYMBOLS, FORMS)
FEW_PIECES = 500
"""The fewest subwords of a vocabulary, unless its characters are more."""
MANY_PIECES = 2_000
"""Subwords of a side up to which there is one per 12 words, and beyond which one per 100."""
FEW_FORMS = 5_000
"""Rows of single words up to which attention learns sooner where it looks next if it sees where it looked last."""
NOT_SAMPLED = Subwords()

# Tokenizers ---------------------------------------------------------------------------------------------------------


def tokenizer_choices(
    source: Side, target: Side, joint: bool = False, sampled: Subwords = NOT_SAMPLED
) -> Iterator[Choice]:
    """Kind and size of new tokenizers.

    Characters for single words and whole symbols where the data has them already, as in all work on pronunciation and
    inflection (Wu, Cotterell and Hulden, 2021, https://aclanthology.org/2021.eacl-main.163). Subword vocabularies grow
    with the text: small ones are better for little data (Ding, Renduchintala and Duh, 2019,
    https://aclanthology.org/W19-6620; Gowda and May, 2020, https://aclanthology.org/2020.findings-emnlp.352).

    Hangul syllables are read by their letters: on 8,000 Korean words the word error rate is 1.0 instead of 7.9 after
    the same CPU time (one seed).

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
        if kinds[0] == "char" and source.syllables > source.alphabet / 2:
            reason = f"{source.syllables:,} Hangul syllables of the sources are read by letters"
            yield Choice(
                "source_normalization", "nfd", reason, ("tokenizer_name", "tokenizer_type", "pointer_generator")
            )
    elif small or not joint:
        reason = f"sources: {source}; targets: {target}"
        kind = "char" if small and kinds[0] != kinds[1] else kinds[0]
        yield Choice("tokenizer_type", kind, reason, ("tokenizer_name",))
    if not separate and not small:
        size = max(subword_size(source) + subword_size(target), source.alphabet + target.alphabet + 64)
        yield Choice("vocab_size", min(32_000, size), size_reason(source, target), ("tokenizer_name",))
    for name, side in (("vocab_size", source), ("target_vocab_size", target)) if separate else ():
        if side.kind not in CHARACTER_MODELS:
            size = max(subword_size(side), side.alphabet + 64)
            yield Choice(name, size, size_reason(side), ("tokenizer_name", "vocab_size"))


def _sampled_choices(source: Side, target: Side, joint: bool, sampled: Subwords) -> Iterator[Choice]:
    """Tokenizers of which `--bpe-dropout` or `--unigram-sampling` draws segmentations, on the sides that it names."""
    sides = {"source": source, "target": target}
    asked = [name for name in sides if joint or sampled.subword_sides in ("both", name)]
    kinds = [sampled.kind if name in asked else TOKENIZERS[side.kind] for name, side in sides.items()]
    sizes = [max(FEW_PIECES, subword_size(side), side.alphabet + 64) for side in sides.values()]
    yield Choice("tokenizer_type", kinds[0], sampled.asked_for if "source" in asked else f"sources: {source}")
    if joint or len(set(kinds)) == 1:
        yield Choice("vocab_size", min(32_000, sum(sizes)), size_reason(source, target), ("tokenizer_name",))
        return
    reason = sampled.asked_for if "target" in asked else f"targets: {target}"
    yield Choice("target_tokenizer_type", kinds[1], reason, ("tokenizer_name", "tokenizer_type"))
    for name, kind, size, side in zip(("vocab_size", "target_vocab_size"), kinds, sizes, sides.values(), strict=True):
        if kind not in ("char", "word"):
            yield Choice(name, size, size_reason(side), ("tokenizer_name", "vocab_size"))


def subword_size(side: Side) -> int:
    """Pieces for one side of sentences, in hundreds: from 500 to 2,000 one per 12 words, from there on one per 100.

    On 2,000 pairs of Multi30k a Transformer has a BLEU of 19.3 with 4,000 shared pieces, and of 17.4 with 1,000, after
    the same CPU time (greedy, one seed).
    """
    if side.kind in CHARACTER_MODELS:
        return 0
    words = side.rows * (side.words if side.kind == SENTENCES else side.words * 8)
    pieces = max(FEW_PIECES, min(MANY_PIECES, words / 12), words / 100)
    return min(16_000, round(pieces / 100) * 100)


def size_reason(*sides: Side) -> str:
    """Says by which rule a vocabulary of these texts has its size."""
    words = sum(side.rows * side.words for side in sides)
    if all(subword_size(side) == FEW_PIECES for side in sides):
        return f"at least {FEW_PIECES} pieces per side; one per 12 of {words:,.0f} words would be fewer"
    if all(subword_size(side) <= MANY_PIECES for side in sides):
        return f"about one piece per 12 words of {words:,.0f}, at most {MANY_PIECES:,} per side"
    return f"about one piece per 100 words of {words:,.0f}"


# Models -------------------------------------------------------------------------------------------------------------


def rnn_choices(source: Side, target: Side) -> Iterator[Choice]:
    """Width, layers and dropout of the recipe `rnn`, and its learning rate; the dropout goes with the width.

    Luong's attention, the recipe's own default, learned faster than Bahdanau's on 800 French words (word error rate
    37 against 57 after 2,650 steps). Embeddings of characters start wide: on 800 Italian words a deviation of 0.5 had
    24.5 and 23.5 word errors (validation and test, two seeds), 0.1 had 27 and 24. Of few inflected forms more are right
    where the score also sees where it looked last: 1,000 of Turkish, German, English and Finnish, 85.0, 78.0, 91.5 and
    73.8 % against 82.9, 75.6, 90.9 and 69.6 (one seed each; three seeds in docs/comparing.md).
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
    if target.kind == FORMS and rows < FEW_FORMS:
        others = ("num_attention_heads", "local_attention", "hierarchical_attention")
        yield Choice("attention", "location", f"fewer than {FEW_FORMS:,} rows of {TITLES[FORMS]}", others)


def transformer_choices(source: Side, target: Side) -> Iterator[Choice]:
    """Size, dropout and positions of the recipe `transformer`, and its learning rate.

    A given width keeps the plain sizes.

    Little data wants strong dropout and label smoothing (Sennrich and Zhang, 2019, https://aclanthology.org/P19-1021;
    Araabi and Monz, 2020, https://aclanthology.org/2020.coling-main.304). For Multi30k's 29,000 sentences a model
    of width 128 is as good as wider ones (Wu, Kong, Bi, Li and Kit, 2021, https://aclanthology.org/2021.acl-long.480).

    Rotary positions (Su et al., 2021, https://arxiv.org/abs/2104.09864) show each head how far apart two tokens are: on
    2,000 pairs of Multi30k they have a BLEU of 22.0 and 22.5 where sinusoids have 20.2 and 21.3 (two seeds). On the
    1,000 conversations of dialog bAbI's task 1, 84.9 % of the test replies are right with sinusoids, which do not copy
    values into API calls in combinations that training has not shown; with rotary positions all are (one seed).
    """
    rows, reason = source.rows, f"{source.rows:,} rows of {TITLES[target.kind]}"
    small = target.kind in CHARACTER_MODELS
    summaries = are_summaries(source, target)
    size = {"d_model": 256, "dropout": 0.3} if rows < 200_000 else {"d_model": 256, "dropout": 0.1}
    rate = 1e-3
    if not small and rows < 50_000:
        size = {"d_model": 128, "dropout": 0.2} | both_sides(layers=4, ffn_dim=512)
        rate = 1e-3 if summaries else 3e-3
    elif not small and rows >= 500_000:
        size = {"d_model": 512, "dropout": 0.1} | both_sides(layers=6, ffn_dim=2048, attention_heads=8)
    for name, value in size.items():
        yield Choice(name, value, reason, ("d_model",))
    yield Choice("learning_rate", rate, reason, ("optim",))
    yield Choice("position_embedding_type", "rotary", "a Transformer from scratch")


def t5_choices(*_: Side) -> Iterator[Choice]:
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
    """Embeddings of the width of the word vectors that they start from, in heads of an even width if there are any."""
    reason = f"{file} has vectors of {width} numbers"
    heads = next((count for count in (4, 3, 2) if width % (2 * count) == 0), 1)
    yield from _chosen(reason, embedding_size=width, d_model=width)
    if heads != 4:
        yield from (Choice(name, heads, reason, ("d_model",)) for name in both_sides(attention_heads=heads))
    if width % 2:
        yield Choice("position_embedding_type", "learned", f"{reason}, of which none makes a pair", ("d_model",))


def _chosen(reason: str, **values: object) -> Iterator[Choice]:
    for name, value in values.items():
        yield Choice(name, value, reason)


# Summaries ----------------------------------------------------------------------------------------------------------


def are_summaries(source: Side, target: Side) -> bool:
    """Whether the targets say in few words what long sources say."""
    return target.kind == SENTENCES and source.words >= 60 and source.words >= 3 * target.words


def summaries_reason(source: Side, target: Side) -> str:
    """Says why rows are taken for summaries."""
    return f"sources of {source.words:.0f} words, targets of {target.words:.0f}: summaries"


# Metrics ------------------------------------------------------------------------------------------------------------


def metric_choices(source: Side, target: Side, validated: bool) -> Iterator[Choice]:
    """The metrics that the field reports for such targets; the first one also chooses the best checkpoint.

    Of ROUGE that is ROUGE-2: a model that has just begun to learn writes one common sentence for every source, and that
    has a high ROUGE-L.
    """
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
    if are_summaries(source, target) and find_spec("rouge_score"):
        return ("rouge",), "rouge2", summaries_reason(source, target)
    return ("bleu", "chrf"), "chrf" if target.kind == UNSPACED else "bleu", reason
