"""Several languages in one model: tags for a model from scratch, codes for checkpoints that have them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hf_seq2seq
from hf_seq2seq.configs import Decoding
from hf_seq2seq.data.annotated_text import AnnotatedText
from hf_seq2seq.data.encoding import encode_targets, encode_texts
from hf_seq2seq.data.inputs import searched
from hf_seq2seq.data.mixtures import MixedRows
from hf_seq2seq.data.tokenizers.languages import code_of, language_codes
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.decoding.generation import generate_texts
from hf_seq2seq.decoding.library import by_first_token
from hf_seq2seq.decoding.search import Searcher
from hf_seq2seq.decoding.search_options import Search
from hf_seq2seq.errors import InputError
from hf_seq2seq.hub.closing import next_command
from hf_seq2seq.recipes import bart, rnn, t5, transformer
from hf_seq2seq.sections import build
from hf_seq2seq.task import Task
from hf_seq2seq.training.run import run

WORDS = {"en": "bee dad", "de": "abba ecke", "fr": "cab cafe"}
TRAINED = [("en", "de"), ("de", "en"), ("en", "fr"), ("fr", "en")]
SMALL: dict[str, Any] = {
    "tokenizer_type": "word", "metrics": "chrf", "max_target_length": 8, "max_source_length": 16,
    "max_tokens_per_batch": 200, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "d_model": 16, "max_steps": 2,
}  # fmt: skip


def write(path: Path, directions: list[tuple[str, str]], copies: int = 1) -> str:
    """Rows of two words, the second word first in the target, for each direction."""
    rows = [
        f"{WORDS[a]}\t{' '.join(reversed(WORDS[b].split()))}\t{a}\t{b}\n" for _ in range(copies) for a, b in directions
    ]
    path.write_text("source\ttarget\tsource_lang\ttarget_lang\n" + "".join(rows))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    zero_shot = [*TRAINED, ("de", "fr")]
    return {
        "train_file": write(tmp_path / "train.tsv", [*TRAINED, ("en", "de")], 4),
        "validation_file": write(tmp_path / "dev.tsv", TRAINED),
        "test_file": write(tmp_path / "test.tsv", zero_shot),
        "output_dir": str(tmp_path / "run"),
    }


def test_every_direction_is_told_by_a_tag_and_scored(files: dict[str, Any], caplog: Any) -> None:
    task = transformer.prepare(build(transformer.Config, SMALL | files))
    tokenizer = task.tokenizers.source
    train = task.splits["train"]
    assert train.texts[:2] == ["<2de> bee dad", "<2en> abba ecke"]
    assert [tokenizer.convert_ids_to_tokens(int(row[0])) for row in (train.source[0], train.source[1])] == [
        "<2de>", "<2en>",
    ]  # fmt: skip
    assert sorted(task.splits) == [
        "test_de-en", "test_de-fr", "test_en-de", "test_en-fr", "test_fr-en", "train",
        "validation_de-en", "validation_en-de", "validation_en-fr", "validation_fr-en",
    ]  # fmt: skip
    results = run(task)
    scores = [results[f"eval_{name}_chrf"] for name in ("de-en", "en-de", "en-fr", "fr-en")]
    assert results["eval_chrf"] == pytest.approx(np.mean(scores))
    card = Path(files["output_dir"], "README.md").read_text()
    assert "test de-fr" in card

    model = hf_seq2seq.load(files["output_dir"])
    by_hand = model.generate(["<2fr> abba ecke"])
    assert model.generate(["abba ecke"], target_lang="fr", source_lang="de") == by_hand  # a direction never trained on
    with pytest.raises(InputError, match="--target-lang: name the language to write; this model has de, en, fr"):
        model.generate(["abba ecke"])
    with pytest.raises(InputError, match="--target-lang: this model has no tag of 'fra'; did you mean 'fr'"):
        model.generate(["abba ecke"], target_lang="fra")
    found = model.evaluate(test_file=files["test_file"], metrics="chrf")
    assert found["en-de_chrf"] == pytest.approx(results["predict_en-de_chrf"])
    assert found["chrf"] == pytest.approx(results["predict_chrf"])

    assert next_command(Path(files["output_dir"]), task).startswith(f"hf-seq2seq generate {files['output_dir']} --targ")
    caplog.clear()
    assert model.generate(["<2fr> abba ecke"], target_lang="en") == by_hand
    assert "--target-lang en: no effect on texts that begin with a tag of their own, such as <2fr>" in caplog.text


def test_a_model_goes_on_with_its_tags(files: dict[str, Any], tmp_path: Path) -> None:
    run(transformer.prepare(build(transformer.Config, SMALL | files | {"test_file": None})))
    one = write(tmp_path / "one.tsv", [("fr", "de")], 4)
    onward = {"model_name_or_path": files["output_dir"], "train_file": one, "output_dir": str(tmp_path / "second")}
    onward |= {"validation_file": one, "metrics": "chrf", "max_steps": 1}
    task = transformer.prepare(build(transformer.Config, onward))
    assert task.splits["train"].texts[0] == "<2de> cab cafe"
    wrong = tmp_path / "wrong.tsv"
    wrong.write_text("source\ttarget\tsource_lang\ttarget_lang\nbee\tbee\ten\tdee\n" * 1)
    with pytest.raises(InputError, match="train rows: this model has no tag of 'dee'; did you mean 'de'"):
        transformer.prepare(
            build(transformer.Config, onward | {"train_file": str(wrong), "validation_file": str(wrong)})
        )


def test_rare_directions_come_more_often(files: dict[str, Any]) -> None:
    values = SMALL | files | {"mixing": "equal", "max_steps": 2}
    task = transformer.prepare(build(transformer.Config, values))
    assert isinstance(task.training_rows, MixedRows)
    drawn = task.training_rows.drawn(0)
    tags = [task.splits["train"].texts[row].split()[0] for row in drawn]
    assert [tags.count(tag) for tag in ("<2de>", "<2en>", "<2fr>")] == [5, 10, 5]  # 8 rows of 20 were German


@pytest.mark.parametrize("recipe", [rnn, transformer, t5], ids=["rnn", "transformer", "t5"])
def test_a_mixture_of_languages(recipe: Any, tmp_path: Path) -> None:
    for code, words in WORDS.items():
        (tmp_path / f"train.{code}").write_text(f"{words}\n" * 6)
    tasks = [f"{a}-{b}:\n  train_file: {tmp_path}/train\n  source_lang: {a}\n  target_lang: {b}\n" for a, b in TRAINED]
    path = tmp_path / "languages.yaml"
    path.write_text(
        "".join(tasks) + f"same:\n  train_file: {tmp_path}/train.en,{tmp_path}/train.en\n  source_prefix: '= '\n"
    )
    values = {"mixture": str(path), "tokenizer_type": "word", "output_dir": str(tmp_path / "run")}
    values |= {"from_scratch": True} if recipe is t5 else {}
    task: Task = recipe.prepare(build(recipe.Config, values))
    texts = [task.splits["train"].texts[row * 6] for row in range(5)]
    assert texts == ["<2de> bee dad", "<2en> abba ecke", "<2fr> bee dad", "<2en> cab cafe", "= bee dad"]
    assert {"<2de>", "<2en>", "<2fr>"} < set(task.tokenizers.source.get_vocab())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation_file": [("en", "es")]}, "validation rows: no training row is written in 'es'"),
        ({"train_file": [("en", "")]}, "row 1 after the header, column 'target_lang': empty text"),
        ({"target_lang_column": "into"}, r"no column 'into' \(--target-lang-column\)"),
    ],
)
def test_wrong_languages_of_rows(
    files: dict[str, Any], tmp_path: Path, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WORDS, "es", "a b")
    monkeypatch.setitem(WORDS, "", "a b")
    made = {n: write(tmp_path / "w.tsv", v) if isinstance(v, list) else v for n, v in changes.items()}
    with pytest.raises(InputError, match=message):
        transformer.prepare(build(transformer.Config, SMALL | files | made))


def test_validation_rows_in_other_languages_than_the_only_one_of_training(
    files: dict[str, Any], tmp_path: Path
) -> None:
    one = write(tmp_path / "one.tsv", [("en", "de")])
    with pytest.raises(InputError, match="rows: no training row is written in 'en'"):
        transformer.prepare(build(transformer.Config, SMALL | files | {"train_file": one}))


def test_validation_rows_without_the_languages_of_training(files: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("source\ttarget\nbee dad\tecke abba\n")
    with pytest.raises(InputError, match=r"validation rows: do not name the language of their targets, .* target_lang"):
        transformer.prepare(build(transformer.Config, SMALL | files))


def test_rows_without_a_language_are_skipped_with_other_empty_ones(files: dict[str, Any], tmp_path: Path) -> None:
    with (tmp_path / "train.tsv").open("a") as file:
        file.write("bee dad\tecke abba\ten\t\n")
    with pytest.raises(InputError, match="column 'target_lang': empty text; fill it in, or give --skip-empty"):
        transformer.prepare(build(transformer.Config, SMALL | files))
    task = transformer.prepare(build(transformer.Config, SMALL | files | {"skip_empty": True}))
    assert len(task.splits["train"]) == 20


def test_mixing_needs_languages(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("source\ttarget\n" + "bee\tdad\n" * 4)
    values = {"train_file": str(tmp_path / "a.tsv"), "mixing": "equal", "output_dir": str(tmp_path / "run")}
    with pytest.raises(InputError, match="--mixing needs --mixture, or rows with a column target_lang"):
        transformer.prepare(build(transformer.Config, values))


def make_coded(kind: str, folder: Path) -> str:
    """A tiny checkpoint of mBART, whose targets end with a code, or of mBART-50 or NLLB, whose begin with it."""
    import transformers as hf
    from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES

    start = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdef"]
    scored = [(piece, 0.0 if len(piece) > 1 else -2.0) for piece in start]
    if kind == "mbart":
        more = [(code, 0.0) for code in [*FAIRSEQ_LANGUAGE_CODES, "<mask>"]]
        tokenizer: Any = hf.MBartTokenizer(vocab=scored + more)
    elif kind == "mbart50":
        tokenizer = hf.MBart50Tokenizer(vocab=scored, src_lang="en_XX", tgt_lang="de_DE")
    else:
        tokenizer = hf.NllbTokenizer(vocab={piece: number for number, piece in enumerate(start)}, merges=[])
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "d_model": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = hf.MBartConfig(vocab_size=len(tokenizer), max_position_embeddings=64, init_std=0.5, **sizes, **heads)
    hf.MBartForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_codes_of_nllb(tmp_path: Path) -> None:
    make_coded("nllb", tmp_path)
    tokenizer = Tokenizers.load(tmp_path).source
    texts = [AnnotatedText("abc", "deu_Latn", "fra_Latn"), AnnotatedText("abc", "eng_Latn", "deu_Latn")]
    german, english, french = tokenizer.convert_tokens_to_ids(["deu_Latn", "eng_Latn", "fra_Latn"])
    sources, _ = encode_texts(["a " + text for text in texts], tokenizer, 20)
    assert [ids[0] for ids in (sources[0], sources[1])] == [german, english]
    assert searched(sources, np.array([1, 0]))["first_tokens"].tolist() == [german, french]
    targets, _ = encode_targets([AnnotatedText("abc", "fra_Latn"), AnnotatedText("abc", "eng_Latn")], tokenizer, 20)
    assert [ids[0] for ids in (targets[0], targets[1])] == [french, english]
    assert tokenizer.src_lang == "eng_Latn"  # as before
    assert [code_of(name, language_codes(tokenizer), "") for name in ("de", "deu", "deu_Latn")] == ["deu_Latn"] * 3


CODES = {"mbart": ("en_XX", "de_DE", "fr_XX"), "mbart50": ("en_XX", "de_DE", "fr_XX")}


@pytest.mark.parametrize("kind", ["mbart", "mbart50"])
def test_codes_of_a_checkpoint(kind: str, files: dict[str, Any], tmp_path: Path) -> None:
    place = make_coded(kind, tmp_path / kind)
    values = {"model_name_or_path": place, "metrics": "chrf", "max_target_length": 8, "max_source_length": 16}
    task = bart.prepare(build(bart.Config, files | values | {"max_steps": 1, "num_beams": 2}))
    english, german, french = task.tokenizers.target.convert_tokens_to_ids([*CODES[kind]])
    train, place_of = task.splits["train"], -1 if kind == "mbart" else 0
    assert [train.source[row][place_of] for row in range(4)] == [english, german, english, french]
    assert [train.target[row][place_of] for row in range(4)] == [german, english, french, english]
    assert train.texts[0] == "bee dad"
    results = run(task)
    assert task.model.generation_config.forced_bos_token_id is None
    assert {"eval_de-en_chrf", "predict_de-fr_chrf"} <= set(results)

    model = hf_seq2seq.load(files["output_dir"])
    outputs = [model.generate(["bee dad"], source_lang="en", target_lang=code)[0] for code in ("de", "fr_XX")]
    assert outputs[0] != outputs[1]
    with pytest.raises(InputError, match="--target-lang: 'de_EN' is not a language of this tokenizer; did you mean"):
        model.generate(["bee dad"], source_lang="en", target_lang="de_EN")
    if kind == "mbart50":
        with pytest.raises(InputError, match="--target-lang: name the language to write"):
            model.generate(["bee dad"])


@pytest.mark.parametrize("kind", ["mbart", "mbart50"])
@pytest.mark.parametrize("beams", [1, 3])
def test_each_row_of_a_batch_begins_in_its_language(
    kind: str, beams: int, files: dict[str, Any], tmp_path: Path
) -> None:
    values = files | {"model_name_or_path": make_coded(kind, tmp_path / kind), "metrics": "chrf"}
    task = bart.prepare(build(bart.Config, values))
    model, examples = task.model.eval(), task.splits["train"]
    codes = examples.source.codes  # type: ignore[attr-defined]
    search = Search(num_beams=beams)
    batch = task.batch(examples, np.arange(4), torch.device("cpu"))
    name = "start_tokens" if kind == "mbart" else "first_tokens"
    batch[name] = torch.from_numpy(codes[:4])
    searcher = Searcher(model, search, 6)
    found = [outputs[0].whole for outputs in searcher(batch, range(4))]
    alone = []
    for row in range(4):
        own = task.batch(examples, np.array([row]), torch.device("cpu"))
        if kind == "mbart":
            model.generation_config.decoder_start_token_id = int(codes[row])
        else:
            model.generation_config.forced_bos_token_id = int(codes[row])
        alone.append(searcher(own, [row])[0][0].whole)
        model.generation_config.forced_bos_token_id = None
    assert found == alone
    assert len({tuple(ids) for ids in found}) > 2
    by_library = by_first_token(model, batch, search, 6)
    assert [outputs[0].whole for outputs in by_library] == found
    texts = generate_texts(model, task.tokenizers, examples.source, Decoding(num_beams=beams), 6)
    assert texts[:4] == task.tokenizers.target.batch_decode([list(ids) for ids in found], skip_special_tokens=True)


def test_a_task_in_an_unknown_language(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("source\ttarget\n" + "bee\tdad\n" * 4)
    (tmp_path / "m.yaml").write_text(
        f"one:\n  train_file: {tmp_path}/a.tsv\n  source_lang: en_XX\n  target_lang: de_DE\n"
        f"two:\n  train_file: {tmp_path}/a.tsv\n  source_lang: en_XX\n  target_lang: fr_XY\n"
    )
    values = {"model_name_or_path": make_coded("mbart50", tmp_path / "m"), "mixture": str(tmp_path / "m.yaml")}
    with pytest.raises(InputError, match=r"m\.yaml: task 'two': target_lang: 'fr_XY' is not .*; did you mean 'fr_XX'"):
        bart.prepare(build(bart.Config, values | {"output_dir": str(tmp_path / "run")}))


def test_a_checkpoint_without_tags_reads_them_as_text(files: dict[str, Any], tmp_path: Path) -> None:
    values = {
        "from_scratch": True,
        "tokenizer_type": "char",
        "metrics": "chrf",
        "max_steps": 1,
        "max_target_length": 12,
    }
    single = {
        "train_file": write(tmp_path / "single.tsv", [("en", "de")], 20),
        "source_lang": "en",
        "target_lang": "de",
        "output_dir": str(tmp_path / "a"),
    }
    single |= {"config_overrides": "d_model=16,num_layers=1", "validation_split_percentage": 10}
    run(t5.prepare(build(t5.Config, values | single)))
    onward = {"model_name_or_path": str(tmp_path / "a"), "metrics": "chrf", "max_steps": 1, "max_target_length": 12}
    run(t5.prepare(build(t5.Config, files | onward)))
    saved = json.loads(Path(files["output_dir"], "tokenizer_config.json").read_text())
    assert saved["language_tags"] == ["de", "en", "fr"]
    model = hf_seq2seq.load(files["output_dir"])
    assert model.generate(["bee dad"], target_lang="de") == model.generate(["<2de> bee dad"])
