"""Fine-tune a BERT-like encoder to classify text by its [CLS] representation, or train it to predict masked tokens.

    hf-seq2seq train bert_classifier --model-name-or-path google-bert/bert-base-uncased --train-file train.csv
    hf-seq2seq train bert_classifier --objective masked_language_model --from-scratch --train-file text.txt

The representation of the first token (or `--pooling mean`, `last`) goes through dropout and a linear layer.

Paper: Devlin et al., 2019, https://aclanthology.org/N19-1423
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf_seq2seq import configs, run_configs
from hf_seq2seq.sections import option

if TYPE_CHECKING:
    from hf_seq2seq.task import Task

SIZES = {
    "tiny": {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 128, "intermediate_size": 512},
    "small": {"num_hidden_layers": 4, "num_attention_heads": 8, "hidden_size": 512, "intermediate_size": 2048},
    "base": {"num_hidden_layers": 12, "num_attention_heads": 12, "hidden_size": 768, "intermediate_size": 3072},
}


@dataclass(frozen=True, kw_only=True)
class Tokens(configs.OneTokenizer):
    """Tokens: limits, and training of a tokenizer for a model from scratch."""

    tokenizer_type: str = option("wordpiece", "Kind of tokenizer to train.", choices=configs.TOKENIZERS)


@dataclass(frozen=True, kw_only=True)
class Optimization(configs.Optimization):
    """Optimization: batches, the optimizer and the precision."""

    learning_rate: float = option(5e-5, "Peak learning rate.", above=0)


@dataclass(frozen=True, kw_only=True)
class Evaluation(configs.Evaluation):
    """Evaluation: metrics."""

    metrics: tuple[str, ...] = option((), "Metrics, separated by commas; by default those of the problem.")


@dataclass(frozen=True, kw_only=True)
class Config(run_configs.EncoderRun):
    """All options of `bert_classifier`."""

    model: run_configs.EncoderModel = field(default_factory=run_configs.EncoderModel)
    masking: configs.Masking = field(default_factory=configs.Masking)
    data: configs.LabelledData = field(default_factory=configs.LabelledData)
    tokens: Tokens = field(default_factory=Tokens)
    optimization: Optimization = field(default_factory=Optimization)
    adaptation: configs.Adaptation = field(default_factory=configs.Adaptation)
    decoding: configs.Inference = field(default_factory=configs.Inference)
    evaluation: Evaluation = field(default_factory=Evaluation)


def prepare(config: Config) -> "Task":
    """Reads labelled texts or documents, loads or trains the tokenizer, loads or builds the model."""
    from hf_seq2seq.tasks.labelled import head_changes, label_task, read_all_labelled
    from hf_seq2seq.tasks.masked_lm import masked_task
    from hf_seq2seq.tasks.open_text import open_documents
    from hf_seq2seq.tasks.start_encoder import check_encoder_run, start_encoder

    config = check_encoder_run(config)
    if config.masking.objective == "masked_language_model":
        config, documents, column = open_documents(config, config.data)
        encoder, tokenizer, _ = start_encoder(config, SIZES, documents["train"])
        return masked_task(config, encoder, tokenizer, documents, column)
    config, splits, names = read_all_labelled(config)
    texts = [*splits["train"].texts, *(splits["train"].pairs or ())]
    encoder, tokenizer, fresh = start_encoder(config, SIZES, texts, **head_changes(config.model, names))
    return label_task(config, encoder, tokenizer, splits, names, fresh)


def main(config: Config) -> None:
    """Trains, evaluates, saves."""
    from hf_seq2seq.training.run import run

    run(prepare(config))
