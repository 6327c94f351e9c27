"""Fine-tune T5 on pairs of text, or train it from scratch.

    hf-seq2seq train t5 --model-name-or-path google-t5/t5-small --train-file train.csv --output-dir outputs/t5
    hf-seq2seq train t5 --from-scratch --model-size tiny --train-file train.csv --output-dir outputs/t5

Paper: Raffel et al., 2020, https://arxiv.org/abs/1910.10683
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hf_seq2seq import configs
from hf_seq2seq.configs import option
from hf_seq2seq.errors import InputError

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration

    from hf_seq2seq.data.vocabulary import Tokenizers
    from hf_seq2seq.training.task import Task

FAMILIES = ("t5", "mt5", "umt5")
SIZES = {
    "tiny": {"d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 2, "num_heads": 4},
    "small": {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
    "base": {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12},
}


@dataclass(frozen=True, kw_only=True)
class Model(configs.Pretrained):
    """Model: a T5 checkpoint, or a size."""

    from_scratch: bool = option(False, "Start from random weights, with a tokenizer trained on the data.")
    model_size: str = option("tiny", "Size of a model from scratch.", choices=tuple(SIZES))


@dataclass(frozen=True, kw_only=True)
class Tokens(configs.NewTokenizer):
    """Tokens: limits, and how a tokenizer is trained when a model starts from scratch."""

    tokenizer_type: str = option("unigram", "Kind of tokenizer to train.", choices=configs.TOKENIZERS)


@dataclass(frozen=True)
class Config:
    """Everything that `t5` can be told."""

    model: Model = field(default_factory=Model)
    data: configs.PairData = field(default_factory=configs.PairData)
    tokens: Tokens = field(default_factory=Tokens)
    optimization: configs.Optimization = field(default_factory=configs.Optimization)
    schedule: configs.Schedule = field(default_factory=configs.Schedule)
    decoding: configs.Decoding = field(default_factory=configs.Decoding)
    evaluation: configs.Evaluation = field(default_factory=configs.Evaluation)
    run: configs.Run = field(default_factory=configs.Run)


def prepare(config: Config) -> "Task":
    """Reads the pairs, loads or trains the tokenizer, loads or builds the model."""
    from transformers import AutoModelForSeq2SeqLM

    from hf_seq2seq.data.vocabulary import Tokenizers, train_tokenizers
    from hf_seq2seq.training.pairs import pair_task, read_all_pairs
    from hf_seq2seq.training.pretrained import load_pretrained, load_tokenizer
    from hf_seq2seq.training.run import check_run

    check_run(config, "seq2seq", model_type="t5")
    model, tokens = config.model, config.tokens
    if (model.model_name_or_path is None) != model.from_scratch:
        raise InputError("t5: give either --model-name-or-path or --from-scratch")
    if tokens.separate_vocabularies or tokens.target_tokenizer_type is not None:
        raise InputError("t5 has one vocabulary: leave out --separate-vocabularies and --target-tokenizer-type")
    pairs = read_all_pairs(config.data)
    if model.model_name_or_path is None:
        tokenizers = train_tokenizers(pairs["train"].sources, pairs["train"].targets, tokens)
        return pair_task("t5", config, build_model(config, tokenizers), tokenizers, pairs)
    t5 = load_pretrained("t5", FAMILIES, AutoModelForSeq2SeqLM, model)
    tokenizer = load_tokenizer(tokens.tokenizer_name or model.model_name_or_path, model)
    return pair_task("t5", config, t5, Tokenizers(tokenizer, tokenizer), pairs)


def build_model(config: Config, tokenizers: "Tokenizers") -> "T5ForConditionalGeneration":
    """A model of the named size with fresh weights."""
    from transformers import T5Config, T5ForConditionalGeneration, set_seed

    tokenizer = tokenizers.target
    set_seed(config.run.seed)
    start = {"pad_token_id": tokenizer.pad_token_id, "decoder_start_token_id": tokenizer.pad_token_id}
    size: dict[str, Any] = SIZES[config.model.model_size] | start
    settings = T5Config(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **size)
    return T5ForConditionalGeneration(settings)


def main(config: Config) -> None:
    """Trains, evaluates, saves."""
    from hf_seq2seq.training.run import run

    run(prepare(config))
