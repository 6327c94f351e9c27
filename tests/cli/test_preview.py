"""`preview`: what will be trained on is shown, and nothing is trained or written."""

import re
from pathlib import Path

import pytest

ROWS = [
    ("the dog runs", "runs dog the"),
    ("a cat", "cat a"),
    ("green", "green"),
    ("a big old house", "house old big a"),
]


@pytest.fixture
def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    Path("train.tsv").write_text("source\ttarget\n" + "".join(f"{s}\t{t}\n" for s, t in ROWS * 5))
    Path("dev.tsv").write_text("source\ttarget\nthe cat\tcat the\n")
    shape = ["--hidden-size", "16", "--embedding-size", "16", "--tokenizer-type", "word"]
    return ["--train-file", "train.tsv", "--validation-file", "dev.tsv", *shape]


def test_a_recipe_for_pairs(command, flags: list[str], tmp_path: Path) -> None:
    result = command("preview", "rnn", *flags, "--max-source-length", "4", "--source-prefix", "the ")
    assert (result.code, result.err) == (0, "")
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert "columns source: source, target: target" in lines
    assert "split rows side 50% 90% 95% 99% 100% tokens truncated unknown" in lines
    # With the prefix and the end of the sentence, two rows of four have more than four tokens.
    assert "train 20 source 4 4 4 4 4 75 50.0% 0.0%" in lines
    assert "train 20 target 3 5 5 5 5 70 0.0% 0.0%" in lines
    assert "validation 1 source 4 4 4 4 4 4 0.0% 0.0%" in lines
    example = lines[lines.index("example 2") :]
    assert example[1] == "text a cat"
    assert example[3] == "pieces the a cat </s>"
    assert example[2].split()[-1] == "1"
    assert example[4] == "mask 1 1 1 1"
    assert example[5] == "target cat a"
    assert example[7] == "pieces cat a </s>"
    assert "example 3" in lines
    assert "example 4" not in lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.tsv", "train.tsv"]


def test_unknown_tokens_and_missing_spaces_are_reported(command, flags: list[str]) -> None:
    Path("train.tsv").write_text("source\ttarget\n" + "a cat\t我们今天去学校看书学习\n" * 3)
    Path("dev.tsv").write_text("source\ttarget\na cat saw\t老师说明天要早点来\n")
    result = command("preview", "rnn", *flags)
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert [line.split()[-1] for line in lines if line.startswith(("train ", "validation "))] == [
        *("0.0%", "0.0%", "33.3%", "100.0%")
    ]
    assert "warning: the target texts have no spaces between words" in result.out
    assert "no spaces" not in command("preview", "rnn", *flags, "--tokenizer-type", "char").out


def test_rows_of_several_splits_are_counted(command, flags: list[str], tmp_path: Path) -> None:
    Path("dev.tsv").write_text("source\ttarget\na cat\tcat a\na cat\tcat a\na cat\ta cat\n")
    Path("test.tsv").write_text("source\ttarget\na cat\ta cat\nthe cat\tcat the\n")
    out = command("preview", "rnn", *flags, "--test-file", "test.tsv").out
    assert [line for line in out.splitlines() if "are also" in line] == [
        "warning: 2 of 3 validation rows are also train rows; `clean --against` drops them",
        "warning: 1 of 2 test rows are also validation rows; `clean --against` drops them",
    ]
    Path("train.tsv").write_text("label\ttext\n" + "1\tgood good\n0\tbad bad\n" * 4)
    Path("dev.tsv").write_text("label\ttext\n1\tgood good\n1\tbad bad\n")
    sizes = ["--from-scratch", "--config-overrides", "hidden_size=8,num_attention_heads=2,num_hidden_layers=1"]
    out = command("preview", "bert_classifier", *flags[:4], *sizes, "--tokenizer-type", "word").out
    assert "warning: 1 of 2 validation rows are also train rows" in out


def test_parameters_and_memory(command, flags: list[str]) -> None:
    out = command("preview", "rnn", *flags).out
    found = re.search(r"parameters  ([\d,]+), of which ([\d,]+) are trained", out)
    assert found is not None
    parameters = int(found[1].replace(",", ""))
    assert found[1] == found[2]
    parts = {name: float(size) for name, size in re.findall(r"^  (\w+) +([\d.]+) MiB", out, re.MULTILINE)}
    assert list(parts) == ["weights", "gradients", "optimizer", "activations"]
    assert parts["weights"] == pytest.approx(4 * parameters / 2**20, abs=0.05)
    assert parts["optimizer"] == pytest.approx(8 * parameters / 2**20, abs=0.05)
    total = float(re.search(r"memory +([\d.]+) MiB", out)[1])  # type: ignore[index]
    assert total == pytest.approx(sum(parts.values()), abs=0.25)


