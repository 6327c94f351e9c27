"""How likely references are under every family: against each model's own loss, a row at a time, for any batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from hf_seq2seq.configs import Decoding, NewTokenizer, PairTokenization
from hf_seq2seq.data.chat import encode_conversations, prepare_chat
from hf_seq2seq.data.collation import Seq2SeqCollator
from hf_seq2seq.data.conversations import Conversations
from hf_seq2seq.data.copying import name_copies
from hf_seq2seq.data.encoding import encode_pairs
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.prompts import wrap_texts
from hf_seq2seq.data.tokenizers.special_tokens import GPT
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.decoding.dialogue import ReplyGenerator
from hf_seq2seq.decoding.text_generator import TextGenerator
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives.cross_entropy import TokenCrossEntropy
from hf_seq2seq.tasks.causal_lm import document_likelihoods

REFERENCES = [["the dog runs", "a small red dog"], ["green"], ["the old man sees a big house under the new tree"], [""]]


def generator(model: Any, tokenizers: Tokenizers, rows: int = 2, **more: Any) -> TextGenerator:
    return TextGenerator(model, tokenizers, Decoding(per_device_eval_batch_size=rows), 10, **more)


@pytest.mark.parametrize("family", ["t5", "bart", "pegasus", "rnn", "transformer"])
def test_equal_to_each_model_s_loss_for_any_batch(
    family: str, make_model: Callable[[str], Any], tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model(family)
    expected = np.zeros((4, 2))
    for row, accepted in enumerate(REFERENCES):
        source = tokenizers.source(texts[row], return_tensors="pt")
        for text in accepted:
            labels = torch.tensor([tokenizers.target(text_target=text)["input_ids"]])
            with torch.inference_mode():
                inputs = model.prepare_decoder_input_ids_from_labels(labels)
                kept = {name: source[name] for name in ("input_ids", "attention_mask")}
                logits = model(**kept, decoder_input_ids=inputs, use_cache=False).logits.double()
            losses = torch.nn.functional.cross_entropy(logits[0], labels[0], reduction="sum")
            expected[row] += (-float(losses), labels.shape[1])
    for rows in (1, 3, 16):
        found = generator(model, tokenizers, rows).likelihoods(texts[:4], REFERENCES)[0]
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_copied_word_is_scored_as_it_is_learned(tokenizers: Tokenizers) -> None:
    from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
    from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration

    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 3}
    size = {"vocab_size": len(tokenizers.target), "hidden_size": 16, "embedding_size": 16}
    ids["unk_token_id"] = tokenizers.source.unk_token_id
    copying = {"pointer_generator": True, "copy_vocab_size": 3, "share_embeddings": True}
    config = RnnSeq2SeqConfig(**size, **ids, **copying, initializer_range=1.0)
    model = RnnForConditionalGeneration(config).eval()
    pairs = Pairs(["the dog sees Zorro", "a cat"], [["Zorro runs"], ["Zorro runs"]], ("source", "target"))
    examples = name_copies(encode_pairs(pairs, tokenizers, PairTokenization()), tokenizers, 3)
    objective, collate = TokenCrossEntropy(model).eval(), Seq2SeqCollator(0)
    expected = [-objective(collate(examples, np.array([row]))).item() for row in range(2)]
    found = generator(model, tokenizers).likelihoods(pairs.sources, pairs.references)[0]
    assert found == pytest.approx(np.array([[expected[0], 3], [expected[1], 3]]), rel=1e-5)
    told = generator(model, tokenizers, details=("tokens",)).score(pairs.sources, ["Zorro runs"] * 2)
    assert [each["tokens"] for each in told] == [[word, "runs", "</s>"] for word in ("Zorro", "<unk>")]


@pytest.fixture
def decoder() -> tuple[Any, Tokenizers]:
    """A decoder alone, and its tokenizer as pairs and conversations want it."""
    texts = [text for row in REFERENCES for text in row]
    tokenizers = train_tokenizers(texts, [], NewTokenizer(tokenizer_type="word"), specials=GPT)
    tokenizer = tokenizers.source
    torch.manual_seed(0)
    ids = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 40, "initializer_range": 0.3}
    return GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **sizes, **ids)).eval(), tokenizers


def log_probability(model: Any, ids: list[int], length: int) -> float:
    """Of the last tokens of a sequence."""
    with torch.inference_mode():
        log_probs = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(log_probs[place - 1, ids[place]]) for place in range(len(ids) - length, len(ids)))


def test_a_decoder_alone_continues_from_the_source(decoder: tuple[Any, Tokenizers]) -> None:
    model, tokenizers = decoder
    wrap_texts(tokenizers.source, None)
    sources = ["a dog", "the old green tree"]
    found = generator(model, tokenizers, 4).likelihoods(sources, REFERENCES[:2])[0]
    for row, source in enumerate(sources):
        expected = [0.0, 0]
        for text in REFERENCES[row]:
            ids = [*tokenizers.source(text, add_special_tokens=False)["input_ids"], tokenizers.source.eos_token_id]
            expected[0] += log_probability(model, [*tokenizers.source(source)["input_ids"], *ids], len(ids))
            expected[1] += len(ids)
        assert found[row] == pytest.approx(expected, rel=1e-5)


def test_a_reply_is_what_training_learns(decoder: tuple[Any, Tokenizers]) -> None:
    model, tokenizers = decoder
    prepare_chat(tokenizers.source, "\n")
    messages = [
        [{"role": "user", "content": "the dog"}, {"role": "assistant", "content": "runs"}],
        [
            *({"role": "user", "content": "a cat"}, {"role": "assistant", "content": "a tree"}),
            *({"role": "user", "content": "the man"}, {"role": "assistant", "content": "a big house"}),
        ],
    ]
    conversations = Conversations(messages, "messages", "here")
    limits = PairTokenization(max_source_length=100, max_target_length=100)
    learned = encode_conversations(conversations, tokenizers.source, limits, learned=True)
    replies = ReplyGenerator(model, tokenizers, Decoding(), 10)
    found = replies.likelihoods(conversations.histories, conversations.references)[0]
    assert learned.target is not None
    for row in range(2):
        ids = learned.target[row].tolist()
        whole = [*learned.source[row].tolist(), *ids]
        assert found[row] == pytest.approx([log_probability(model, whole, len(ids)), len(ids)], rel=1e-5)


def test_a_document_s_likelihood_is_its_own(decoder: tuple[Any, Tokenizers]) -> None:
    model, tokenizers = decoder
    tokenizer = tokenizers.source
    documents = ["the dog runs", "a small red dog", "green", "the old man sees a big house"]
    encoded = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in documents]
    whole = document_likelihoods(model, tokenizer, documents, 39, 8)
    for row, ids in enumerate(encoded):
        assert whole[row] == pytest.approx([log_probability(model, ids, len(ids) - 1), len(ids) - 1], rel=1e-5)
    for rows in (1, 2, 7):  # where blocks cut a document, its later part is read without the earlier one
        cut = document_likelihoods(model, tokenizer, documents, 6, rows)
        assert cut[:, 1].tolist() == whole[:, 1].tolist()
        assert cut == pytest.approx(document_likelihoods(model, tokenizer, documents, 6, 3), rel=1e-5)


def test_a_text_that_is_too_long_is_named(
    decoder: tuple[Any, Tokenizers], make_model: Callable[[str], Any], tokenizers: Tokenizers
) -> None:
    long = [["green"], ["green " * 70]]
    with pytest.raises(InputError, match="row 2: its target has 71 tokens; this model has 64 positions"):
        generator(make_model("bart"), tokenizers).likelihoods(["a", "a"], long)
    with pytest.raises(InputError, match=r"row 2: its source and target have 71 .* 40 positions \(--max-"):
        generator(*decoder).likelihoods(["a", "a"], long)
    with pytest.raises(InputError, match="row 2: its target has 71"):
        generator(make_model("bart"), tokenizers).score(["a"], long[1], first=1)
