"""--update-vocabulary: a checkpoint learns pieces from a file, and their embeddings start at means of old ones."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hf_seq2seq.errors import InputError
from hf_seq2seq.recipes import seq2seq, t5
from hf_seq2seq.sections import build

SHORT = {"max_source_length": 16, "max_target_length": 16, "validation_split_percentage": 0}


def values_of(recipe: Any, place: str, folder: Path, **more: Any) -> Any:
    (folder / "rows.tsv").write_text("source\ttarget\nabc ab\tabc\nabc dea\tdea\n" * 4)
    (folder / "texts.txt").write_text("abc dea abc\n\nabc dea\n" * 3)
    values = {"model_name_or_path": place, "train_file": str(folder / "rows.tsv"), **SHORT}
    values |= {"output_dir": str(folder / "run"), "max_steps": 1, "use_cpu": True}
    asked = {"update_vocabulary": str(folder / "texts.txt"), "new_pieces": 5}
    return build(recipe.Config, values | asked | more)


@pytest.mark.parametrize(("recipe", "family"), [(seq2seq, "led"), (seq2seq, "nllb")])
def test_pieces_start_at_means(
    recipe: Any, family: str, tiny_family: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tiny_family(family)
    languages = {"source_lang": "eng_Latn", "target_lang": "deu_Latn"} if family == "nllb" else {}
    base = AutoModelForSeq2SeqLM.from_pretrained(place).get_input_embeddings().weight.detach()
    old = AutoTokenizer.from_pretrained(place)
    task = recipe.prepare(values_of(recipe, place, tmp_path, **languages))
    assert "texts.txt: 5 new pieces; " in capsys.readouterr().err
    tokenizer, weight = task.tokenizers.target, task.model.get_input_embeddings().weight.detach()
    new = [token for token in tokenizer.get_vocab() if token not in old.get_vocab()]
    assert len(new) == 5
    assert len(weight) == len(base) + 5
    torch.testing.assert_close(weight[: len(base)], base)
    whole = next(token for token in new if token.endswith("abc"))
    parts = old.convert_tokens_to_ids([*whole])
    torch.testing.assert_close(weight[tokenizer.convert_tokens_to_ids(whole)], base[parts].mean(0))
    assert max(map(max, task.splits["train"].source)) >= len(base)


def test_a_run_resumes_with_what_it_learned(tiny_family: Any, tmp_path: Path) -> None:
    place = tiny_family("longt5")
    seq2seq.main(values_of(seq2seq, place, tmp_path, save_steps=1, max_steps=2))
    whole = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").state_dict()
    (tmp_path / "texts.txt").write_text("other words " * 9)
    resumed = values_of(
        seq2seq, place, tmp_path, save_steps=1, max_steps=2, resume_from_checkpoint=str(tmp_path / "run/checkpoint-1")
    )
    seq2seq.main(resumed)
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert len(tokenizer("abc dea", add_special_tokens=False)["input_ids"]) == 2


def test_refusals(tiny_family: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--update-vocabulary: 2 files, but one vocabulary; join them in one file"):
        seq2seq.prepare(values_of(seq2seq, tiny_family("led"), tmp_path, update_vocabulary="a.txt,b.txt"))
    with pytest.raises(InputError, match=r"texts\.tx: no such file; did you mean"):
        seq2seq.prepare(values_of(seq2seq, tiny_family("led"), tmp_path, update_vocabulary=str(tmp_path / "texts.tx")))
    with pytest.raises(InputError, match="a model from scratch learns its vocabulary from its rows; leave it out"):
        t5.prepare(values_of(t5, None, tmp_path, from_scratch=True))
