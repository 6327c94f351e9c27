"""What is chosen for options that were left open, against data whose kind is known."""

import random
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq import preview, train
from hf_seq2seq.api import recipe_files
from hf_seq2seq.api.configuration import resolve
from hf_seq2seq.data.text_kinds import Side, look_at
from hf_seq2seq.defaults import choosing, conversations, fine_tuning, labels, pairs, raw_text, schedules
from hf_seq2seq.defaults.choosing import settle
from hf_seq2seq.defaults.schedules import Lengths
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import rnn, transformer
from hf_seq2seq.sections import Choice, build, options

WORDS = ("canto", "luna", "perché", "ragazzo", "acqua", "bosco")
SENTENCES = [
    f"{subject} {verb} the {thing} near the {place} in {month} ."
    for subject in ("Tom", "The old woman", "A dog", "My neighbour")
    for verb in ("carried", "has never seen", "will probably buy", "painted")
    for thing in ("ladder", "green bicycle", "newspaper", "broken umbrella")
    for place, month in (("harbour", "May"), ("railway station", "October"), ("museum", "December"))
]


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (WORDS, "forms"),
        (["en büyük ortak bölen", "kuzu", "vade", "tütsü", "ev"], "forms"),
        (["kuzu⟨N⟩⟨LOC⟩⟨SG⟩⟨PSS2P⟩", "vade⟨N⟩⟨ABL⟩⟨PL⟩⟨PSS1P⟩⟨LGSPEC1⟩⟨2S⟩⟨LGSPEC2⟩"], "forms"),
        (["a ɡ o n i s t i k o", "t͡s j ɛ", "a m iː k e"], "symbols"),
        (["HH AH0 L OW1", "W ER1 L D", "AH0"], "symbols"),
        (
            [f"{a} {b} {c}" for a in "12345678" for b in "12345678" for c in ("left", "right", "jump", "turn")],
            "symbols",
        ),
        (SENTENCES, "sentences"),
        (["我们昨天在图书馆里看书。", "他明天要去北京开会。"], "unspaced"),
        (["これは長い文章で、空白がありません。"], "unspaced"),
        (["ฉันชอบกินข้าวผัดกับไข่ดาว"], "unspaced"),
        (["我喜欢苹果。", "猫在睡。", "你好吗？"], "unspaced"),
        (["猫", "犬小屋", "鳥"], "forms"),
        (["I do.", "You are.", "It is so."], "forms"),
        ([" ".join(SENTENCES)] * 3, "sentences"),
    ],
)
def test_the_kind_of_a_side(texts: list[str], kind: str) -> None:
    assert look_at(texts).kind == kind


def test_measures_of_a_side_of_many_rows_are_those_of_evenly_spaced_ones() -> None:
    side = look_at(["ab cd"] * 50_000)
    assert (side.rows, side.words, side.alphabet, side.types) == (50_000, 2.0, 4, 2)


def test_spelling_and_pronunciation_get_characters_and_symbols(tmp_path: Path) -> None:
    config = _prepared("rnn", _pronunciations(tmp_path)).config
    tokens = config.tokens
    assert (tokens.tokenizer_type, tokens.target_tokenizer_type) == ("char", "word")
    assert config.evaluation.metrics == ("word_error_rate", "phoneme_error_rate")
    assert config.schedule.metric_for_best_model == "word_error_rate"


def test_hangul_is_read_by_letters(tmp_path: Path) -> None:
    """Words have syllables that no training row has, of letters that all have."""
    sounds = {"ᄀ": "k", "ᄂ": "n", "ᄆ": "m", "ᅡ": "ɐ", "ᅩ": "o", "ᅵ": "i", "ᆨ": "q", "ᆫ": "n"}
    syllables = [unicodedata.normalize("NFC", a + b + c) for a in "ᄀᄂᄆ" for b in "ᅡᅩᅵ" for c in ("", "ᆨ", "ᆫ")]
    words = [a + b for a in syllables for b in syllables[:-1]]
    said = [" ".join(sounds[letter] for letter in unicodedata.normalize("NFD", word)) for word in words]
    files = {"train_file": _tsv(tmp_path / "train.tsv", list(zip(words, said, strict=True)))}
    prepared = _prepared("rnn", files)
    tokens = prepared.config.tokens
    assert (tokens.tokenizer_type, tokens.target_tokenizer_type, tokens.source_normalization) == ("char", "word", "nfd")
    for given in ({"tokenizer_type": "char"}, {"pointer_generator": True}):
        assert _prepared("rnn", files | given).config.tokens.source_normalization is None
    tokenizer = prepared.tokenizers.source
    assert tokenizer.unk_token_id not in tokenizer(syllables[-1]).input_ids


