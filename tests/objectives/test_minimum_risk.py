"""Minimum risk training against the paper's formulas, computed output by output by the test itself."""

from typing import Any

import pytest
import torch
from sacrebleu.metrics import BLEU
from torch import Tensor
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedModel, T5Config, T5ForConditionalGeneration

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.configs import NewTokenizer, PairTokenization
from hf_seq2seq.data.collation import Seq2SeqCollator
from hf_seq2seq.data.encoding import encode_pairs
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.data.pairs import Pairs
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers, train_tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives import loss_options, make_objective
from hf_seq2seq.objectives.candidates import risk_by
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.objectives.minimum_risk import MinimumRisk
from hf_seq2seq.training_options import Loss

SOURCES = ["abc", "b", "cabba", "ca"]
REFERENCES = [["cba", "cb"], ["b"], ["abbac"], ["ac"]]
LONGEST = 6


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    return train_tokenizers(SOURCES, [text for row in REFERENCES for text in row], NewTokenizer(tokenizer_type="char"))


@pytest.fixture(scope="module")
def examples(tokenizers: Tokenizers) -> Examples:
    pairs = Pairs(SOURCES, REFERENCES, ("source", "target"))
    return encode_pairs(pairs, tokenizers, PairTokenization(max_source_length=9, max_target_length=9))


def rnn(tokenizers: Tokenizers, **more: Any) -> PreTrainedModel:
    sizes = {"embedding_size": 6, "hidden_size": 8, "dropout": 0.0, "initializer_range": 1.0}
    return RnnForConditionalGeneration(RnnSeq2SeqConfig(**tokenizers.model_settings(), **sizes | more)).double()


def pointer(tokenizers: Tokenizers) -> PreTrainedModel:
    return rnn(tokenizers, pointer_generator=True)


def transformer(tokenizers: Tokenizers) -> PreTrainedModel:
    sizes = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("layers", 1), ("ffn_dim", 8))}
    sizes |= {f"{side}_attention_heads": 2 for side in ("encoder", "decoder")}
    config = TransformerSeq2SeqConfig(**tokenizers.model_settings(), **sizes, d_model=8, dropout=0.0)
    return TransformerForConditionalGeneration(config).double()


def t5(tokenizers: Tokenizers) -> PreTrainedModel:
    ids = {"pad_token_id": tokenizers.target.pad_token_id, "eos_token_id": tokenizers.target.eos_token_id}
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
    start = {"decoder_start_token_id": ids["pad_token_id"], "vocab_size": len(tokenizers.target)}
    return T5ForConditionalGeneration(T5Config(**ids, **sizes, **start)).double()


def bart(tokenizers: Tokenizers) -> PreTrainedModel:
    sizes = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("layers", 1), ("ffn_dim", 8))}
    sizes |= {f"{side}_attention_heads": 2 for side in ("encoder", "decoder")} | {"d_model": 8, "dropout": 0.0}
    ids = tokenizers.model_settings() | {"forced_eos_token_id": None, "max_position_embeddings": 16}
    return BartForConditionalGeneration(BartConfig(**ids, **sizes)).double()


MODELS = {"rnn": rnn, "pointer": pointer, "transformer": transformer, "t5": t5, "bart": bart}


def objective_of(model: PreTrainedModel, tokenizers: Tokenizers, examples: Examples | None, args: str) -> MinimumRisk:
    context = GenerationContext(tokenizers, examples, 7, LONGEST)
    loss = Loss(loss_type="minimum_risk", loss_args=args)  # type: ignore[arg-type]
    objective = make_objective(loss, model, 0.1, context)
    assert isinstance(objective, MinimumRisk)
    return objective


def augmented(objective: MinimumRisk, examples: Examples, rows: list[int], step: int = 3) -> dict[str, Tensor]:
    batch = Seq2SeqCollator(objective.context.tokenizers.source.pad_token_id, rows=True)(examples, rows)  # type: ignore
    objective.begin_step(step, 10)
    with torch.no_grad():
        return objective.augment(batch)


