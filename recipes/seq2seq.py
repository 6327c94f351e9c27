"""Fine-tune any encoder-decoder, or an encoder and a decoder joined into one, on pairs of text.

    hf-seq2seq train seq2seq --model-name-or-path Helsinki-NLP/opus-mt-en-de --train-file train.tsv
    hf-seq2seq train seq2seq --encoder bert-base-cased --decoder gpt2 --train-file train.csv --output-dir outputs/mine

Marian, M2M100, NLLB, mBART-50, LED, LongT5, UMT5, ByT5, ProphetNet, BlenderBot, Switch Transformers, T5Gemma, this
package's own architectures: whatever `AutoModelForSeq2SeqLM` loads. A multilingual checkpoint takes its languages from
--source-lang and --target-lang.

Paper: Rothe et al., 2020 (joined checkpoints), https://aclanthology.org/2020.tacl-1.18
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf_seq2seq import configs, run_configs

if TYPE_CHECKING:
    from hf_seq2seq.task import Task


@dataclass(frozen=True, kw_only=True)
class Config(run_configs.AnySeq2SeqRun):
    """All options of `seq2seq`."""

    model: run_configs.CheckpointOrPair = field(default_factory=run_configs.CheckpointOrPair)
    data: configs.PairsOrDialogue = field(default_factory=configs.PairsOrDialogue)
    mixture: configs.Mixing = field(default_factory=configs.Mixing)
    tokens: run_configs.CheckpointTokens = field(default_factory=run_configs.CheckpointTokens)
    adaptation: configs.Adaptation = field(default_factory=configs.Adaptation)


def prepare(config: Config) -> "Task":
    """Reads pairs or conversations, and loads the checkpoint with its tokenizer, or joins the pair."""
    from hf_seq2seq.tasks.any_seq2seq import seq2seq_task

    return seq2seq_task(config)


def main(config: Config) -> None:
    """Trains, evaluates, saves."""
    from hf_seq2seq.training.run import run

    run(prepare(config))
