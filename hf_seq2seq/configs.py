"""The options of a run: frozen sections that recipes combine; importing this module does not import torch.

A field is at once a command-line flag (`--learning-rate`), a YAML key (`learning_rate`) and an attribute
(`config.optimization.learning_rate`). Names are those of Hugging Face's training scripts where one exists.
"""

from dataclasses import dataclass, field

from hf_seq2seq.errors import InputError
from hf_seq2seq.inference import DEFAULT_METRICS
from hf_seq2seq.inference import Decoding as Decoding
from hf_seq2seq.inference import Inference as Inference
from hf_seq2seq.presentation import MIXINGS as MIXINGS
from hf_seq2seq.presentation import Curriculum, Staging
from hf_seq2seq.presentation import Mixing as Mixing
from hf_seq2seq.publication import Hub
from hf_seq2seq.publication import Publication as Publication
from hf_seq2seq.sections import LARGEST_SEED, MANY, Choice, Section, flag, option
from hf_seq2seq.time_limits import TimeLimits
from hf_seq2seq.training_options import Adaptation as Adaptation
from hf_seq2seq.training_options import Averaging, Instruments, Launching, Loss, Subwords, VocabularyUpdate
from hf_seq2seq.training_options import Denoising as Denoising
from hf_seq2seq.training_options import Masking as Masking


@dataclass(frozen=True, kw_only=True)
class Sources(Section):
    """The origin of the rows."""

    dataset_name: str | None = option(None, "Data set on the Hub, or a folder written by `save_to_disk`.")
    dataset_config_name: str | None = option(None, "Configuration of the data set on the Hub.")
    dataset_revision: str | None = option(None, "Revision of the data set on the Hub.")
    streaming: bool = option(
        False, "Read training pairs during training, --max-steps long; with --max-train-samples only a Hub set's first."
    )
    shuffle_buffer_size: int = option(
        10_000,
        "Rows of a stream that are read and shuffled together.",
        at_least=1,
        at_most=MANY,
        needs=("streaming", True),
    )
    train_file: str | None = option(
        None,
        "csv, tsv, json, jsonl (each also .gz, .xz, .zst), parquet, arrow, txt; several by a pattern, 'data/*.tsv', or "
        "their folder; or two line-aligned files: train.de,train.en.",
    )
    validation_file: str | None = option(
        None, "The same for validation; several named sets with separate scores: a=a.tsv,b=b.tsv."
    )
    test_file: str | None = option(None, "The same for the final test; also several named sets.")
    train_split: str = option("train", "Split of the Hub data set to train on.")
    validation_split: str | None = option(None, "Its validation split; by default validation, valid, val or dev.")
    test_split: str | None = option(None, "Its test split; by default test.")
    validation_split_percentage: float | None = option(
        None,
        "Share of the training rows held out if there is no validation set, in percent; by default 10, and at most "
        "1,000 rows.",
        at_least=0,
        at_most=50,
    )
    encoding: str = option("utf-8", "Encoding of local text files.")
    max_train_samples: int | None = option(None, "Use at most this many training rows.", at_least=1, at_most=MANY)
    train_samples_seed: int | None = option(
        None,
        "Draw these rows at random by this seed instead of taking the first ones; more rows hold the fewer.",
        at_least=0,
        at_most=LARGEST_SEED,
        needs=("max_train_samples", ...),
    )
    max_eval_samples: int | None = option(None, "Use at most this many validation rows.", at_least=1, at_most=MANY)
    max_predict_samples: int | None = option(None, "Use at most this many test rows.", at_least=1, at_most=MANY)
    deduplicate: bool = option(False, "Drop training rows that repeat an earlier row.")
    skip_empty: bool = option(False, "Skip rows with an empty cell in a column that is read, and report their number.")


@dataclass(frozen=True, kw_only=True)
class PairData(Sources):
    """Data: pairs of source and target text."""

    source_column: str | None = option(None, "Column of the source text.", aliases=("text_column",))
    target_column: str | None = option(None, "Column of the target text.", aliases=("summary_column",))
    context_column: str | None = option(
        None, "Column of a question's context; the source is then 'question: … context: …'."
    )
    source_template: str | None = option(
        None, "Source text composed of several columns, such as '{lemma} {features}'; lists are joined by spaces."
    )
    chosen_column: str | None = option(
        None, "Column of the better of two outputs, for --loss-type preference; by default chosen."
    )
    rejected_column: str | None = option(None, "Column of the worse one; by default rejected.")
    source_lang: str | None = option(None, "Source language: key in `translation` columns, and file suffix.")
    target_lang: str | None = option(None, "Target language; the same.")
    source_lang_column: str | None = option(None, "Column of each row's source language; by default source_lang.")
    target_lang_column: str | None = option(None, "Column of each row's target language; by default target_lang.")
    source_prefix: str = option("", "Text prepended to every source, such as 'summarize: '.")