def test_long_examples_are_cut_on_the_screen(command, flags: list[str]) -> None:
    Path("train.tsv").write_text(f"source\ttarget\n{'dog ' * 50}\tcat\n")
    out = command("preview", "rnn", *flags).out
    assert f"pieces   {'dog ' * 32}… and 19 more\n" in out


def test_a_finished_run_can_be_previewed(command, flags: list[str]) -> None:
    Path("out").mkdir()
    Path("out/model.safetensors").write_text("weights")
    assert command("preview", "rnn", *flags, "--output-dir", "out").code == 0
    assert Path("out/model.safetensors").read_text() == "weights"


def test_bad_data_is_refused(command, flags: list[str]) -> None:
    result = command("preview", "rnn", *flags, "--source-column", "sorce")
    assert result.code == 2
    assert "no column 'sorce'" in result.err
    assert result.out == ""


def test_masked_tokens_are_shown_below_what_is_read(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("the dog runs. a cat sleeps.\nthe bird sings. a fish swims.\n" * 3)
    masks = ["--objective", "masked_language_model", "--next-sentence-prediction", "--mlm-probability", "0.5"]
    flags = ["--from-scratch", "--tokenizer-type", "word", "--train-file", "text.txt"]
    result = command("preview", "bert_classifier", *masks, *flags)
    assert (result.code, result.err) == (0, "")
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    example = lines[lines.index("example 1") :][:8]
    pieces, learned = (next(x for x in example if x.startswith(name)).split()[1:] for name in ("pieces", "learned"))
    assert len(pieces) == len(learned)
    assert sum(piece != "·" for piece in learned) == 3
    assert pieces[0] == "[CLS]"
    assert {"label next", "label another"} & set(example)


def test_how_files_are_read_is_shown(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("Ja, gut;yes good\nNein, danke;no thanks\n" * 3)
    Path("dev.csv").write_text("Ja;yes\n")
    flags = ["--train-file", "train.csv", "--validation-file", "dev.csv", "--tokenizer-type", "word"]
    result = command("preview", "rnn", *flags)
    assert result.code == 0, result.err
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert "columns source: 1, target: 2" in lines
    assert "files train.csv: split at ';'; no header, columns by number" in lines
    assert "files dev.csv: split at ';'; no header, columns by number" in lines
    assert "text Ja, gut" in lines
    assert caplog.text.count("is treated as data") == 1


@pytest.mark.parametrize(("kind", "warned"), [("bpe", True), ("word", True), ("char", False)])
def test_a_vocabulary_of_whole_sources_is_reported(command, flags: list[str], kind: str, warned: bool) -> None:
    words = [
        a + b + c for a in ("ba", "ko", "ti", "lu") for b in ("ren", "mos", "dal") for c in ("ta", "ki", "so", "ne")
    ]
    Path("train.tsv").write_text("source\ttarget\n" + "".join(f"{word}\t{' '.join(word)}\n" for word in words * 2))
    result = command("preview", "rnn", *flags, "--tokenizer-type", kind, "--target-tokenizer-type", "word")
    assert ("most source texts are one word and one token each" in result.out) is warned


def test_a_vocabulary_has_the_prefix_of_sources(command, flags: list[str]) -> None:
    for kind in ("char", "word", "unigram"):
        result = command("preview", "rnn", *flags, "--tokenizer-type", kind, "--source-prefix", "QUIZ: ")
        source = re.search(r"train +\d+ +source.* ([\d.]+)%\n", result.out)
        assert source is not None
        assert source[1] == "0.0"


def test_columns_that_are_not_read_are_listed(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = "a dog,ein Hund,en,de,web\n"
    Path("train.csv").write_text("source,target,src_lang,tgt_lang,origin\n" + row * 9)
    flags = ["--train-file", "train.csv", "--tokenizer-type", "word", "--hidden-size", "16", "--embedding-size", "16"]
    told = "unused      src_lang, tgt_lang, origin; if they name languages, give --source-lang-column src_lang "
    assert f"\n{told}--target-lang-column tgt_lang\n" in command("preview", "rnn", *flags).out
    named = ["--source-lang-column", "src_lang", "--target-lang-column", "tgt_lang"]
    assert "\nunused      origin\n" in command("preview", "rnn", *flags, *named).out
    filled = ["--source-template", "{source} {origin:tags}"]
    assert "\nunused      src_lang, tgt_lang; if" in command("preview", "rnn", *flags, *filled).out
