"""Scheduled sampling against the papers' formulas, computed token by token and row by row by the test itself."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hf_seq2seq.architectures.configuration_rnn import RnnSeq2SeqConfig
from hf_seq2seq.architectures.configuration_transformer import TransformerDecoderConfig, TransformerSeq2SeqConfig
from hf_seq2seq.architectures.modeling_rnn import RnnForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer import TransformerForConditionalGeneration
from hf_seq2seq.architectures.modeling_transformer_decoder import TransformerForCausalLM
from hf_seq2seq.data.collation import CausalCollator
from hf_seq2seq.data.examples import Examples
from hf_seq2seq.errors import InputError
from hf_seq2seq.objectives import loss_options, make_objective
from hf_seq2seq.objectives.figures import quotients
from hf_seq2seq.objectives.generation import GenerationContext
from hf_seq2seq.objectives.scheduled_sampling import ScheduledSampling
from hf_seq2seq.ragged import Ragged
from hf_seq2seq.training_options import Loss

IDS = {"vocab_size": 13, "source_vocab_size": 13, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
IDS |= {"decoder_start_token_id": 2}
SEED = 7


def rnn(**more: Any) -> RnnForConditionalGeneration:
    config = RnnSeq2SeqConfig(**IDS, embedding_size=6, hidden_size=8, dropout=0.0, initializer_range=1.0, **more)
    return RnnForConditionalGeneration(config).double()


def transformer() -> TransformerForConditionalGeneration:
    sizes = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("layers", 1), ("ffn_dim", 8))}
    heads = {f"{side}_attention_heads": 2 for side in ("encoder", "decoder")}
    config = TransformerSeq2SeqConfig(**IDS, **sizes, **heads, d_model=8, dropout=0.0, init_std=1.0)
    return TransformerForConditionalGeneration(config).double()


MODELS = {"rnn": rnn, "transformer": transformer}
ROWS = {5: ([3, 4, 5, 1], [6, 7, 8, 9, 1]), 0: ([4, 1], [10, 1]), 9: ([5, 6, 7, 8, 1], [11, 12, 3, 1])}


def batch_of(rows: list[int]) -> dict[str, Tensor]:
    sources = [torch.tensor(ROWS[row][0]) for row in rows]
    targets = [torch.tensor(ROWS[row][1]) for row in rows]
    ids = torch.nn.utils.rnn.pad_sequence(sources, True, 0)
    labels = torch.nn.utils.rnn.pad_sequence(targets, True, -100)
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": labels, "rows": torch.tensor(rows)}


def objective_of(model: Any, *args: str) -> ScheduledSampling:
    loss = Loss(loss_type="scheduled_sampling", loss_args=args)
    objective = make_objective(loss, model, 0.0, GenerationContext(seed=SEED))
    assert isinstance(objective, ScheduledSampling)
    return objective


def draw(logits: Tensor, number: float) -> int:
    """The first token at which the cumulative distribution exceeds the number."""
    return int((logits.softmax(-1).cumsum(-1) <= number).sum().clamp(max=12))


def logits_after(model: Any, source: list[int], inputs: list[int]) -> Tensor:
    """Of every next token, without a cache."""
    return model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([inputs]), use_cache=False).logits[0]


def expected_inputs(model: Any, row: int, step: int, epsilon: float, sequential: bool) -> list[int]:
    """Section 2.4 of Bengio et al., or the two passes of Mihaylova and Martins, for one row."""
    source, target = ROWS[row]
    right = [2, *target[:-1]]
    numbers = np.random.default_rng([SEED, step, row]).random((len(right), 2))
    given = [2]
    for place in range(1, len(right)):
        before = given if sequential else right[:place]
        own = draw(logits_after(model, source, before)[-1], numbers[place, 1])
        given.append(own if numbers[place, 0] >= epsilon else right[place])
    return given


CASES = [("rnn", "auto", True), ("transformer", "auto", False), ("rnn", "parallel", False)]
CASES += [("transformer", "sequential", True)]


@pytest.mark.parametrize(("name", "passes", "sequential"), CASES)
@pytest.mark.parametrize("epsilon", [0.0, 0.4, 1.0])
def test_loss_and_gradient_are_those_of_the_papers(name: str, passes: str, sequential: bool, epsilon: float) -> None:
    model = MODELS[name]()
    schedule = ["schedule=none"] if epsilon == 1 else ["schedule=constant", f"k={epsilon}"]
    objective = objective_of(model, *schedule, f"passes={passes}")
    objective.begin_step(3, 10)
    with torch.no_grad():
        batch = objective.augment(batch_of([5, 0, 9]))
    found = objective(batch)
    expected, changed = torch.tensor(0.0), 0
    for row in (5, 0, 9):
        with torch.no_grad():
            given = expected_inputs(model, row, 3, epsilon, sequential)
        changed += given != [2, *ROWS[row][1][:-1]]
        logits = logits_after(model, ROWS[row][0], given)
        expected = expected + F.cross_entropy(logits, torch.tensor(ROWS[row][1]), reduction="sum")
    assert changed == {0.0: 3, 0.4: changed, 1.0: 0}[epsilon]
    assert changed or epsilon == 1
    weights = list(model.parameters())
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        torch.autograd.grad(found, weights), torch.autograd.grad(expected, weights), rtol=1e-7, atol=1e-9
    )
    assert model.training


def test_the_best_token_can_be_fed() -> None:
    model = rnn()
    objective = objective_of(model, "schedule=constant", "k=0", "choice=argmax")
    objective.begin_step(0, 1)
    with torch.no_grad():
        given = objective.augment(batch_of([5]))["decoder_input_ids"][0].tolist()
        for place in range(1, 5):
            assert given[place] == int(logits_after(model, ROWS[5][0], given[:place])[-1].argmax())


@pytest.mark.parametrize("name", MODELS)
def test_inputs_depend_on_seed_step_and_row_alone(name: str) -> None:
    objective = objective_of(MODELS[name](), "schedule=constant", "k=0.3")

    def inputs(step: int, *batches: list[int]) -> dict[int, list[int]]:
        objective.begin_step(step, 10)
        found = {}
        for rows in batches:
            torch.manual_seed(len(rows))  # which nothing may draw from
            with torch.no_grad():
                given = objective.augment(batch_of(rows))["decoder_input_ids"]
            found |= {row: given[i, : len(ROWS[row][1])].tolist() for i, row in enumerate(rows)}
        return found

    whole = inputs(4, [5, 0, 9])
    assert whole == inputs(4, [9, 5], [0]) == inputs(4, [0], [5], [9])
    assert whole != inputs(5, [5, 0, 9])


def test_a_first_token_that_generation_forces_stays() -> None:
    model = transformer()
    model.generation_config.forced_bos_token_id = 6
    objective = objective_of(model, "schedule=constant", "k=0")
    for step in range(5):
        objective.begin_step(step, 5)
        with torch.no_grad():
            assert objective.augment(batch_of([5]))["decoder_input_ids"][0, 1] == 6


def test_an_evaluation_is_of_right_inputs() -> None:
    model = rnn()
    objective = objective_of(model, "schedule=constant", "k=0").eval()
    batch = batch_of([5, 0, 9])
    plain = make_objective(Loss(), model, 0.0, GenerationContext()).eval()
    rows = batch.pop("rows")
    torch.testing.assert_close(objective.measure(batch | {"rows": rows}), plain.measure(batch))


def shares(steps: int, *args: str) -> list[float]:
    objective = objective_of(rnn(), *args)
    found = []
    for step in range(steps):
        objective.begin_step(step, steps)
        found.append(objective.epsilon)
    return found


def test_schedules_are_those_of_the_paper() -> None:
    steps = range(40)
    linear = [max(0.2, 0.9 - 0.05 * i) for i in steps]
    assert shares(40, "schedule=linear", "k=0.9", "c=0.05", "minimum=0.2") == pytest.approx(linear)
    assert shares(40, "schedule=exponential", "k=0.95") == pytest.approx([0.95**i for i in steps])
    sigmoid = [5 / (5 + math.exp(i / 5)) for i in steps]
    assert shares(40, "schedule=inverse_sigmoid", "k=5") == pytest.approx(sigmoid)
    assert sigmoid[0] == 5 / 6  # k / (k + 1), not 1
    assert shares(2000, "k=1")[-1] < 1e-300  # does not overflow


@pytest.mark.parametrize("schedule", ["linear", "exponential", "inverse_sigmoid"])
@pytest.mark.parametrize("steps", [2, 100, 50_000])
def test_by_default_half_of_the_inputs_are_right_halfway(schedule: str, steps: int) -> None:
    objective = objective_of(rnn(), f"schedule={schedule}")
    objective.begin_step(steps // 2, steps)
    assert objective.epsilon == pytest.approx(0.5, abs=1e-6)
    objective.begin_step(0, 1)
    assert 0.4 < objective.epsilon <= 1


REFUSED = {
    "schedule=linea": "schedule: unknown value 'linea'; did you mean 'linear'?",
    "schedule=exponential,k=1": "schedule=exponential with k=1 never starts",
    "schedule=constant,k=1": "schedule=constant with k=1 never starts",
    "schedule=linear,c=0": "schedule=linear with c=0 never starts",
    "schedule=exponential,k=0": "k: with 0 the schedule exponential has ended before step 1",
    "schedule=linear,k=0.2,minimum=0.2": "schedule=linear with k=0.2 has ended before step 1: its minimum is 0.2",
    "schedule=linear,c=1": "schedule=linear with k=1,c=1 has ended before step 1: its minimum is 0; use ",
    "schedule=none,start=5": "k, start, coin and choice: do not apply to schedule=none",
    "k=0.5": "k: 0.5 is too small for inverse_sigmoid; the minimum is 1",
    "schedule=exponential,k=2": "k: 2.0 is too large for exponential; the maximum is 1",
    "c=0.1": "c and minimum: only apply to schedule=linear, not inverse_sigmoid",
    "shedule=linear": "no option 'shedule'; did you mean 'schedule'?",
    "k": "'k' is not NAME=VALUE",
    "k=2,k=3": "k is given twice; give it once",
    "k=many": "k: 'many' is not a number",
}


@pytest.mark.parametrize("args", REFUSED)
def test_bad_options_are_refused(args: str) -> None:
    with pytest.raises(InputError) as caught:
        loss_options(Loss(loss_type="scheduled_sampling", loss_args=args))  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"--loss-args of scheduled_sampling: {REFUSED[args]}")


def test_a_schedule_that_begins_after_the_last_step_is_refused() -> None:
    objective = objective_of(rnn(), "start=40")
    objective.check_steps(41)
    with pytest.raises(InputError, match="start: 40 is too late, for the run has 40 steps"):
        objective.check_steps(40)


def test_a_schedule_that_hardly_begins_within_the_run_is_warned_of() -> None:
    (told,) = objective_of(rnn(), "k=2000").check_steps(1782)
    assert "at the last of 1,782 steps epsilon is still 0.9988" in told
    assert "leave out k, and it is 0.5 halfway" in told
    for options in (["schedule=inverse_sigmoid"], ["k=200"], ["schedule=constant"], ["schedule=none"]):
        assert not objective_of(rnn(), *options).check_steps(1782)


def test_it_starts_after_the_given_steps() -> None:
    assert shares(8, "schedule=exponential", "k=0.5", "start=5") == [1, 1, 1, 1, 1, 1, 0.5, 0.25]
    assert shares(9, "schedule=none") == [1.0] * 9
    objective = objective_of(rnn(), "start=5")
    objective.begin_step(4, 9)
    batch = batch_of([5, 0])
    assert objective.augment(batch) is batch
    assert not objective.generates  # so that the loop does not gather sharded weights for it


def test_one_coin_can_decide_on_a_whole_sequence() -> None:
    rows = [5, 9] * 8
    model = rnn()
    objective = objective_of(model, "schedule=constant", "k=0.5", "coin=sequence", "choice=argmax")
    best = objective_of(model, "schedule=constant", "k=0", "choice=argmax")
    right = objective.shifted(batch_of(rows))
    with torch.no_grad():
        for step in range(4):
            objective.begin_step(step, 9)
            best.begin_step(step, 9)
            given, whole = (each.augment(batch_of(rows))["decoder_input_ids"] for each in (objective, best))
            coins = [np.random.default_rng([SEED, step, row]).random((5, 2))[0, 0] >= 0.5 for row in rows]
            assert torch.equal(given, torch.where(torch.tensor(coins)[:, None], whole, right))


def test_epsilon_and_the_share_of_replaced_tokens_are_logged() -> None:
    objective = objective_of(rnn(), "schedule=exponential", "k=0.5")
    replaced = places = 0
    for step in range(3):
        objective.begin_step(step, 3)
        with objective.figures.counting(1.0), torch.no_grad():
            objective.augment(batch_of([5, 0, 9]))
        for row in (5, 0, 9):
            numbers = np.random.default_rng([SEED, step, row]).random((len(ROWS[row][1]), 2))[1:, 0]
            replaced, places = replaced + (numbers >= 0.5**step).sum(), places + len(numbers)
    found = quotients(objective.figures.named(objective.figures.sums(torch.device("cpu"))))
    assert found == {
        "epsilon": pytest.approx((1 + 0.5 + 0.25) / 3),
        "replaced_tokens": pytest.approx(replaced / places),
    }


def decoder() -> TransformerForCausalLM:
    sizes = {"decoder_layers": 1, "decoder_ffn_dim": 8, "decoder_attention_heads": 2, "d_model": 8, "dropout": 0.0}
    ids = {"vocab_size": 13, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    return TransformerForCausalLM(TransformerDecoderConfig(**ids, **sizes, init_std=1.0)).double()


@pytest.mark.parametrize("passes", ["parallel", "sequential"])
def test_a_decoder_alone_reads_its_own_tokens_in_the_target_only(passes: str) -> None:
    model = decoder()
    objective = objective_of(model, "schedule=constant", "k=0.3", f"passes={passes}")
    source, target = (Ragged.of([np.array(ROWS[row][side]) for row in (5, 0, 9)]) for side in (0, 1))
    examples = Examples(source, ["", "", ""], target, joined=True)
    batch = CausalCollator(0, rows=True)(examples, np.arange(3))
    objective.begin_step(3, 10)
    with torch.no_grad():
        given = objective.augment(batch)["input_ids"]
    changed = 0
    for row, pair in enumerate((5, 0, 9)):
        prompt, right = len(ROWS[pair][0]), [*ROWS[pair][0], *ROWS[pair][1][:-1]]
        numbers = np.random.default_rng([SEED, 3, row]).random((len(right), 2))
        expected = right[:prompt]
        for place in range(prompt, len(right)):
            before = expected if passes == "sequential" else right[:place]
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([before]), use_cache=False).logits[0, -1]
            own = numbers[place, 0] >= 0.3
            expected.append(draw(logits, numbers[place, 1]) if own else right[place])
        assert given[row, : len(right)].tolist() == expected
        changed += expected != right
    assert changed


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(InputError, match="--loss-type: unknown value 'scheduled'; did you mean 'sch"):
        loss_options(Loss(loss_type="scheduled"))


@pytest.mark.parametrize("name", MODELS)
def test_a_step_leaves_no_tensors_to_the_garbage_collector(name: str, leaving_nothing: Any) -> None:
    objective, batch = objective_of(MODELS[name]()), batch_of([5, 0, 9])
    objective(batch).backward()
    with leaving_nothing():
        objective(batch).backward()