def test_sentences_get_one_subword_vocabulary(tmp_path: Path) -> None:
    rows = [(text, text.upper()) for text in SENTENCES]
    config = _prepared("transformer", {"train_file": _tsv(tmp_path / "train.tsv", rows)}).config
    assert (config.tokens.tokenizer_type, config.tokens.target_tokenizer_type) == ("bpe", None)
    assert config.tokens.vocab_size == 1_000
    assert config.evaluation.metrics == ("bleu", "chrf")


def test_a_given_option_wins(tmp_path: Path) -> None:
    given = {"tokenizer_type": "bpe", "vocab_size": 300, "dropout": 0.05, "num_train_epochs": 2, "metrics": "chrf"}
    config = _prepared("rnn", _pronunciations(tmp_path) | given).config
    assert (config.tokens.tokenizer_type, config.tokens.vocab_size, config.model.dropout) == ("bpe", 300, 0.05)
    assert config.tokens.target_tokenizer_type is None  # one kind was named, for both sides
    assert (config.schedule.num_train_epochs, config.schedule.max_steps) == (2, None)
    assert (config.evaluation.metrics, config.schedule.metric_for_best_model) == (("chrf",), "loss")
    assert not {choice.name for choice in config.derived} & given.keys()


def test_a_given_score_is_among_the_metrics(tmp_path: Path) -> None:
    rows = [(text, text.upper()) for text in SENTENCES]
    flags = {"train_file": _tsv(tmp_path / "train.tsv", rows), "validation_file": str(tmp_path / "train.tsv")}
    chosen = [_prepared("rnn", flags | {"metric_for_best_model": name}).config for name in ("exact_match", "chrf")]
    assert [config.evaluation.metrics for config in chosen] == [("bleu", "chrf", "exact_match"), ("bleu", "chrf")]


@pytest.mark.parametrize(
    ("rows", "given", "expected"),
    [
        (900, {}, "location"),
        (6_000, {}, "general"),
        (900, {"attention": "dot"}, "dot"),
        (900, {"local_attention": "predictive"}, "general"),
    ],
)
def test_few_single_words_are_read_by_what_was_read_last(rows: int, given: dict[str, str], expected: str) -> None:
    side = replace(look_at(WORDS), rows=rows)
    config = resolve(rnn.Config, {"train_file": "train.tsv"} | given)
    assert settle(config, pairs.rnn_choices(side, side)).alignment.attention == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "rotary"), ({"d_model": 64}, "rotary"), ({"d_model": 100}, "sinusoidal"), ({"d_model": 60}, "sinusoidal")],
)
def test_heads_of_an_odd_width_have_no_rotary_positions(given: dict[str, int], expected: str) -> None:
    config = resolve(transformer.Config, {"train_file": "train.tsv"} | given)
    settled = settle(config, pairs.transformer_choices(look_at(SENTENCES), look_at(SENTENCES)))
    assert settled.model.position_embedding_type == expected


@pytest.mark.parametrize("given", [{}, {"max_steps": 500}, {"max_time": "9m"}, {"num_train_epochs": 50.0}])
def test_a_constant_rate_has_no_warm_up(tmp_path: Path, given: dict[str, Any]) -> None:
    files = _pronunciations(tmp_path)
    warmed = [
        _prepared("rnn", files | given | more).config.schedule for more in ({}, {"lr_scheduler_type": "constant"})
    ]
    assert [bool(schedule.warmup_steps or schedule.warmup_ratio) for schedule in warmed] == [True, False]


def test_sections_made_in_python_are_left_as_they_are() -> None:
    config = rnn.Config()
    assert settle(config, pairs.rnn_choices(look_at(WORDS), look_at(WORDS))) is config