FEATURE_LEVELS = ("auto", "row", "word")
FEATURE_JOININGS = ("add", "concatenate")


@dataclass(frozen=True, kw_only=True)
class PairsOrDialogue(PairData):
    """Data: pairs of source and target text, or conversations; sources may have features, or be feature matrices."""

    feature_columns: tuple[str, ...] = option(
        (), "Columns of features: of the source, such as 'V;PST', or one per word, such as 'DET NOUN VERB'."
    )
    feature_level: str = option(
        "auto",
        "Whether they are of the row or of its words; by default by their number.",
        choices=FEATURE_LEVELS,
        needs=("feature_columns", ...),
    )
    feature_joining: str = option(
        "add",
        "Add embeddings of features to those of tokens, or concatenate them.",
        choices=FEATURE_JOININGS,
        needs=("feature_columns", ...),
    )
    frames_column: str | None = option(
        None, "Column of feature matrices, frames by width, or of their npz or npy files; they replace the source text."
    )
    objective: str = option("supervised", "Learn targets or replies.", choices=("supervised", "dialogue"))


@dataclass(frozen=True, kw_only=True)
class LabelledData(Sources):
    """Data: texts with labels."""

    text_column: str | None = option(None, "Column of the text.", aliases=("text_column_name",))
    text_pair_column: str | None = option(None, "Column of a second text, for pairs such as entailment.")
    label_column: str | None = option(None, "Column of the label.", aliases=("label_column_name",))


KERNELS = ("eager", "sdpa", "flash_attention_2", "flex_attention")


@dataclass(frozen=True, kw_only=True)
class Pretrained(Section):
    """Model: the checkpoint to start from."""

    model_name_or_path: str | None = option(None, "Checkpoint to fine-tune: a Hub id or a folder.")
    model_revision: str = option("main", "Revision of the checkpoint on the Hub.")
    trust_remote_code: bool = option(False, "Allow a Hub repository to run its own code.")
    resize_embeddings: bool = option(False, "Add embeddings for tokens missing from the checkpoint.")
    attn_implementation: str | None = option(
        None, "How attention is computed; by default by the fastest way that the model has.", choices=KERNELS
    )


@dataclass(frozen=True, kw_only=True)
class PretrainedOrNew(Pretrained):
    """Model: a checkpoint to fine-tune, or a size to train from scratch."""

    from_scratch: bool = option(False, "Start from random weights, with a tokenizer trained on the data.")
    model_size: str = option(
        "tiny", "Size of a model from scratch.", choices=("tiny", "small", "base"), needs=("from_scratch", True)
    )
    config_overrides: tuple[str, ...] = option((), "Other fields of the model's configuration: d_model=256,dropout=0.")


@dataclass(frozen=True, kw_only=True)
class Tokenization(Section):
    """Tokens: limits."""

    max_source_length: int = option(
        256,
        "Maximum source length in tokens; longer ones are truncated, and their share is reported.",
        at_least=2,
        aliases=("max_seq_length",),
    )


@dataclass(frozen=True, kw_only=True)
class PairTokenization(Tokenization):
    """Tokens: limits."""

    max_target_length: int = option(128, "Maximum target length in tokens, also for generation.", at_least=2)


TOKENIZERS = ("char", "word", "bpe", "unigram", "wordpiece", "byte")
NORMAL_FORMS = ("nfc", "nfd", "nfkc", "nfkd")


