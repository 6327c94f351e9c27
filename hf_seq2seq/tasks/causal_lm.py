"""Tasks for decoder-only models: pairs as one sequence each, and raw text in packed blocks."""

import dataclasses
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch

from hf_seq2seq.configs import PairTokenization
from hf_seq2seq.data.batches import ordered_batches
from hf_seq2seq.data.collation import CausalCollator, PackedCollator
from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.documents import pack
from hf_seq2seq.data.encoding import encode_continuations, encode_documents, encode_texts
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.mapped.texts import behind
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.prompts import wrap_texts
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.data.training_rows import TrainingRows
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives import make_objective
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.problems.causal_lm import CausalLMProblem
from hf_seq2seq.problems.seq2seq import Seq2SeqProblem
from hf_seq2seq.ragged import IGNORE
from hf_seq2seq.run_configs import DecoderRun
from hf_seq2seq.saved.positions import longest_sequence
from hf_seq2seq.task import Collate, Problem, Task
from hf_seq2seq.tasks.curricula import refuse_curriculum, with_curriculum
from hf_seq2seq.tasks.languages import with_languages
from hf_seq2seq.tasks.open_conversations import settle_steps
from hf_seq2seq.tasks.open_options import settle_search
from hf_seq2seq.tasks.open_text import lengths_of, settle_text
from hf_seq2seq.tasks.stages import settle_stages, with_stages
from hf_seq2seq.tasks.streams import with_stream
from hf_seq2seq.tasks.subwords import most_tokens, refuse_subwords, subword_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def joined_task(
    config: DecoderRun,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    pairs: Mapping[str, Pairs | Conversations],
) -> Task:
    """Encodes each pair as one sequence, source, separator, target and EOS, of which only the target is learned.

    Raises:
        InputError: source and target of maximum length exceed the model's table of positions.
    """
    pairs = with_languages(pairs, model, Tokenizers(tokenizer, tokenizer))
    tokens = config.tokens
    check_room(model, tokens)
    wrap_texts(tokenizer, tokens.separator)
    splits = {
        name: encode_joined(rows, tokenizer, tokens, config.data.source_prefix)
        for name, rows in pairs.items()
        if isinstance(rows, Pairs)
    }
    train = pairs["train"]
    if config.model.from_scratch and isinstance(train, Pairs):
        config = settle_steps(config, train.sides, lengths_of(splits["train"].lengths), splits)
    config = settle_stages(config, train)
    source, target = train.columns
    config = settle_search(config, model)
    problem = Seq2SeqProblem(config.decoding, tokens.max_target_length)
    renewed = subword_pairs(config, train, splits["train"], Tokenizers(tokenizer, tokenizer))
    presented = TrainingRows(splits["train"], renewed)
    most = most_tokens(config, train, presented)
    task = decoder_task(config, model, tokenizer, splits, {"source": source, "target": target}, problem, most)
    task = dataclasses.replace(task, presented=presented)
    task = with_curriculum(task, getattr(pairs["train"], "table", None))
    again = deepcopy(tokenizer)  # rows are encoded in a thread of their own
    prefix = config.data.source_prefix
    task = with_stages(task, pairs["train"], lambda rows: encode_joined(rows, again, tokens, prefix))
    return with_stream(task, pairs["train"], lambda rows: encode_joined(rows, again, tokens, prefix))


def check_room(model: "PreTrainedModel", tokens: PairTokenization) -> None:
    """Rejects maximum source and target lengths that together exceed the model's table of positions.

    Raises:
        InputError: names both flags.
    """
    most = positions(model)
    if most is not None and tokens.max_source_length + tokens.max_target_length > most:
        raise InputError(
            f"--max-source-length {tokens.max_source_length} and --max-target-length {tokens.max_target_length}: "
            f"they share one sequence; the model has {most} positions"
        )


def encode_joined(
    pairs: Pairs, tokenizer: "PreTrainedTokenizerBase", limits: PairTokenization, prefix: str = ""
) -> Examples:
    """Encodes the source as a prompt, and the first reference of every row."""
    prompts, cut_sources = encode_texts(behind(prefix, pairs.sources), tokenizer, limits.max_source_length)
    targets, cut_targets = encode_continuations(pairs.targets, tokenizer, limits.max_target_length)
    return Examples(
        prompts, pairs.sources, targets, pairs.references, truncated=(cut_sources, cut_targets), joined=True
    )


