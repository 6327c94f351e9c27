"""Fine-tune GPT-2 and its like on pairs of text, or train them to continue raw text, also from scratch.

    hf-seq2seq train gpt --model-name-or-path openai-community/gpt2 --train-file train.csv --output-dir outputs/gpt
    hf-seq2seq train gpt --objective dialogue --model-name-or-path openai-community/gpt2 --train-file dialogues.jsonl
    hf-seq2seq train gpt --objective causal --from-scratch --train-file text.txt --output-dir outputs/language-model

Papers: Radford et al., 2018, https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf
and 2019, https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
"""

from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from hf_seq2seq import configs, run_configs

if TYPE_CHECKING:
    from hf_seq2seq.task import Task

FAMILIES = (
    *("gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2"),
    *("phi", "phi3", "olmo2", "smollm3", "transformer-decoder"),
)
SIZES = {
    "tiny": {"num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 128},
    "small": {"num_hidden_layers": 6, "num_attention_heads": 6, "hidden_size": 384},
    "base": {"num_hidden_layers": 12, "num_attention_heads": 12, "hidden_size": 768},
}


@dataclass(frozen=True, kw_only=True)
class Config(run_configs.DecoderRun):
    """All options of `gpt`."""

    model: run_configs.DecoderModel = field(default_factory=run_configs.DecoderModel)
    data: run_configs.DecoderData = field(default_factory=run_configs.DecoderData)
    tokens: run_configs.DecoderTokens = field(default_factory=run_configs.DecoderTokens)
    adaptation: configs.Adaptation = field(default_factory=configs.Adaptation)


def prepare(config: Config) -> "Task":
    """Reads pairs, conversations or documents, loads or trains the tokenizer, loads or builds the model."""
    from hf_seq2seq.data.mapped.texts import sampled
    from hf_seq2seq.tasks.causal_lm import joined_task, text_task
    from hf_seq2seq.tasks.dialogue import dialogue_task, settle_dialogue
    from hf_seq2seq.tasks.open_options import settle_fine_tuning
    from hf_seq2seq.tasks.open_text import decoder_choices, open_documents, settle_blocks, settle_joined
    from hf_seq2seq.tasks.pairs import open_pairs
    from hf_seq2seq.tasks.stages import texts_to_learn
    from hf_seq2seq.tasks.start_decoder import check_decoder_run, start_decoder

    config = check_decoder_run(config)
    sizes = SIZES[config.model.model_size]
    start = partial(start_decoder, families=FAMILIES, sizes=sizes)
    if config.data.objective == "causal":
        config, documents, column = open_documents(config, config.data, config.data.one_document)
        settle = partial(settle_blocks, documents=documents)
        return text_task(*start(config, texts=documents["train"], settle=settle), documents, column)
    new, dialogue = config.model.from_scratch, config.data.objective == "dialogue"
    choices = partial(decoder_choices, config.model.hidden_size or sizes["hidden_size"]) if new else None
    config, rows = open_pairs(config, config.data, dialogue, choices, joint=True)
    pairs: Any = rows
    train = pairs["train"]
    learned = () if dialogue else texts_to_learn(train)
    texts = train.contents if dialogue else [*chain(*map(sampled, learned) if new else learned)]
    settle = partial(settle_dialogue if dialogue else settle_joined, pairs=pairs)
    config, model, tokenizer = start(config, texts=texts, settle=settle)
    if not new:
        config = settle_fine_tuning(config, "gpt", len(train), model, config.adaptation.has_adapter)
    return (dialogue_task if dialogue else joined_task)(config, model, tokenizer, pairs)


def main(config: Config) -> None:
    """Trains, evaluates, saves."""
    from hf_seq2seq.training.run import run

    run(prepare(config))
