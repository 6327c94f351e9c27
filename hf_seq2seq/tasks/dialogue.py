"""Conversations of every split, and a task for decoder-only models, which learn every reply and generate the last."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from hf_seq2seq.configs import PairData
from hf_seq2seq.data.chat import encode_conversations, end_of_turn, prepare_chat
from hf_seq2seq.data.conversations import Conversations, read_conversations
from hf_seq2seq.data.sources import OpenShare
from hf_seq2seq.errors import InputError
from hf_seq2seq.problems.seq2seq import Seq2SeqProblem
from hf_seq2seq.run_configs import DecoderRun
from hf_seq2seq.task import Task
from hf_seq2seq.tasks.causal_lm import check_room, decoder_task
from hf_seq2seq.tasks.curricula import with_curriculum
from hf_seq2seq.tasks.open_conversations import exchanges, settle_shared_turns, settle_steps
from hf_seq2seq.tasks.open_options import settle_search
from hf_seq2seq.tasks.open_text import lengths_of
from hf_seq2seq.tasks.subwords import refuse_subwords

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


D = TypeVar("D", bound=DecoderRun)


def read_all_conversations(data: PairData, share: OpenShare | None = None) -> dict[str, Conversations]:
    """The conversations of every split; `share` as for `load_splits`.

    Raises:
        InputError: there are no training rows.
    """
    conversations = read_conversations(data, share)
    if "train" not in conversations:
        raise InputError("no training rows: give --train-file or --dataset-name")
    return conversations


def settle_dialogue(
    config: D, pairs: Mapping[str, Conversations], tokenizer: "PreTrainedTokenizerBase", most: int | None
) -> D:
    """Chooses the lengths of histories and replies, given a tokenizer and the positions of a checkpoint."""
    prepare_chat(tokenizer, config.tokens.separator)
    return settle_shared_turns(config, pairs, tokenizer, most)


def dialogue_task(
    config: DecoderRun,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    conversations: Mapping[str, Conversations],
) -> Task:
    """Encodes each conversation as one sequence, of which only replies and their ends are learned.

    A training conversation that is too long becomes several sequences. In evaluation, each reply is generated after the
    true messages before it, and the oldest exchanges of a long history are dropped.

    Raises:
        InputError: history and reply of maximum length exceed the model's table of positions.
    """
    refuse_subwords(config, "conversations")
    check_room(model, config.tokens)
    prepare_chat(tokenizer, config.tokens.separator)
    splits = {
        name: encode_conversations(rows, tokenizer, config.tokens, learned=name == "train")
        for name, rows in conversations.items()
    }
    if config.model.from_scratch and config.given is not None:
        side = exchanges(conversations["train"]).replies
        config = settle_steps(config, (None, side), lengths_of(splits["train"].lengths), splits)
    columns = {"source": conversations["train"].column, "target": "each reply"}
    config = settle_search(config, model)
    problem = Seq2SeqProblem(config.decoding, config.tokens.max_target_length)
    task = decoder_task(config, model, tokenizer, splits, columns, problem)
    settings = model.generation_config
    assert settings is not None
    ends = {end_of_turn(tokenizer): None, tokenizer.eos_token_id: None}
    settings.eos_token_id = list(ends) if len(ends) > 1 else tokenizer.eos_token_id
    return with_curriculum(task)