@dataclass(frozen=True, kw_only=True)
class OneTokenizer(VocabularyUpdate, Tokenization):
    """Tokens: limits, and training of a tokenizer for a model from scratch."""

    tokenizer_name: str | None = option(None, "Pretrained tokenizer (Hub id or folder) to use instead of training one.")
    tokenizer_type: str = option("bpe", "Kind of tokenizer to train.", choices=TOKENIZERS)
    vocab_size: int = option(8000, "Maximum vocabulary size.", at_least=8)
    min_frequency: int = option(1, "Drop pieces seen fewer times than this (word, char, bpe, wordpiece).", at_least=1)
    lowercase: bool = option(False, "Lowercase the text.")

    def __post_init__(self) -> None:
        """Rejects options that have no effect on this kind of tokenizer."""
        super().__post_init__()
        if self.min_frequency > 1 and self._kinds == {"unigram"}:
            raise InputError("--min-frequency: a unigram tokenizer keeps pieces by their likelihood; leave it out")
        for name in self.changed() if self.is_bytes else ():
            if name in ("vocab_size", "target_vocab_size", "min_frequency"):
                raise InputError(f"{flag(name)}: a byte tokenizer has one token for each of 256 bytes; leave it out")

    @property
    def _kinds(self) -> set[str]:
        return {self.tokenizer_type, getattr(self, "target_tokenizer_type", None) or self.tokenizer_type}

    @property
    def is_bytes(self) -> bool:
        """Whether every side is read as bytes, whose vocabulary has a size of its own."""
        return self._kinds == {"byte"}


@dataclass(frozen=True, kw_only=True)
class NewTokenizer(OneTokenizer, PairTokenization):
    """Tokens: limits, and training of a tokenizer for a model from scratch."""

    target_tokenizer_type: str | None = option(
        None, "Kind for the target, if different; implies separate vocabularies.", choices=TOKENIZERS
    )
    target_vocab_size: int | None = option(None, "Maximum target vocabulary size, if different.", at_least=8)
    separate_vocabularies: bool = option(False, "Train one tokenizer for the source and one for the target.")
    source_normalization: str | None = option(
        None,
        "Unicode normal form of sources with a vocabulary of their own; nfd splits Hangul syllables into letters.",
        choices=NORMAL_FORMS,
    )
    added_tokens: tuple[str, ...] = option(
        (), "Marks in the text that are one token each in every tokenizer, such as the tag <BT> of back-translation."
    )


MOST_DECAY = 0.999_999_999
"""Of a moving average, which never moves at 1."""
OPTIMIZERS = ("adamw", "adafactor", "schedule_free_adamw", "adamw_8bit")


@dataclass(frozen=True, kw_only=True)
class Optimization(Section):
    """Optimization: batches, the optimizer and the precision."""

    max_tokens_per_batch: int | None = option(
        None, "Batch by a budget of tokens per device (source + target, including padding).", at_least=4
    )
    per_device_train_batch_size: int = option(32, "Examples per device, if no token budget is set.", at_least=1)
    gradient_accumulation_steps: int = option(1, "Batches per device for one optimizer step.", at_least=1)
    optim: str = option("adamw", "Optimizer.", choices=OPTIMIZERS, aliases=("optimizer",))
    scale_parameter: bool = option(False, "AdaFactor: steps in proportion to each matrix, as T5 was pretrained.")
    learning_rate: float = option(5e-4, "Peak learning rate.", above=0)
    weight_decay: float = option(0.0, "Decoupled weight decay; not applied to biases and norms.", at_least=0)
    adam_beta1: float = option(0.9, "AdamW's beta 1.", at_least=0, at_most=MOST_DECAY)
    adam_beta2: float = option(0.999, "AdamW's beta 2.", at_least=0, at_most=MOST_DECAY)
    adam_epsilon: float = option(1e-8, "AdamW's epsilon.", above=0)
    max_grad_norm: float = option(1.0, "Clip the gradient to this norm; 0 for no clipping.", at_least=0)
    label_smoothing_factor: float = option(0.0, "Label smoothing.", at_least=0, at_most=0.99)
    bf16: bool = option(False, "bfloat16: autocast on a GPU; bf16 weights with a float32 master on CPU.")
    fp16: bool = option(False, "float16 with loss scaling; needs a GPU.")
    gradient_checkpointing: bool = option(False, "Recompute activations to save memory.")
    torch_compile: bool = option(False, "Compile the model with torch.compile.")


CONSTANT = ("constant", "constant_with_warmup")
SCHEDULES = ("linear", "cosine", "polynomial", "inverse_sqrt", *CONSTANT, "warmup_stable_decay")


