"""Given targets under a model, an ensemble, with padding and attention."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from hf_seq2seq.data.collation import source_batch
from hf_seq2seq.data.encoding import encode_texts
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.ensemble import average
from hf_seq2seq.decoding.scoring import Scored, encode, next_log_probs, score_targets
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search

Make = Callable[[str], Any]
TARGETS = [[5, 6, 7, 1], [8, 1], [9, 9, 4]]


@pytest.mark.parametrize("family", ["t5", "bart", "rnn", "transformer"])
def test_a_target_s_loss_is_its_log_probability(
    family: str, make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model(family)
    sources, _ = encode_texts(texts[:3], tokenizers.source, 64)
    found = score_targets([model], source_batch(sources, range(3), 0), TARGETS, attend=True)
    for row, target in enumerate(TARGETS):
        ids = torch.from_numpy(sources[row]).long()[None]
        if family == "bart":  # its labels are shifted behind a start token of its own
            inputs = torch.tensor([[1, *target[:-1]]])
            logits = model(input_ids=ids, decoder_input_ids=inputs).logits[0]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(target)).item()
        else:
            loss = model(input_ids=ids, labels=torch.tensor([target])).loss.item()
        assert -sum(found[row].log_probs) / len(target) == pytest.approx(loss, rel=1e-3)
        assert found[row].perplexity == pytest.approx(math.exp(loss), rel=1e-2)
        attention = found[row].attention
        assert attention is not None
        assert attention.shape[0] == len(target)
        assert attention[:, : len(sources[row])].sum(1) == pytest.approx(np.ones(len(target)), rel=1e-4)


@pytest.mark.parametrize("family", ["t5", "bart", "rnn", "transformer"])
def test_the_next_token_after_prefixes_of_a_source_that_is_encoded_once(family: str, make_model: Make) -> None:
    model, source = make_model(family), torch.tensor([[5, 6, 7, 8, 1]])
    batch = {"input_ids": source, "attention_mask": torch.ones_like(source)}
    encoded, prefixes, calls = encode(model, batch), torch.tensor([[5, 6], [7, 8], [9, 4]]), []
    model.get_encoder().register_forward_hook(lambda *_: calls.append(1))
    found = [next_log_probs(model, encoded, prefixes[:rows]) for rows in (1, 3)]
    assert not calls
    for row, prefix in enumerate(prefixes):
        whole = score_targets([model], batch, [[*prefix.tolist(), 5]])[0].log_probs[-1]
        assert float(found[1][row, 5]) == pytest.approx(whole, abs=1e-5)
    torch.testing.assert_close(found[0], found[1][:1], rtol=1e-5, atol=1e-5)


def test_an_encoded_source_keeps_the_token_that_starts_its_output(make_model: Make) -> None:
    model, source = make_model("bart"), torch.tensor([[5, 6, 7, 8, 1]])
    batch = {"input_ids": source, "attention_mask": torch.ones_like(source), "start_tokens": torch.tensor([9])}
    found = next_log_probs(model, encode(model, batch), torch.tensor([[5, 6], [7, 8]]))
    model.generation_config.decoder_start_token_id = 9
    del batch["start_tokens"]
    torch.testing.assert_close(found, next_log_probs(model, encode(model, batch), torch.tensor([[5, 6], [7, 8]])))


def test_a_decoder_alone_scores_what_follows_its_prompt() -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=11, n_embd=16, n_layer=2, n_head=2, n_positions=16)).eval()
    batch = {"input_ids": torch.tensor([[3, 4, 5], [0, 0, 6]]), "attention_mask": torch.tensor([[1, 1, 1], [0, 0, 1]])}
    found = score_targets([model], batch, [[7, 1], [8, 9, 1]])
    for prompt, target, scored in zip(([3, 4, 5], [6]), ([7, 1], [8, 9, 1]), found, strict=True):
        whole = torch.tensor([[*prompt, *target]])
        with torch.inference_mode():
            log_probs = model(input_ids=whole).logits[0].log_softmax(-1)
        expected = [float(log_probs[len(prompt) - 1 + n, token]) for n, token in enumerate(target)]
        assert scored.log_probs == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("beams", [1, 4])
def test_a_search_s_score_is_that_of_its_output(
    beams: int, make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model("transformer")
    sources, _ = encode_texts(texts[:4], tokenizers.source, 64)
    batch = source_batch(sources, range(4), 0)
    search = Search(num_beams=beams, num_return_sequences=beams, length_penalty=0.7)
    for row, outputs in enumerate(Searcher(model, search, 12)(batch, range(4))):
        alone = source_batch(sources, [row] * len(outputs), 0)
        targets = [each.ids + [1] * each.ended for each in outputs]
        for each, scored in zip(outputs, score_targets([model], alone, targets), strict=True):
            expected = sum(scored.log_probs) / len(scored.log_probs) ** 0.7
            assert each.score == pytest.approx(expected, rel=1e-3)


def test_other_tokens_and_the_best_ones_after_the_same_prefixes(
    make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model("rnn")
    sources, _ = encode_texts(texts[:3], tokenizers.source, 64)
    batch, others = source_batch(sources, range(3), 0), [[7, 7], [9, 4, 4], []]
    found = score_targets([model], batch, TARGETS, others=others, best=True)
    assert [len(each.others) for each in found] == [2, 2, 0]
    assert [len(each.best) for each in found] == [4, 2, 3]
    for place, other in ((0, [7, 6, 7, 1]), (1, [5, 7, 7, 1])):
        changed = score_targets([model], batch, [other, *TARGETS[1:]])[0].log_probs
        assert found[0].others[place] == pytest.approx(changed[place], abs=1e-5)
    best = score_targets([model], batch, [[*TARGETS[0][:2], found[0].best[2]], *TARGETS[1:]])[0].log_probs[2]
    every = [score_targets([model], batch, [[5, 6, token], *TARGETS[1:]])[0].log_probs[2] for token in range(12)]
    assert best >= max(every) - 1e-6


def test_perplexity_of_the_impossible_is_infinite() -> None:
    assert Scored([-1e4]).perplexity == math.inf


@pytest.mark.parametrize("kind", ["probability", "log_probability"])
def test_an_ensemble_is_the_average_of_its_models(
    kind: str, make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    """A recurrent and a Transformer model: greedy search without a cache, by hand."""
    models = [make_model("rnn"), make_model("transformer")]
    sources, _ = encode_texts(texts[:4], tokenizers.source, 64)
    searcher = Searcher(models[0], Search(), 8, others=(models[1],), average=kind)
    found = searcher(source_batch(sources, range(4), 0), range(4))
    alone = Searcher(models[0], Search(), 8)(source_batch(sources, range(4), 0), range(4))
    assert [each[0].ids for each in found] != [each[0].ids for each in alone]
    for row in range(4):
        ids, written = torch.from_numpy(sources[row]).long()[None], [3]
        while len(written) < 9 and written[-1] != 1:
            inputs = {"input_ids": ids, "decoder_input_ids": torch.tensor([written]), "use_cache": False}
            shares = torch.stack([model(**inputs).logits[0, -1].softmax(-1) for model in models])
            mean = shares.log().mean(0) if kind == "log_probability" else shares.mean(0)
            written.append(int(mean.argmax()))
        assert found[row][0].ids == [token for token in written[1:] if token != 1]


def test_an_ensemble_of_one_model_twice_is_that_model(
    make_model: Make, tokenizers: Tokenizers, texts: list[str]
) -> None:
    model = make_model("t5")
    sources, _ = encode_texts(texts, tokenizers.source, 64)
    batch, search = source_batch(sources, range(16), 0), Search(num_beams=3)
    twice = Searcher(model, search, 8, others=(model,))(batch, range(16))
    once = Searcher(model, search, 8)(batch, range(16))
    assert [each[0].ids for each in twice] == [each[0].ids for each in once]


def test_averages() -> None:
    logits = [torch.tensor([0.0, math.log(3)]), torch.tensor([math.log(3), 0.0])]
    assert average(logits).exp().tolist() == pytest.approx([0.5, 0.5])
    assert average(logits, "log_probability").exp().tolist() == pytest.approx([0.5, 0.5])
    others = [torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, 0.0])]
    shares = torch.tensor([math.sqrt(1 / 8), math.sqrt(3 / 8)])
    torch.testing.assert_close(average(others, "log_probability").exp(), shares / shares.sum())