def samples(batch: dict[str, Tensor]) -> dict[int, list[list[int]]]:
    """Candidates by the number of their row."""
    found: dict[int, list[list[int]]] = {row: [] for row in batch["rows"].tolist()}
    for ids, index in zip(batch["candidates"], batch["candidate_rows"], strict=True):
        found[int(batch["rows"][index])].append(ids[ids != -100].tolist())
    return found


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("alpha", [0.005, 0.7])
def test_loss_and_gradient_are_those_of_the_paper(
    name: str, alpha: float, tokenizers: Tokenizers, examples: Examples
) -> None:
    model: Any = MODELS[name](tokenizers)
    objective = objective_of(model, tokenizers, examples, f"samples=5,alpha={alpha},metric=edit_accuracy")
    rows = [2, 0, 1, 3]
    batch = augmented(objective, examples, rows)
    risk = risk_by("edit_accuracy")
    expected = torch.tensor(0.0, dtype=torch.float64)
    for row, sample in samples(batch).items():
        assert len({tuple(ids) for ids in sample}) == len(sample) > 1
        assert sample[0] == examples.target[row].tolist()  # type: ignore[index]
        texts = tokenizers.target.batch_decode(sample, skip_special_tokens=True)
        logs = []
        for ids in sample:
            source, labels = torch.tensor([examples.source[row].tolist()]), torch.tensor([ids])
            inputs = model.prepare_decoder_input_ids_from_labels(labels=labels)
            logits = model(input_ids=source, decoder_input_ids=inputs, use_cache=False).logits[0]
            logs.append(logits.log_softmax(-1)[torch.arange(len(ids)), torch.tensor(ids)].sum())
        powers = torch.stack(logs).exp() ** alpha
        risks = torch.tensor([risk(text, REFERENCES[row]) for text in texts], dtype=torch.float64)
        assert risks[0] == 0 < risks[1:].max()
        expected = expected + (powers / powers.sum() * risks).sum()
    found = objective(batch)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    grads = [torch.autograd.grad(loss, weights, allow_unused=True) for loss in (found, expected)]
    for ours, theirs in zip(*grads, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            # T5 computes its attention weights in float32.
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9 if name == "t5" else 1e-12)
    assert float(objective.weight(batch)) == 4
    assert float(objective.target_tokens(batch)) == int((batch["labels"] != -100).sum())


def test_risks_that_lie_close_together_have_a_gradient_in_low_precision(
    tokenizers: Tokenizers, examples: Examples
) -> None:
    objective = objective_of(rnn(tokenizers), tokenizers, examples, "samples=8,metric=bleu")
    batch = augmented(objective, examples, [0])
    batch["risks"] = 0.82 + 0.001 * torch.arange(len(batch["risks"]), dtype=torch.float64)
    known, gradients = objective.log_probabilities(batch).float().detach(), []
    for is_low in (False, True):
        scores = known.clone().requires_grad_()
        objective.log_probabilities = lambda batch, scores=scores: scores  # type: ignore[method-assign]
        with torch.autocast("cpu", torch.bfloat16, enabled=is_low):
            objective.row_losses(batch).sum().backward()
        assert scores.grad is not None
        gradients.append(scores.grad)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0


@pytest.mark.parametrize("name", MODELS)
def test_samples_depend_on_seed_step_and_row_alone(name: str, tokenizers: Tokenizers, examples: Examples) -> None:
    objective = objective_of(MODELS[name](tokenizers), tokenizers, examples, "samples=4")

    def found(step: int, *batches: list[int]) -> dict[int, list[list[int]]]:
        every: dict[int, list[list[int]]] = {}
        for rows in batches:
            torch.manual_seed(len(rows))  # which nothing may draw from
            every |= samples(augmented(objective, examples, rows, step))
        return every

    whole = found(3, [0, 1, 2, 3])
    assert whole == found(3, [3, 1], [2], [0])
    assert whole != found(4, [0, 1, 2, 3])


def test_the_loss_is_a_sum_over_rows(tokenizers: Tokenizers, examples: Examples) -> None:
    objective = objective_of(rnn(tokenizers), tokenizers, examples, "samples=4,alpha=1")
    whole = objective(augmented(objective, examples, [0, 1, 2, 3]))
    parts = sum(objective(augmented(objective, examples, rows)) for rows in ([2], [0, 3], [1]))
    torch.testing.assert_close(whole, parts, rtol=1e-12, atol=0)


def test_outputs_are_drawn_from_the_whole_distribution(tokenizers: Tokenizers, examples: Examples) -> None:
    model: Any = rnn(tokenizers)
    free = samples(augmented(objective_of(model, tokenizers, examples, "samples=9"), examples, [0]))
    for name, value in {"top_k": 1, "top_p": 0.01, "temperature": 0.01, "min_length": 5}.items():
        setattr(model.generation_config, name, value)
    narrow = samples(augmented(objective_of(model, tokenizers, examples, "samples=9"), examples, [0]))
    assert narrow == free
    assert len(free[0]) > 4