@pytest.mark.parametrize("name", recipe_files.names())
def test_every_choice_names_an_option(name: str) -> None:
    known = {option for recipe in recipe_files.names() for option in options(recipe_files.load(recipe).Config)}
    assert known >= choosing.DERIVABLE
    side = look_at(WORDS)
    choices = [
        *pairs.tokenizer_choices(side, look_at(SENTENCES)),
        *pairs.rnn_choices(side, side),
        *pairs.transformer_choices(side, side),
        *pairs.t5_choices(side, side),
        *pairs.metric_choices(side, side, validated=True),
        *schedules.length_choices(Lengths(5, 5, 5, 5)),
        *_scheduled((None, side), Lengths(5, 5, 5, 5), validation=5),
        *labels.classifier_choices(side),
        *choosing.validation_choices(200, 200),
        *conversations.turn_tokenizer_choices(conversations.Exchanges.of(side, side, WORDS)),
        *conversations.reply_metric_choices(conversations.Exchanges.of(side, side, WORDS), validated=True),
        *conversations.validated_choices([[3_000]]),
        *raw_text.vocabulary_choices(side),
        *raw_text.dropout_choices(side),
        *raw_text.block_choices(5),
        *raw_text.row_length_choices(5),
        *raw_text.rate_choices(name, 128),
        *raw_text.continued_choices(),
        *(
            fine_tuning.fine_tuning_choices(name, 10, 768, adapter=False)
            if name in fine_tuning.FINE_TUNING_RATES
            else ()
        ),
    ]
    assert {choice.name for choice in choices} <= choosing.DERIVABLE
    assert all(set(choice.unless) <= known | {"do_sample"} for choice in choices)


def test_the_same_rows_give_the_same_values_and_they_are_written(tmp_path: Path) -> None:
    files = _pronunciations(tmp_path)
    first, again = (_prepared("rnn", files).config for _ in range(2))
    assert first == again
    assert {choice.name for choice in first.derived} > {"max_steps", "max_source_length", "eval_steps"}


def test_without_validation_rows_a_tenth_is_held_out(tmp_path: Path) -> None:
    files = _pronunciations(tmp_path, rows=200)
    del files["validation_file"]
    task = _prepared("rnn", files)
    assert (len(task.splits["train"]), len(task.splits["validation"])) == (180, 20)
    assert task.config.data.validation_split_percentage == 10
    none = _prepared("rnn", files | {"validation_split_percentage": 0})
    assert set(none.splits) == {"train"}
    assert none.config.schedule.metric_for_best_model == "loss"
    labels = [(f"text {number}", "ab"[number % 2]) for number in range(200)]
    (tmp_path / "labels.tsv").write_text("text\tlabel\n" + "".join(f"{a}\t{b}\n" for a, b in labels))
    flags = {"train_file": str(tmp_path / "labels.tsv"), "from_scratch": True}
    splits = _prepared("bert_classifier", flags).splits
    assert (len(splits["train"]), len(splits["validation"])) == (180, 20)


def test_rows_that_are_held_out_give_no_notice_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("".join(f"word{number}\tw o r d\n" for number in range(200)))
    _prepared("rnn", {"train_file": str(path)})
    assert len([record for record in caplog.records if "first row" in record.getMessage()]) == 1


def test_at_most_a_thousand_rows_are_held_out() -> None:
    (choice,) = choosing.validation_choices(40_000, 40_000)
    assert choice.value == 2.5
    assert "1,000 rows, 2.5 % of the 40,000 training rows;" in choice.reason
    assert not list(choosing.validation_choices(99, 40_000))


def test_a_run_on_few_of_many_rows_validates_on_few() -> None:
    """A tenth of the rows that are trained on is held out, not a tenth of all."""
    (choice,) = choosing.validation_choices(300, 30_000)
    assert choice.value == 0.1
    assert "; these are 30 rows, a tenth of the 300 that are trained on; 0 holds none out" in choice.reason


