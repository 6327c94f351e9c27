"""Options of the loss, and of training that go with any; importing this module does not import torch."""

from dataclasses import dataclass

from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import MANY, MOST_WEIGHT, Section, option


@dataclass(frozen=True, kw_only=True)
class Loss(Section):
    """Loss: what is minimized on pairs."""

    loss_type: str = option(
        "cross_entropy",
        "cross_entropy, scheduled_sampling, minimum_risk, self_critical, preference or distillation.",
    )
    loss_args: tuple[str, ...] = option((), "Options of the loss: samples=16,alpha=0.005.")
    r_drop: float = option(
        0.0,
        "Weight of the divergence between two passes with different dropout; 0 is one pass.",
        at_least=0,
        at_most=MOST_WEIGHT,
    )
    unlikelihood: float = option(
        0.0, "Weight of the penalty for repeating tokens of the target so far.", at_least=0, at_most=MOST_WEIGHT
    )
    coverage_weight: float = option(
        0.0,
        "Weight of the loss of attending to a source position again, of every model that attends.",
        at_least=0,
        at_most=MOST_WEIGHT,
    )
    length_weight: float = option(
        0.0,
        "Weight of the difference between the lengths of the target and of the expected output.",
        at_least=0,
        at_most=MOST_WEIGHT,
    )
    compression_weight: float = option(
        0.0,
        "Weight of what the context of a recurrent model without attention says about the source.",
        at_least=0,
        at_most=MOST_WEIGHT,
    )
    label_smoothing_type: str = option(
        "uniform", "Smooth over all tokens, or over the others than the true one.", choices=("uniform", "others")
    )


@dataclass(frozen=True, kw_only=True)
class Averaging(Section):
    """Averaging: weights that are means over the run."""

    ema_decay: float | None = option(
        None,
        "Evaluate and save an exponential moving average of the weights with this decay.",
        above=0,
        at_most=0.99999,
    )
    ema_start: int = option(0, "Step at which that average begins.", at_least=0)
    average_checkpoints: int | None = option(
        None, "The final model is the mean of this many checkpoints, instead of the best one.", at_least=2, at_most=1000
    )
    average_around: str = option(
        "last", "Average the last checkpoints, or the best and those around it.", choices=("last", "best")
    )

    def __post_init__(self) -> None:
        """Rejects options of an average that is not asked for."""
        super().__post_init__()
        if self.ema_start and self.ema_decay is None:
            raise InputError(
                f"--ema-start: {self.ema_start} without an average; add --ema-decay 0.999, or leave it out"
            )
        if self.average_around != "last" and self.average_checkpoints is None:
            raise InputError(f"--average-around {self.average_around}: add --average-checkpoints 5, or leave it out")


@dataclass(frozen=True, kw_only=True)
class Subwords(Section):
    """Subwords: the segmentation of the training rows is sampled in every epoch."""

    bpe_dropout: float = option(0.0, "BPE: leave out each merge with this probability.", at_least=0, at_most=1)
    unigram_sampling: float | None = option(
        None, "Unigram: sample segmentations with this sharpness; 0 is uniform.", at_least=0, at_most=100
    )
    subword_sides: str = option("both", "The sides to sample.", choices=("both", "source", "target"))

    @property
    def asked_for(self) -> str:
        """The flag that asks for it; empty if none does."""
        return "--bpe-dropout" if self.bpe_dropout else "--unigram-sampling" * (self.unigram_sampling is not None)

    @property
    def kind(self) -> str:
        """The kind of tokenizer that is sampled; empty if none is."""
        return {"--bpe-dropout": "bpe", "--unigram-sampling": "unigram"}.get(self.asked_for, "")

    def __post_init__(self) -> None:
        """Rejects sides without anything to sample."""
        super().__post_init__()
        if self.subword_sides != "both" and not self.asked_for:
            raise InputError(f"--subword-sides {self.subword_sides}: add --bpe-dropout or --unigram-sampling")


@dataclass(frozen=True, kw_only=True)
class VocabularyUpdate(Section):
    """Tokens: new pieces of a checkpoint's vocabulary."""

    update_vocabulary: tuple[str, ...] = option(
        (), "Text file from which a checkpoint's tokenizer learns new pieces; SOURCE,TARGET for two vocabularies."
    )
    new_pieces: int = option(
        1000, "Most new pieces that it learns.", at_least=1, at_most=MANY, needs=("update_vocabulary", ...)
    )


@dataclass(frozen=True, kw_only=True)
class Instruments(Section):
    """Instruments: measurements while training."""

    log_gradient_flow: int | None = option(
        None, "Log the gradients of every layer and recurrent step, and the updates, every this many steps.", at_least=1
    )


