"""Fine-tune BART or mBART on pairs of text, or train BART from scratch.

    hf-seq2seq train bart --model-name-or-path facebook/bart-base --train-file train.csv --output-dir outputs/bart
    hf-seq2seq train bart --from-scratch --model-size tiny --train-file train.csv --output-dir outputs/bart

A multilingual checkpoint takes its languages from --source-lang and --target-lang, `de` or `de_DE`.

Paper: Lewis et al., 2020, https://aclanthology.org/2020.acl-main.703; Liu et al., 2020 (mBART),
https://aclanthology.org/2020.tacl-1.47
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hf_seq2seq import configs, run_configs
from hf_seq2seq.sections import both_sides, option

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from hf_seq2seq.task import Task

FAMILIES = ("bart", "mbart")
SIZES = {
    "tiny": {"d_model": 128} | both_sides(layers=2, attention_heads=4, ffn_dim=256),
    "small": {"d_model": 512} | both_sides(layers=4, attention_heads=8, ffn_dim=2048),
    "base": {"d_model": 768} | both_sides(layers=6, attention_heads=12, ffn_dim=3072),
}


@dataclass(frozen=True, kw_only=True)
class Tokens(configs.NewTokenizer):
    """Tokens: limits, and training of a tokenizer for a model from scratch."""

    tokenizer_type: str = option("bpe", "Kind of tokenizer to train.", choices=configs.TOKENIZERS)


@dataclass(frozen=True, kw_only=True)
class Config(run_configs.Seq2SeqRun):
    """All options of `bart`."""

    model: configs.PretrainedOrNew = field(default_factory=configs.PretrainedOrNew)
    denoising: configs.Denoising = field(default_factory=configs.Denoising)
    data: configs.PairData = field(default_factory=configs.PairData)
    mixture: configs.Mixing = field(default_factory=configs.Mixing)
    tokens: Tokens = field(default_factory=Tokens)
    adaptation: configs.Adaptation = field(default_factory=configs.Adaptation)


def prepare(config: Config) -> "Task":
    """Reads pairs, conversations or raw text, loads or trains the tokenizer, loads or builds the model."""
    from hf_seq2seq.data.tokenizers.special_tokens import BART
    from hf_seq2seq.tasks.start_seq2seq import Family, family_task

    return family_task(Family("bart", FAMILIES, SIZES, BART, new_config), config)


def new_config(fields: dict[str, Any], tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedConfig":
    """The configuration of a model from scratch."""
    from transformers import BartConfig

    start = {"decoder_start_token_id": tokenizer.bos_token_id, "forced_eos_token_id": tokenizer.eos_token_id}
    ids = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("pad", "bos", "eos")}
    start |= {"max_position_embeddings": max(1024, tokenizer.model_max_length)}
    return BartConfig(**({"vocab_size": len(tokenizer)} | ids | start | fields))


def main(config: Config) -> None:
    """Trains, evaluates, saves."""
    from hf_seq2seq.training.run import run

    run(prepare(config))