def text_task(
    config: DecoderRun,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    documents: dict[str, list[str]],
    column: str,
) -> Task:
    """Packs documents into blocks, in which every token is predicted from those of its own document.

    The maximum lengths of prompt and continuation, which training does not use, are reduced to fit into a block
    together.

    Raises:
        InputError: a block is longer than the model's table of positions, or the model cannot separate documents.
    """
    refuse_curriculum(config, "raw text")
    refuse_subwords(config, "raw text")
    size, most = config.tokens.block_size, positions(model)
    if most is not None and size > most:
        raise InputError(f"--block-size: {size} is too large; the model has {most} positions")
    if not keeps_documents_apart(model):
        kind = model.config.model_type
        raise InputError(
            f"a {kind!r} model lets packed documents attend to each other: --objective causal cannot train it"
        )
    longest = min(config.tokens.max_target_length, size // 2)
    prompt = min(config.tokens.max_source_length, size - longest)
    tokens = dataclasses.replace(config.tokens, max_source_length=prompt, max_target_length=longest)
    config = dataclasses.replace(config, tokens=tokens)
    wrap_texts(tokenizer, None)
    splits = {}
    for name, found in documents.items():
        blocks, places = pack(encode_documents(found, tokenizer), size)
        splits[name] = Examples(blocks, found, positions=places)
    config = settle_text(config, "gpt", model, splits["train"].lengths, splits)
    return decoder_task(config, model, tokenizer, splits, {"text": column}, CausalLMProblem(longest))


@torch.inference_mode()
def document_likelihoods(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", documents: list[str], block_size: int, rows: int
) -> np.ndarray:
    """Likelihoods of documents under a saved model, read in blocks as in an evaluation of raw text.

    Args:
        model: the model, in evaluation mode.
        tokenizer: its tokenizer.
        documents: the texts.
        block_size: tokens per block.
        rows: blocks per batch.

    Returns:
        Log-probability, and number of tokens except the first, which is not predicted, `(documents, 2)` float64.
    """
    encoded = encode_documents(documents, tokenizer)
    blocks, places = pack(encoded, block_size)
    examples = Examples(blocks, documents, positions=places)
    objective, collate = TokenCrossEntropy(model).eval(), PackedCollator(tokenizer.eos_token_id)
    sums = np.zeros((len(documents), 2))
    for batch_rows in ordered_batches(examples.lengths, rows):
        batch = {name: tensor.to(model.device) for name, tensor in collate(examples, batch_rows).items()}
        losses = objective.token_losses(batch).double().cpu().numpy()
        row, place = (batch["labels"] != IGNORE).nonzero().cpu().numpy().T
        label = batch_rows[row] * block_size + place + 1  # the index of a label among all documents' tokens
        document = np.searchsorted(encoded.offsets, label, side="right") - 1
        np.add.at(sums, document, np.stack([-losses, np.ones(len(losses))], axis=1))
    return sums


def positions(model: "PreTrainedModel") -> int | None:
    """The maximum sequence length of a model; None if unlimited."""
    return longest_sequence(model)


@torch.no_grad()
def keeps_documents_apart(model: "PreTrainedModel") -> bool:
    """Whether restarting positions separates a model's documents, tested on two documents of four tokens."""
    ids = torch.arange(1, 9)[None] % model.config.vocab_size
    other = torch.cat([ids[:, :4].flip(1), ids[:, 4:]], dim=1)
    places = torch.arange(4).repeat(2)[None]
    training = model.training
    model.eval()
    found, changed = (
        model(input_ids=x.to(model.device), position_ids=places.to(model.device), use_cache=False).logits[:, 4:]
        for x in (ids, other)
    )
    model.train(training)
    return torch.allclose(found, changed, rtol=1e-5, atol=1e-7)


def decoder_task(
    config: DecoderRun,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    splits: dict[str, Examples],
    columns: dict[str, str],
    problem: Problem,
    most: int = 0,
) -> Task:
    """Builds a task of any kind; sets the model's EOS and padding tokens. `most` is as in `GenerationContext`."""
    settings = model.generation_config
    assert settings is not None
    settings.pad_token_id, settings.eos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    tokenizers = Tokenizers(tokenizer, tokenizer)
    limit, prefix = config.tokens.max_target_length, config.data.source_prefix
    context = GenerationContext(tokenizers, splits["train"], config.run.seed, limit, prefix, most)
    objective = make_objective(config.loss, model, config.optimization.label_smoothing_factor, context)
    if splits["train"].positions is None:
        collate: Collate = CausalCollator(tokenizer.pad_token_id, objective.reads_rows)
    elif getattr(objective.options, "passes", "") == "sequential":
        raise InputError(
            "--loss-args: passes=sequential cannot read packed documents of --objective causal; leave it out"
        )
    else:  # EOS, for transformers would warn about padding without a mask
        collate = PackedCollator(tokenizer.eos_token_id, objective.reads_rows)
    return Task(
        recipe="gpt",
        config=config,
        model=model,
        tokenizers=tokenizers,
        splits=splits,
        columns=columns,
        objective=objective,
        collate=collate,
        metrics=config.evaluation.metrics,
        problem=problem,
    )
