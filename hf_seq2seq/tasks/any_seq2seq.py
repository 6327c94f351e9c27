"""Any encoder-decoder that transformers loads, or an encoder and a decoder joined into one, to fine-tune on pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_seq2seq.data.messages import OBJECTIVE as DIALOGUE
from hf_seq2seq.data.tokenizers.spelled import read_as_text
from hf_seq2seq.data.tokenizers.vocabulary import TARGET_FOLDER, Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.run_configs import AnySeq2SeqRun
from hf_seq2seq.saved.loading import check_kind, load_config
from hf_seq2seq.saved.model_paths import adapter_copy, tokenizer_place
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.joined_pairs import check_pair, join_pair, join_tokenizers
from hf_seq2seq.tasks.kept import kept_tokenizers
from hf_seq2seq.tasks.languages import check_languages, in_many_languages
from hf_seq2seq.tasks.mixtures import check_mixed_run, mixed_task, open_mixed
from hf_seq2seq.tasks.new_languages import add_languages
from hf_seq2seq.tasks.open_options import settle_fine_tuning
from hf_seq2seq.tasks.pretrained import check_adapter_start, fit_embeddings, load_pretrained, load_tokenizer
from hf_seq2seq.tasks.stages import refuse_stages, texts_to_learn
from hf_seq2seq.tasks.start_seq2seq import set_languages
from hf_seq2seq.training.adaptation import adapt, quantization
from hf_seq2seq.training.checks import check_loss

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

RECIPE = "seq2seq"


def seq2seq_task(config: AnySeq2SeqRun) -> Task:
    """Reads pairs, conversations or a mixture, and loads the checkpoint or joins the pair.

    Raises:
        InputError: there is no start or two, the checkpoint is no encoder-decoder of texts, the pair cannot be joined,
            or a language is missing or unknown.
    """
    check_loss(config)
    members = check_mixed_run(config, model_type=check_start(config))
    if config.data.objective == DIALOGUE:
        refuse_stages(config, "conversations")
    config, pairs, mixture = open_mixed(config, members, None)
    started = start_any(config, *texts_to_learn(pairs["train"]))
    check_languages(members, str(config.mixture.mixture), started[1])
    rows = sum(mixture.epochs.draws) if mixture else len(pairs["train"])
    config = settle_fine_tuning(config, RECIPE, rows, started[0], config.adaptation.has_adapter)
    return mixed_task(RECIPE, config, *started, pairs, mixture)


def check_start(config: AnySeq2SeqRun) -> str:
    """The type of the model to start from.

    Raises:
        InputError: as for `seq2seq_task`, as far as configurations tell.
    """
    model = config.model
    if model.encoder is not None or model.decoder is not None:
        options = config.adaptation
        if options.has_adapter and not options.merge_adapter:
            raise InputError(
                f"{options.adapter_flag}: an adapter names one base, and a pair has two; also give --merge-adapter"
            )
        return check_pair(model)
    if model.model_name_or_path is None:
        raise InputError(f"{RECIPE}: give --model-name-or-path, or --encoder and --decoder")
    place = adapter_copy(model.model_name_or_path, model.model_revision)
    found = load_config(place, model.trust_remote_code, model.model_revision)
    check_kind("seq2seq", place, found)
    check_reads_text(model.model_name_or_path, found)
    return str(found.model_type)


def check_reads_text(place: str, config: "PreTrainedConfig") -> None:
    """Rejects a checkpoint that reads sound or pictures alone, or has no encoder.

    Raises:
        InputError: names the architecture.
    """
    from transformers import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING

    kind = MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING.get(type(config), None)
    if not config.is_encoder_decoder or getattr(kind, "main_input_name", "input_ids") != "input_ids":
        raise InputError(f"{place}: contains {config.model_type!r}, not an encoder-decoder that reads text")


def load_tokenizers(config: AnySeq2SeqRun) -> Tokenizers:
    """The checkpoint's tokenizers, or the one that is named; a target tokenizer of its own is next to the source's.

    Raises:
        InputError: there is none, or it has no padding token.
    """
    source = config.model
    name = config.tokens.tokenizer_name or source.model_name_or_path
    assert name is not None
    place = tokenizer_place(adapter_copy(name, source.model_revision))
    path = Path(place).expanduser()
    if not path.is_dir() or (path / TARGET_FOLDER).is_dir():
        found = Tokenizers.load(place, source.trust_remote_code)
        if not found.shared:
            return found
    one = load_tokenizer(name, source)
    return Tokenizers(one, one)


def start_any(
    config: AnySeq2SeqRun, sources: Sequence[str], targets: Sequence[str]
) -> "tuple[PreTrainedModel, Tokenizers]":
    """The model with its tokenizers, which read special tokens that the texts spell as text where they can."""
    from transformers import AutoModelForSeq2SeqLM, set_seed

    kept = kept_tokenizers(config.run, config.model.trust_remote_code)
    if config.model.encoder is not None:
        tokenizers = kept or join_tokenizers(config)
        model, fresh = join_pair(config, tokenizers)
    else:
        check_adapter_start(config.adaptation, config.model)
        model, fresh = load_pretrained(RECIPE, (), AutoModelForSeq2SeqLM, config.model, quantization(config))
        tokenizers = kept or load_tokenizers(config)
    for tokenizer in () if kept else (tokenizers.source, tokenizers.target):
        read_as_text(tokenizer, [config.data.source_prefix, *sources, *targets])
    new = add_languages(tokenizers.target, config.tokens.added_languages)
    if not in_many_languages(sources):
        set_languages(model, tokenizers.target, config.data)
    rows = fit_embeddings(model, tokenizers, config, config.model, new)
    set_seed(config.run.seed)
    adapt(model, config.adaptation, fresh, rows)
    return model, tokenizers
