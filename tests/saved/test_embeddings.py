"""A tokenizer with more tokens than a model has embeddings is refused at loading, or the embeddings are added."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, BertConfig, BertForSequenceClassification

from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import bert_classifier, gpt, rnn, t5
from hf_seq2seq.saved.embeddings import check_embeddings, resize_embeddings, resize_tokens
from hf_seq2seq.saved.loading import load_classifier, load_seq2seq
from hf_seq2seq.sections import build


def add_tokens(folder: Path, count: int = 3) -> None:
    """What a user does who forgets the model."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"new{number}" for number in range(count)])
    tokenizer.save_pretrained(folder)


@pytest.fixture
def longer(saved_model: Path, tmp_path: Path) -> Path:
    """A saved model whose tokenizer has three tokens more."""
    folder = Path(shutil.copytree(saved_model, tmp_path / "longer"))
    add_tokens(folder)
    return folder


def test_a_model_that_would_fail_at_its_first_new_token_is_not_loaded(longer: Path, tokenizers: Tokenizers) -> None:
    size = len(tokenizers.source)
    line = f"{longer}: its tokenizer has {size + 3} tokens, the model embeddings for {size} ones; "
    with pytest.raises(InputError) as raised:
        load_seq2seq(str(longer))
    assert str(raised.value).startswith(line)
    assert "--resize-embeddings" in str(raised.value)


def test_neither_is_a_classifier(tokenizers: Tokenizers, tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertForSequenceClassification(BertConfig(vocab_size=len(tokenizers.source), **sizes)).save_pretrained(tmp_path)
    tokenizers.source.save_pretrained(tmp_path)
    load_classifier(str(tmp_path))
    add_tokens(tmp_path, 1)
    with pytest.raises(InputError, match="its tokenizer has"):
        load_classifier(str(tmp_path))


@pytest.mark.parametrize("family", ["t5", "bart", "rnn"])
def test_resizing_adds_what_is_missing_and_keeps_the_rest(
    family: str, make_model: Callable[[str], Any], tokenizers: Tokenizers, tmp_path: Path
) -> None:
    model = make_model(family)
    before = model.get_input_embeddings().weight.detach().clone()
    tokenizers.save(tmp_path)
    add_tokens(tmp_path)
    longer = Tokenizers.load(tmp_path)
    resize_embeddings(model, longer)
    check_embeddings(model, longer, "here")
    after = model.get_input_embeddings().weight
    assert after[: len(before)].equal(before)
    assert len(after) == max(len(before), len(longer.target))
    resize_embeddings(model, tokenizers)  # fewer tokens take no embedding away
    assert len(model.get_input_embeddings().weight) == len(after)


def test_each_vocabulary_of_two_is_checked_and_resized(tmp_path: Path) -> None:
    run = two_vocabularies(tmp_path)
    add_tokens(run)
    with pytest.raises(InputError, match=r"its source tokenizer has .* source ones"):
        load_seq2seq(str(run))
    model, _ = rnn.prepare(config(rnn, tmp_path, model_name_or_path=str(run), resize_embeddings=True)), None
    assert model.model.config.source_vocab_size == len(model.tokenizers.source)
    assert model.model.config.vocab_size == len(model.tokenizers.target)


def two_vocabularies(tmp_path: Path) -> Path:
    options = {"separate_vocabularies": True, "tokenizer_type": "char", "hidden_size": 8, "embedding_size": 8}
    task = rnn.prepare(config(rnn, tmp_path, **options))
    task.model.save_pretrained(tmp_path / "two")
    task.tokenizers.save(tmp_path / "two")
    return tmp_path / "two"


def config(recipe: Any, tmp_path: Path, **options: Any) -> Any:
    labels = recipe is bert_classifier
    rows = "text\tlabel\nab\tx\nba\ty\n" if labels else "source\ttarget\nab\tba\nba\tab\n"
    tmp_path.joinpath("train.tsv").write_text(rows * 4)
    files = {"train_file": str(tmp_path / "train.tsv"), "output_dir": str(tmp_path / "run")}
    return build(recipe.Config, files | options, origin="test")


NEW = {
    t5: {"from_scratch": True},
    gpt: {"from_scratch": True, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
    bert_classifier: {"from_scratch": True},
    rnn: {"hidden_size": 8, "embedding_size": 8},
}


@pytest.mark.parametrize("recipe", NEW, ids=lambda recipe: recipe.__name__.split(".")[-1])
def test_training_refuses_such_a_checkpoint_or_resizes_it(recipe: Any, tmp_path: Path) -> None:
    task = recipe.prepare(config(recipe, tmp_path, tokenizer_type="char", **NEW[recipe]))
    base = tmp_path / "base"
    task.model.save_pretrained(base)
    task.tokenizers.save(base)
    add_tokens(base)
    start = {"model_name_or_path": str(base), "max_source_length": 8}
    with pytest.raises(InputError, match=r"the model embeddings for .* ones; --resize-embeddings adds them$"):
        recipe.prepare(config(recipe, tmp_path, **start))
    found = [recipe.prepare(config(recipe, tmp_path, **start, resize_embeddings=True)) for _ in range(2)]
    weights = [each.model.get_input_embeddings().weight for each in found]
    assert len(weights[0]) == len(found[0].tokenizers.source)
    assert weights[0].equal(weights[1])  # drawn with the seed
    if hasattr(found[0].config, "adaptation"):
        adapted = recipe.prepare(config(recipe, tmp_path, **start, resize_embeddings=True, lora_r=2)).model
        assert adapted.get_input_embeddings().weight.trained_rows == [*range(len(weights[0]) - 3, len(weights[0]))]


def test_a_model_from_scratch_needs_no_resizing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--resize-embeddings: a model --from-scratch"):
        t5.prepare(config(t5, tmp_path, from_scratch=True, resize_embeddings=True))


def test_output_weights_that_only_the_checkpoint_separates_stay_apart(tiny_family: Any, tmp_path: Path) -> None:
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_family("byt5"))
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    model.save_pretrained(tmp_path)
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    before = [each.weight.detach().clone() for each in (model.shared, model.lm_head)]
    resize_tokens(model, len(before[0]) + 3)
    after = [each.weight.detach()[:-3] for each in (model.shared, model.lm_head)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight is model.shared.weight
    assert model.config.tie_word_embeddings