@dataclass(frozen=True, kw_only=True)
class Schedule(TimeLimits):
    """Schedule: how long, how fast, when to evaluate, save and stop."""

    num_train_epochs: float = option(3.0, "Passes over the training rows; with a time limit, at most.", above=0)
    max_steps: int | None = option(None, "Optimizer steps, instead of epochs.", at_least=1, at_most=MANY)
    lr_scheduler_type: str = option("linear", "Learning rate schedule after warm-up.", choices=SCHEDULES)
    lr_power: float = option(1.0, "Power of the polynomial schedule.", above=0)
    min_learning_rate_ratio: float = option(
        0.0, "Share of the peak rate below which a schedule does not fall.", at_least=0, at_most=1
    )
    warmup_steps: int = option(0, "Steps to reach the peak learning rate.", at_least=0)
    warmup_ratio: float = option(0.0, "The same as a share of all steps.", at_least=0, at_most=1)
    logging_steps: int = option(50, "Log the training loss every this many steps.", at_least=1, at_most=MANY)
    eval_steps: int | None = option(
        None, "Evaluate every this many steps; by default once per epoch.", at_least=1, at_most=MANY
    )
    eval_beams: int | None = option(
        None, "Beams of these evaluations; by default --num-beams, which the final scores have.", at_least=1
    )
    save_steps: int | None = option(
        None, "Save a checkpoint every this many steps; by default at each evaluation.", at_least=1, at_most=MANY
    )
    save_total_limit: int | None = option(2, "Checkpoints to keep besides the best.", at_least=1, at_most=MANY)
    metric_for_best_model: str = option(
        "loss", "Metric that selects the best checkpoint, which becomes the final model."
    )
    early_stopping_patience: int | None = option(
        None, "Stop after this many evaluations without improvement; after 2 where the score is perfect.", at_least=1
    )

    def __post_init__(self) -> None:
        """Rejects options of another schedule."""
        super().__post_init__()
        if self.lr_power != 1 and self.lr_scheduler_type != "polynomial":
            raise InputError(f"--lr-power: --lr-scheduler-type {self.lr_scheduler_type} has none; use polynomial")
        if self.min_learning_rate_ratio and self.lr_scheduler_type in CONSTANT:
            raise InputError(f"--min-learning-rate-ratio: --lr-scheduler-type {self.lr_scheduler_type} does not fall")
        if (self.warmup_steps or self.warmup_ratio) and self.lr_scheduler_type == "constant":
            name = flag("warmup_steps" if self.warmup_steps else "warmup_ratio")
            raise InputError(f"{name}: --lr-scheduler-type constant has none; use constant_with_warmup")


@dataclass(frozen=True, kw_only=True)
class Evaluation(Section):
    """Evaluation: metrics."""

    metrics: tuple[str, ...] = option(DEFAULT_METRICS, "Metrics, separated by commas.")


@dataclass(frozen=True, kw_only=True)
class Run(Launching):
    """Run: output folder, seed and processes."""

    output_dir: str = option("outputs/run", "Folder of the model, its checkpoints, results and card.")
    overwrite_output_dir: bool = option(False, "Replace a run already in the folder.")
    resume_from_checkpoint: str | None = option(None, "A checkpoint, such as checkpoint-500, or 'last'.")
    seed: int = option(
        42, "Seed of the initial weights, the order of batches and dropout.", at_least=0, at_most=LARGEST_SEED
    )
    report_to: tuple[str, ...] = option((), "Trackers.", choices=("tensorboard", "wandb", "trackio"))


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Options common to all recipes; a recipe's own sections precede these, and `data` and `tokens` are of its kind.

    Attributes:
        given: options that were given by flag, file or argument; the others are open to `hf_seq2seq.defaults`. None
            where sections were made in Python: nothing is open.
        derived: what was chosen for open options.
    """

    given: frozenset[str] | None = None
    derived: tuple[Choice, ...] = ()
    data: Sources
    tokens: Tokenization
    curriculum: Curriculum = field(default_factory=Curriculum)
    optimization: Optimization = field(default_factory=Optimization)
    schedule: Schedule = field(default_factory=Schedule)
    averaging: Averaging = field(default_factory=Averaging)
    instruments: Instruments = field(default_factory=Instruments)
    decoding: Inference = field(default_factory=Decoding)
    evaluation: Evaluation = field(default_factory=Evaluation)
    run: Run = field(default_factory=Run)
    hub: Hub = field(default_factory=Hub)

    def settles(self, name: str) -> bool:
        """Whether an option was given, or chosen by the rows."""
        return name in (self.given or ()) or any(choice.name == name for choice in self.derived)


@dataclass(frozen=True, kw_only=True)
class TextRunConfig(RunConfig):
    """Options common to all recipes of text-generating models."""

    data: PairData
    tokens: PairTokenization
    staging: Staging = field(default_factory=Staging)
    loss: Loss = field(default_factory=Loss)
    subwords: Subwords = field(default_factory=Subwords)
    decoding: Decoding = field(default_factory=Decoding)