def test_rows_of_inflection_are_told_how_to_be_read(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("walk\twalked\tV;PST\ngo\twent\tV;PST\nhouse\thouses\tN;PL\n")
    with pytest.raises(InputError, match=r"--source-template '\{1\}\{3:tags\}' --target-column 2"):
        preview("rnn", train_file=str(path))
    page = preview("rnn", train_file=str(path), source_template="{1}{3:tags}", target_column="2").text
    assert "w a l k ⟨V⟩ ⟨PST⟩ </s>" in page


def test_a_batch_has_room_for_the_longest_row() -> None:
    side = look_at(WORDS)
    assert schedules.token_budget(side, Lengths(rows=10, source=700, target=400, mean=20)) == 1_100
    assert schedules.token_budget(side, Lengths(rows=100_000, source=20, target=20, mean=20)) == 1_600


def test_nothing_is_cut(tmp_path: Path) -> None:
    rows = [("a" * length, "b " * length) for length in (3, 5, 400)]
    task = _prepared("rnn", {"train_file": _tsv(tmp_path / "train.tsv", rows)})
    assert task.splits["train"].truncated == (0, 0)
    assert task.config.tokens.max_source_length == 401 + 80
    assert task.config.tokens.max_target_length > 401


def test_what_is_cut_off_long_rows_adds_no_steps(tmp_path: Path) -> None:
    short, long = (
        [(text + " word" * 50, "x") for text in SENTENCES],
        [(text + " word" * 500, "x") for text in SENTENCES],
    )
    given = {"max_source_length": 20, "tokenizer_type": "word"}
    schedules = [
        _prepared("rnn", given | {"train_file": _tsv(tmp_path / f"{name}.tsv", rows)}).config.schedule
        for name, rows in (("short", short), ("long", long))
    ]
    assert schedules[0] == schedules[1]


def test_a_batch_has_room_for_rows_as_long_as_a_given_limit(tmp_path: Path) -> None:
    given = {"max_source_length": 4_000, "tokenizer_type": "char"}
    rows = [("a" * 3_000, "b")] * 3
    task = _prepared("rnn", given | {"train_file": _tsv(tmp_path / "train.tsv", rows)})
    assert (
        (task.config.optimization.max_tokens_per_batch or 0) >= int(task.splits["train"].source.lengths.max()) > 3_000
    )


def test_wider_models_take_smaller_steps_and_adapters_larger_ones() -> None:
    def rate(recipe: str, width: int, adapter: bool = False) -> Any:
        return next(iter(fine_tuning.fine_tuning_choices(recipe, 5_000, width, adapter))).value

    assert rate("bart", 1024) == pytest.approx(3e-5)
    assert rate("bert_classifier", 384) == pytest.approx(8e-5)
    assert rate("t5", 768) == pytest.approx(3e-4)
    assert rate("bart", 1024, adapter=True) == pytest.approx(3e-4)
    assert rate("t5", 512, adapter=True) == pytest.approx(1e-3)


def test_more_rows_take_fewer_epochs() -> None:
    side = look_at(WORDS)
    epochs = [schedules.enough_epochs(None, replace(side, rows=rows)) for rows in (100, 800, 8_000, 33_000, 10**6)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[1] == pytest.approx(100, abs=1)
    assert epochs[2] == pytest.approx(40)
    assert schedules.enough_epochs(None, side, sampled=True) == 2 * schedules.enough_epochs(None, side)


def test_sampled_subwords_take_twice_the_passes(tmp_path: Path) -> None:
    files = {"train_file": _tsv(tmp_path / "train.tsv", [(text, text.upper()) for text in SENTENCES])}
    plain, sampled = (
        _prepared("transformer", files | {"tokenizer_type": "unigram"} | more).config.schedule.max_steps
        for more in ({}, {"unigram_sampling": 0.2})
    )
    assert 2 * plain <= sampled <= 2.7 * plain  # the floor of a batch's size cuts longer rows into more batches


@pytest.mark.parametrize(
    ("mean", "validation", "steps", "evaluations"),
    [
        (30.0, 1_000, round(16 * 29_000 * 33 / 3_584), 20),
        (300.0, 1_000, schedules.MOST_STEPS, 20),
        (300.0, 29_000, schedules.MOST_STEPS, 9),
        (1_000.0, 29_000, round(4 * 29_000 * 1_100 / 3_584), 8),
        (1_000.0, 10**6, round(4 * 29_000 * 1_100 / 3_584), 5),
    ],
)
def test_long_rows_and_much_validation_do_not_make_a_run_endless(
    mean: float, validation: int, steps: int, evaluations: int
) -> None:
    side = replace(look_at(WORDS), kind="sentences", rows=29_000)
    lengths = Lengths(29_000, 1_024, 40, mean)
    chosen = {c.name: c.value for c in _scheduled((None, side), lengths, validation)}
    assert chosen["max_steps"] == pytest.approx(steps, rel=0.001)
    assert chosen["eval_steps"] == round(chosen["max_steps"] / evaluations)
    assert chosen["early_stopping_patience"] == round(0.4 * evaluations)


def test_summaries_take_few_epochs_and_do_not_repeat_themselves() -> None:
    side = replace(look_at(WORDS), kind="sentences", rows=2_000)
    long, short = replace(side, words=150.0), replace(side, words=20.0)

    def chosen(source: Side, target: Side) -> dict[str, Any]:
        lengths = Lengths(2_000, 400, 40, 300.0)
        found = [*_scheduled((source, target), lengths, validation=200)]
        return {choice.name: choice.value for choice in [*found, *pairs.transformer_choices(source, target)]}

    summaries, others = chosen(long, short), chosen(short, short)
    assert summaries["no_repeat_ngram_size"] == 3
    assert "no_repeat_ngram_size" not in others
    assert summaries["max_steps"] == pytest.approx(others["max_steps"] / 8, rel=0.02)
    assert (summaries["learning_rate"], others["learning_rate"]) == (1e-3, 3e-3)


def test_preview_tells_every_choice_with_its_reason(tmp_path: Path) -> None:
    page = preview("rnn", **_pronunciations(tmp_path)).text
    assert "tokenizer_type char: sources: 120 rows of single words, 10 characters" in page
    assert "max_steps" in page


def test_a_resumed_run_keeps_what_it_chose(tmp_path: Path) -> None:
    small = {"hidden_size": 8, "embedding_size": 8, "max_steps": 1, "output_dir": str(tmp_path / "out")}
    files = _pronunciations(tmp_path, rows=40)
    begun = train("rnn", **files, **small)
    _tsv(tmp_path / "train.tsv", [(text, text.upper()) for text in SENTENCES])  # other rows would choose otherwise
    flags = files | {"output_dir": str(begun.folder), "resume_from_checkpoint": "last"}
    config = resolve(rnn.Config, flags)
    tokens = config.tokens
    assert (tokens.tokenizer_type, tokens.target_tokenizer_type, config.schedule.max_steps) == ("char", "word", 1)
    other = resolve(rnn.Config, flags | {"num_train_epochs": 7, "learning_rate": 0.1})
    assert (other.schedule.max_steps, other.optimization.learning_rate) == (None, 0.1)


def _prepared(recipe: str, values: Mapping[str, Any]) -> Any:
    module = recipe_files.load(recipe)
    return module.prepare(build(module.Config, {"output_dir": "no/such/folder"} | dict(values)))


def _pronunciations(folder: Path, rows: int = 120) -> dict[str, str]:
    draw = random.Random(1)
    words = ["".join(draw.choice("abcdefghij") for _ in range(draw.randint(3, 9))) for _ in range(rows + 20)]
    pairs = [(word, " ".join(word.upper())) for word in words]
    return {
        "train_file": _tsv(folder / "train.tsv", pairs[:rows]),
        "validation_file": _tsv(folder / "validation.tsv", pairs[rows:]),
    }


def _scheduled(sides: tuple[Side | None, Side], lengths: Lengths, validation: int, timed: bool = False) -> list[Choice]:
    return [*schedules.schedule_choices(sides, lengths, schedules.usual_passes(sides, lengths), validation, timed)]


def _tsv(path: Path, rows: list[tuple[str, str]]) -> str:
    path.write_text("source\ttarget\n" + "".join(f"{source}\t{target}\n" for source, target in rows), encoding="utf-8")
    return str(path)


def test_under_a_time_limit_the_limit_schedules_warm_up_and_evaluations() -> None:
    side = look_at(["a b c"] * 1000)
    chosen = {c.name: c.value for c in _scheduled((None, side), Lengths(1000, 5, 5, 8.0), validation=100, timed=True)}
    assert not {"warmup_ratio", "warmup_steps", "eval_steps", "early_stopping_patience"} & set(chosen)


@pytest.mark.parametrize(
    ("length", "ratio"),
    [
        ({"max_steps": 1000}, 0.1),
        ({"num_train_epochs": 200.0}, 0.1),
        ({"max_steps": 99}, None),
        ({"num_train_epochs": 2.0}, None),
        ({"max_steps": 1000, "warmup_steps": 0}, None),
        ({"max_steps": 1000, "lr_scheduler_type": "constant"}, None),
        ({"max_tokens_per_batch": 400}, 0.1),
        ({"max_tokens_per_batch": 4000, "max_time": "1h"}, 0.1),
        ({"max_time": "1h"}, 0.1),
        ({"max_time": "1h", "warmup_steps": 9}, None),
        ({}, None),
    ],
    ids=str,
)
def test_a_run_of_a_given_length_begins_with_a_warm_up(
    tmp_path: Path, length: dict[str, Any], ratio: float | None
) -> None:
    task = transformer.prepare(build(transformer.Config, _pronunciations(tmp_path) | length))
    assert {c.name: c.value for c in task.config.derived}.get("warmup_ratio") == ratio
    assert task.config.schedule.warmup_ratio == (ratio or 0.0)
    only_batches = set(length) == {"max_tokens_per_batch"}
    epochs = {"num_train_epochs": 100.0 if only_batches else 3.0} | length
    assert task.config.schedule.num_train_epochs == epochs["num_train_epochs"]


@pytest.mark.parametrize("recipe", ["rnn", "transformer", "t5"])
def test_sampled_segmentations_get_the_kind_of_tokenizer_that_can_be_sampled(tmp_path: Path, recipe: str) -> None:
    rows = _pronunciations(tmp_path) | ({"from_scratch": True} if recipe == "t5" else {})
    for flag, value, kind in (("bpe_dropout", 0.1, "bpe"), ("unigram_sampling", 0.2, "unigram")):
        tokens = _prepared(recipe, rows | {flag: value}).config.tokens
        assert (tokens.tokenizer_type, tokens.target_tokenizer_type) == (kind, None)
    if recipe == "rnn":
        tokens = _prepared(recipe, rows | {"bpe_dropout": 0.1, "subword_sides": "source"}).config.tokens
        assert (tokens.tokenizer_type, tokens.target_tokenizer_type) == ("bpe", "word")
        assert tokens.vocab_size == pairs.FEW_PIECES


def test_a_loss_made_of_outputs_takes_a_quarter_of_the_peak(tmp_path: Path) -> None:
    rows = _pronunciations(tmp_path)
    (tmp_path / "run").mkdir()
    task = _prepared("rnn", rows)
    task.model.save_pretrained(tmp_path / "run")
    task.tokenizers.save(tmp_path / "run")
    (tmp_path / "run" / "run.yaml").write_text("recipe: rnn\nlearning_rate: 0.002\n")
    flags = rows | {"model_name_or_path": str(tmp_path / "run"), "loss_type": "self_critical"}
    config = _prepared("rnn", flags).config
    assert config.optimization.learning_rate == 5e-4
    assert any("a quarter of 0.002" in choice.reason for choice in config.derived)
    assert _prepared("rnn", flags | {"learning_rate": 1e-4}).config.optimization.learning_rate == 1e-4


def test_a_model_that_goes_on_from_a_run_is_scored_by_its_search(tmp_path: Path) -> None:
    """As `evaluate` scores the start; a folder without a run has the search of its generation settings."""
    rows = _pronunciations(tmp_path)
    (tmp_path / "run").mkdir()
    task = _prepared("rnn", rows)
    assert task.config.decoding.num_beams == 5
    task.model.generation_config.update(num_beams=4, no_repeat_ngram_size=3, length_penalty=None)
    task.model.save_pretrained(tmp_path / "run")
    task.tokenizers.save(tmp_path / "run")
    flags = rows | {"model_name_or_path": str(tmp_path / "run")}
    config = _prepared("rnn", flags).config
    assert (config.decoding.num_beams, config.decoding.no_repeat_ngram_size, config.schedule.eval_beams) == (4, 3, 1)
    (tmp_path / "run" / "run.yaml").write_text("recipe: rnn\nnum_beams: 5\nno_repeat_ngram_size: 0\n")
    config = _prepared("rnn", flags).config
    assert (config.decoding.num_beams, config.decoding.no_repeat_ngram_size, config.schedule.eval_beams) == (5, 0, 1)
    config = _prepared("rnn", flags | {"num_beams": 2}).config
    assert (config.decoding.num_beams, config.schedule.eval_beams) == (2, None)


def test_a_model_that_goes_on_from_a_run_reads_rows_as_that_did(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Columns if no flag names any and the file has them; the prefix in any case, unless it is given."""
    rows = _pronunciations(tmp_path)
    lines = Path(rows["train_file"]).read_text().splitlines()
    named = tmp_path / "named.tsv"
    named.write_text("\n".join(["spelt\tspoken\tnumber", *(f"{line}\t{n}" for n, line in enumerate(lines, 1))]) + "\n")
    (tmp_path / "run").mkdir()
    task = _prepared("rnn", rows)
    task.model.save_pretrained(tmp_path / "run")
    task.tokenizers.save(tmp_path / "run")
    earlier = "recipe: rnn\nsource_prefix: 'say: '\nsource_column: spoken\ntarget_column: spelt\n"
    (tmp_path / "run" / "run.yaml").write_text(earlier)

    def read(**more: str) -> tuple[str | None, str | None, str]:
        flags = {"train_file": str(named), "model_name_or_path": str(tmp_path / "run")} | more
        data = _prepared("rnn", flags).config.data
        return data.source_column, data.target_column, data.source_prefix

    assert read() == ("spoken", "spelt", "say: ")
    assert read(source_column="spelt", target_column="spoken") == ("spelt", "spoken", "say: ")
    assert read(source_prefix="") == ("spoken", "spelt", "")
    assert not caplog.records
    assert read(train_file=rows["train_file"]) == (None, None, "say: ")
    assert "has no column 'spoken', 'spelt', which the start model's run used" in caplog.text


def test_a_vocabulary_of_the_least_size_is_told_so() -> None:
    few, many = (Side(rows, "sentences", 10.0, 60, 900) for rows in (500, 50_000))
    assert pairs.size_reason(few, few) == "at least 500 pieces per side; one per 12 of 10,000 words would be fewer"
    assert pairs.size_reason(many, few) == "about one piece per 100 words of 505,000"


def test_one_vocabulary_of_symbols_has_whole_symbols() -> None:
    symbols, words = look_at(["p a t", "t a p a", "a tʃ p"] * 60), look_at(["abc", "bca"] * 60)
    kinds = {
        (source.kind, target.kind): next(iter(pairs.tokenizer_choices(source, target, joint=True))).value
        for source in (symbols, words)
        for target in (symbols, words)
    }
    assert kinds == {
        ("symbols", "symbols"): "word", ("symbols", "forms"): "char",
        ("forms", "symbols"): "char", ("forms", "forms"): "char",
    }  # fmt: skip


def test_pairs_of_texts_are_not_cut(tmp_path: Path) -> None:
    path, rows = tmp_path / "pairs.csv", [" ".join(WORDS[: n % 9 + 1] * 12) for n in range(60)]
    path.write_text("label,text,second\n" + "".join(f"{n % 2},{text},{text}\n" for n, text in enumerate(rows)))
    columns = {"text_column": "text", "text_pair_column": "second", "validation_split_percentage": 0}
    task = _prepared("bert_classifier", {"train_file": str(path), "from_scratch": True} | columns)
    assert task.splits["train"].truncated == (0, 0)
    longest = int(task.splits["train"].lengths.max())
    assert task.config.tokens.max_source_length == longest + longest // 5


def test_a_pretrained_model_is_warmed_up_unless_few_steps_are_given() -> None:
    for steps, warmed in ((None, True), (100, True), (99, False)):
        chosen = {choice.name for choice in fine_tuning.fine_tuning_choices("t5", 500, 512, False, steps)}
        assert ("warmup_ratio" in chosen) == warmed
