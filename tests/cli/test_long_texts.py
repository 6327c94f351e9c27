"""Long texts through `generate`: pieces, spacing, context, refusals."""

import json
from pathlib import Path

import pytest

from hf_seq2seq.api.models import load

SENTENCES = ["the small dog runs.", "a big cat sees!", "green house"]
DOCUMENT = " the small dog runs.  a big cat sees!\n\n\tgreen house\n"
LONG = " ".join(["the small dog", "a big house runs", "green cat"] * 8)  # 72 words


def outputs_of(command, model_folder, texts, *flags):
    found = command("generate", model_folder, *texts, "--json-lines", *flags)
    assert found.code == 0, found.err
    return [json.loads(line)["prediction"] for line in found.out.splitlines()]


def test_pieces_are_put_back_into_the_spacing(command, model_folder: Path, tmp_path: Path) -> None:
    one, two, three = outputs_of(command, model_folder, SENTENCES)
    wanted = f" {one}  {two}\n\n\t{three}\n"
    assert outputs_of(command, model_folder, [DOCUMENT], "--split", "sentences") == [wanted]
    (tmp_path / "in.txt").write_text(DOCUMENT)
    flags = ["--split", "sentences", "--one-document"]
    whole = command("generate", model_folder, "--input-file", tmp_path / "in.txt", *flags)
    assert whole.out == wanted
    assert "1 of 1 texts were read in pieces, 3 in all" in whole.err
    assert command("generate", model_folder, *flags, stdin=DOCUMENT.encode()).out == wanted
    (tmp_path / "in.txt").write_bytes("\ufeff".encode() + DOCUMENT.replace("\n", "\r\n").encode())
    assert command("generate", model_folder, "--input-file", tmp_path / "in.txt", *flags).out == wanted
    assert outputs_of(command, model_folder, [DOCUMENT, ""], "--split", "paragraphs")[1] == ""
    assert load(model_folder).generate([DOCUMENT], split="sentences") == [wanted]


def test_what_is_too_long_is_cut_split_or_refused(command, model_folder: Path) -> None:
    flags = ["--max-source-length", 20]
    cut = command("generate", model_folder, LONG, "a cat", *flags)
    assert "1 of 2 texts were truncated to 20 tokens" in cut.err
    split = command("generate", model_folder, LONG, "a cat", *flags, "--on-too-long", "split", "--json-lines",
                    "--output-details", "score")  # fmt: skip
    assert "truncated" not in split.err
    first, second = (json.loads(line) for line in split.out.splitlines())
    assert " ".join(piece["source"] for piece in first["pieces"]) == LONG
    assert " ".join(piece["prediction"] for piece in first["pieces"]) == first["prediction"]
    assert [piece["prediction"] for piece in first["pieces"]] == outputs_of(
        command, model_folder, [piece["source"] for piece in first["pieces"]]
    )
    assert "pieces" not in second
    assert isinstance(second["score"], float)
    refused = command("generate", model_folder, "a cat", LONG, *flags, "--on-too-long", "refuse")
    assert (refused.code, refused.out) == (2, "")
    assert "row 2: 73 tokens, and at most 20 fit (--max-source-length)" in refused.err
    refused = command("generate", model_folder, LONG, *flags, "--split", "sentences", "--on-too-long", "refuse")
    assert (refused.code, "row 1: a piece has 73 tokens" in refused.err) == (2, True)
    cut = command("generate", model_folder, LONG, *flags, "--split", "sentences", "--on-too-long", "cut")
    assert "1 of 1 texts were truncated" in cut.err


def test_outputs_are_read_again(command, model_folder: Path) -> None:
    flags = ["--max-source-length", 20, "--max-new-tokens", 4, "--on-too-long", "split"]
    joined = outputs_of(command, model_folder, [LONG], *flags)
    again = command("generate", model_folder, LONG, *flags, "--combine", "again", "--json-lines")
    row = json.loads(again.out)
    assert "the outputs of the pieces again as one text" in again.err
    assert row["rounds"] == 2
    assert " ".join(piece["prediction"] for piece in row["pieces"]) == joined[0]
    assert [row["prediction"]] == outputs_of(command, model_folder, joined, "--max-new-tokens", 4)
    assert outputs_of(command, model_folder, ["a cat"], *flags, "--combine", "again") == outputs_of(
        command, model_folder, ["a cat"], "--max-new-tokens", 4
    )


def test_context_stands_before_each_sentence(command, model_folder: Path) -> None:
    flags = ["--split", "sentences", "--context-sentences", 1, "--context-separator", " old "]
    found = outputs_of(command, model_folder, ["a dog. a cat. a house"], *flags)
    sources = ["a dog.", "a dog. old a cat.", "a cat. old a house"]
    alone = [text.rpartition("old")[2].strip() for text in outputs_of(command, model_folder, sources)]
    assert found == [" ".join(alone)]


def test_sampling_of_a_piece_does_not_depend_on_other_rows(command, model_folder: Path) -> None:
    flags = ["--split", "sentences", "--do-sample", "--temperature", 3]
    both = outputs_of(command, model_folder, [DOCUMENT, "a dog. a cat."], *flags)
    alone = outputs_of(command, model_folder, [DOCUMENT], *flags)
    assert both[0] == alone[0]
    assert outputs_of(command, model_folder, ["a dog. a dog. a dog."], *flags)[0].split(".") != []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--combine", "again"], "--combine again: there are no pieces; add --split"),
        (["--context-sentences", 2], "--context-sentences: needs --split sentences"),
        (["--split", "sentences", "--split-language", "german"], "--split-language: 'german' is no language code"),
        (
            ["--split", "tokens", "--num-beams", 3, "--num-return-sequences", 2],
            "--split: a text in pieces has one",
        ),
        (["--split", "words"], "--split"),
        (["--one-document"], "--one-document: texts are given as arguments"),
    ],
)
def test_refuses_what_does_not_fit(command, model_folder: Path, flags, message: str) -> None:
    found = command("generate", model_folder, "a cat", *flags)
    assert (found.code, found.out) == (2, "")
    assert message in found.err