@dataclass(frozen=True, kw_only=True)
class Denoising(Section):
    """Objective: pairs, conversations, or denoising of raw text."""

    objective: tuple[str, ...] = option(
        ("supervised",), "supervised (pairs), dialogue, or noises of raw text, separated by commas."
    )
    mlm_probability: float | None = option(None, "Share of tokens that are noised.", above=0, at_most=0.95)
    mean_noise_span_length: float = option(3.0, "Mean length of noised spans in tokens.", at_least=1)
    gap_sentences_ratio: float = option(0.3, "Share of sentences that are masked.", above=0, at_most=0.95)
    gap_selection: str = option("principal", "Which sentences to mask.", choices=("principal", "random", "lead"))
    gap_sequential: bool = option(
        False, "Select principal sentences sequentially, so that they score highest together."
    )
    gap_unique: bool = option(False, "Count repeated words once in the scores.")
    gap_masked_tokens: bool = option(False, "Also mask tokens between the gaps, to be predicted by the encoder.")
    sentence_language: str = option("en", "Language of the text, whose abbreviations do not end a sentence.")


@dataclass(frozen=True, kw_only=True)
class Masking(Section):
    """Objective: labels, or masked tokens of raw text."""

    objective: str = option("supervised", "What is learned.", choices=("supervised", "masked_language_model"))
    mlm_probability: float = option(0.15, "Share of tokens to predict.", above=0, at_most=0.95)
    whole_word_masking: bool = option(False, "Mask whole words.")
    next_sentence_prediction: bool = option(False, "Also predict whether one segment follows another.")
    sentence_language: str = option("en", "Language of the text, whose abbreviations do not end a sentence.")


MOST_PROCESSES = 1024


@dataclass(frozen=True, kw_only=True)
class Launching(Section):
    """Run: processes and machines."""

    num_processes: int | None = option(
        None,
        "Start this many processes, one per GPU or on CPU; of several machines, all together.",
        at_least=1,
        at_most=MOST_PROCESSES,
    )
    num_machines: int = option(1, "Machines that share the run.", at_least=1, at_most=MOST_PROCESSES)
    machine_rank: int = option(0, "Which of them this one is; 0 is the main one.", at_least=0, at_most=MOST_PROCESSES)
    main_process_ip: str | None = option(None, "Address or name of the main machine.")
    main_process_port: int = option(29500, "Port on which it listens.", at_least=1, at_most=65535)
    machine_timeout: int = option(300, "Seconds to wait for all machines to join.", at_least=1, at_most=MANY)
    gpus: str | None = option(None, "GPUs to use, such as 0,1; starts one process for each.")
    accelerate_config: str | None = option(
        None, "How processes share the work: ddp, fsdp, zero2, zero3, … or a file written by `accelerate config`."
    )
    use_cpu: bool = option(False, "Use the CPU even if there is a GPU.")


FROZEN = ("none", "embeddings", "encoder", "all_but_head")


LORA_VARIANTS = ("lora", "dora", "rslora", "pissa", "olora")


@dataclass(frozen=True, kw_only=True)
class Adaptation(Section):
    """Adaptation: train fewer weights."""

    lora_r: int | None = option(
        None, "Train a low-rank adapter (LoRA) of this rank instead of the weights.", at_least=1
    )
    lora_alpha: int | None = option(
        None, "LoRA's alpha: its scale times the rank; by default twice the rank.", at_least=1
    )
    lora_dropout: float = option(0.0, "Dropout on the adapter's input.", at_least=0, at_most=0.95)
    lora_target_modules: tuple[str, ...] = option((), "Linear layers to adapt; by default those usual for the family.")
    lora_variant: str = option("lora", "Form or start of the low-rank adapter.", choices=LORA_VARIANTS)
    ia3: bool = option(False, "Train factors of keys, values and feed-forward layers ((IA)³) instead of the weights.")
    prompt_tokens: int | None = option(
        None, "Train this many vectors in front of every source (prompt tuning) instead of the weights.", at_least=1
    )
    load_in_4bit: bool = option(False, "Keep the weights under the adapter in 4 bits (QLoRA); needs bitsandbytes.")
    merge_adapter: bool = option(False, "Merge the adapter into the weights at the end, and save a plain model.")
    freeze: str = option("none", "Parts of the model not to train.", choices=FROZEN)

    @property
    def has_adapter(self) -> bool:
        """Whether an adapter is trained."""
        return self.adapter_flag is not None

    @property
    def adapter_flag(self) -> str | None:
        """The flag of the adapter that is trained, if any."""
        given = {"--lora-r": self.lora_r is not None, "--ia3": self.ia3, "--prompt-tokens": self.prompt_tokens}
        return next((name for name, asked in given.items() if asked), None)