def test_frequencies_are_the_models_probabilities(tokenizers: Tokenizers, examples: Examples) -> None:
    """Of outputs of one token, which is all that is drawn of them."""
    model: Any = rnn(tokenizers)
    objective = objective_of(model, tokenizers, examples, "samples=4000")
    (searcher, batch) = (
        objective.searcher(do_sample=True, num_return_sequences=4000),
        augmented(objective_of(model, tokenizers, examples, ""), examples, [2]),
    )
    with torch.no_grad():
        outputs = searcher({name: batch[name] for name in ("input_ids", "attention_mask")}, [2])[0]
        start = torch.tensor([[model.config.decoder_start_token_id]])
        expected = model(input_ids=batch["input_ids"], decoder_input_ids=start).logits[0, 0].softmax(-1)
    first = torch.tensor([output.whole[0] for output in outputs])
    found = first.bincount(minlength=len(expected)) / len(first)
    assert float((found - expected).abs().max()) < 0.03


def test_without_references_the_labels_are_what_is_right(tokenizers: Tokenizers, examples: Examples) -> None:
    model = rnn(tokenizers)
    kept = augmented(objective_of(model, tokenizers, examples, "samples=3,metric=exact_match"), examples, [0, 1])
    none = augmented(objective_of(model, tokenizers, None, "samples=3,metric=exact_match"), examples, [0, 1])
    assert samples(kept) == samples(none)
    assert none["risks"][none["candidate_rows"].diff(prepend=torch.tensor([-1])) > 0].tolist() == [0, 0]
    assert none["risks"].max() == 1


def test_an_evaluation_measures_cross_entropy(tokenizers: Tokenizers, examples: Examples) -> None:
    model = rnn(tokenizers)
    objective = objective_of(model, tokenizers, examples, "").eval()
    plain = make_objective(Loss(), model, 0.0, GenerationContext()).eval()
    batch = Seq2SeqCollator(tokenizers.source.pad_token_id, rows=True)(examples, [0, 1, 2])  # type: ignore[arg-type]
    torch.testing.assert_close(objective.measure(batch), plain.measure(batch))


def test_risks_are_of_single_texts() -> None:
    accepted = ["the cat sat on the mat", "a cat sat there"]
    bleu = BLEU(effective_order=True).sentence_score("a cat sat", accepted).score
    assert 0 < bleu < 100
    assert risk_by("bleu")("a cat sat", accepted) == pytest.approx(1 - bleu / 100)
    assert risk_by("bleu")("there", ["there"]) == pytest.approx(0)  # of a text that has no bigram
    assert risk_by("exact_match")("a cat sat there", accepted) == 0
    assert risk_by("token_error_rate")("a cat sat where", accepted) == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("metric=blue", "metric: unknown metric 'blue'; did you mean 'bleu'?"),
        ("metric=accuracy", "metric: 'accuracy' does not score what is predicted; choose from"),
        ("metric=perplexity", "metric: perplexity: needs a model's probabilities"),
        ("metric=cider", "metric cider: weights n-grams by all rows, so that it is not defined for one output"),
        ("metric=seqeval", "metric: seqeval needs outputs of as many words as the reference"),
        ("metric=bleu:xx", "xx"),
        ("samples=1", "samples: 1 is too small; the minimum is 2"),
        ("cross_entropy=1.5", "cross-entropy: 1.5 is too large; the maximum is 1"),
        ("guard=chrff", "guard: unknown metric 'chrff'; did you mean 'chrf'?"),
        ("alpha=0", "alpha: 0.0 must be above 0"),
        ("alpha=1e39", "alpha: 1e+39 is too large; the maximum is 10000000"),
    ],
)
def test_bad_options_are_refused(args: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        loss_options(Loss(loss_type="minimum_risk", loss_args=args))  # type: ignore[arg-type]
    assert str(caught.value).startswith("--loss-args of minimum_risk: ")
    assert message.removeprefix("--") in str(caught.value)


def test_the_mixture_has_the_cross_entropy_of_each_target(tokenizers: Tokenizers, examples: Examples) -> None:
    model = MODELS["rnn"](tokenizers)
    whole, half = (
        objective_of(model, tokenizers, examples, f"samples=3,alpha=1,cross_entropy={share}") for share in (0, 0.25)
    )
    batch = augmented(half, examples, [2, 0, 1])
    expected = 0.75 * whole(augmented(whole, examples, [2, 0, 1]))
    for row in (2, 0, 1):
        plain = Seq2SeqCollator(tokenizers.source.pad_token_id)(examples, [row])  # type: ignore[arg-type]
        expected = expected + 0.25 * half.token_losses(plain).mean()
    torch.testing.assert_close(half(batch), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_leaves_no_tensors_to_the_garbage_collector(
    name: str, tokenizers: Tokenizers, examples: Examples, leaving_nothing: Any
) -> None:
    objective = objective_of(MODELS[name](tokenizers), tokenizers, examples, "samples=3,metric=bleu")
    objective(augmented(objective, examples, [0, 1, 2])).backward()
    with leaving_nothing():
        objective(augmented(objective, examples, [0, 1, 2])).backward()
