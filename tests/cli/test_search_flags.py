"""The flags of search and output, on a real saved model."""

import json
import math
import shutil
from pathlib import Path

import pytest

TEXTS = ["the small dog", "a big house runs", "green"]


def rows(result) -> list[dict]:
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def test_n_best_with_details(command, model_folder: Path) -> None:
    details = ["--json-lines", "--output-details", "score,tokens,log_probs,alignment"]
    found = rows(command("generate", model_folder, *TEXTS, "--num-beams", 4, "--num-return-sequences", 3, *details))
    best = command("generate", model_folder, *TEXTS, "--num-beams", 4).out.splitlines()
    assert [row["predictions"][0]["prediction"] for row in found] == best
    for row in found:
        scores = [each["score"] for each in row["predictions"]]
        assert scores == sorted(scores, reverse=True)
        for each in row["predictions"]:
            assert len(each["tokens"]) == len(each["log_probs"])
            assert each["score"] == pytest.approx(sum(each["log_probs"]) / len(each["tokens"]), rel=1e-3)
            pairs = [pair.split("-") for pair in each["alignment"].split()]
            assert {int(target) for _, target in pairs} == set(range(len(each["prediction"].split())))
            assert all(int(source) < len(row["source"].split()) for source, _ in pairs)


def test_given_targets_are_scored(command, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"source": t, "target": "a dog"}) + "\n" for t in TEXTS))
    flags = ["--input-file", tmp_path / "in.jsonl", "--target-column", "target", "--source-column", "source"]
    found = rows(command("generate", model_folder, *flags, "--json-lines", "--output-details", "log_probs"))
    for row in found:
        assert row["log_prob"] == pytest.approx(sum(row["log_probs"]))
        assert row["perplexity"] == pytest.approx(math.exp(-row["log_prob"] / len(row["log_probs"])))
    lines = command("generate", model_folder, *flags).out.splitlines()
    assert lines == [f"{row['log_prob']:.4f}\t{row['perplexity']:.4f}" for row in found]


def test_drawn_outputs(command, model_folder: Path) -> None:
    draw = ["--do-sample", "--temperature", 3, "--num-return-sequences", 5]
    first = command("generate", model_folder, *TEXTS, *draw)
    assert len(first.out.splitlines()) == 15
    assert command("generate", model_folder, *TEXTS, *draw, "--per-device-eval-batch-size", 1).out == first.out
    assert command("generate", model_folder, *TEXTS, *draw, "--seed", 1).out != first.out
    central = command("generate", model_folder, *TEXTS, *draw, "--mbr-metric", "chrf").out.splitlines()
    assert all(text in first.out.splitlines()[5 * row : 5 * row + 5] for row, text in enumerate(central))
    assert len(central) == 3


def test_words_lengths_and_an_ensemble(command, model_folder: Path, tmp_path: Path) -> None:
    beams = ["--num-beams", 4]
    held = command("generate", model_folder, *TEXTS, *beams, "--force-words", "house,cat").out.splitlines()
    assert all({"house", "cat"} <= set(line.split()) for line in held)
    short = command("generate", model_folder, *TEXTS, "--max-length-ratio", 0.5).out.splitlines()
    assert [len(line.split()) <= 3 for line in short] == [True] * 3
    again = Path(shutil.copytree(model_folder, tmp_path / "again"))
    plain = command("generate", model_folder, *TEXTS, *beams)
    assert command("generate", model_folder, *TEXTS, *beams, "--ensemble", again).out == plain.out
    result = command("average", model_folder, again, "--output-dir", tmp_path / "mean")
    assert result.code == 0, result.err
    assert command("generate", tmp_path / "mean", *TEXTS, *beams).out == plain.out


def with_settings(folder: Path, copy: Path, **settings: object) -> Path:
    """A copy of a model with other settings of generation."""
    shutil.copytree(folder, copy)
    file = copy / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    return copy


def with_positions(folder: Path, copy: Path, positions: int) -> Path:
    """A copy of a model with fewer positions."""
    from transformers import BartForConditionalGeneration

    shutil.copytree(folder, copy)
    model = BartForConditionalGeneration.from_pretrained(folder)
    for side in (model.model.encoder, model.model.decoder):
        weight = side.embed_positions.weight
        weight.data = weight.data[: positions + side.embed_positions.offset]
    model.config.max_position_embeddings = positions
    model.save_pretrained(copy)
    return copy


def test_an_ensemble_with_fewer_positions(command, model_folder: Path, tmp_path: Path) -> None:
    small = with_positions(model_folder, tmp_path / "small", 8)
    text = " ".join(["dog"] * 20)
    result = command("generate", model_folder, text, "the dog", "--ensemble", small)
    assert result.code == 0, result.err
    assert "has 8 positions: sources are truncated to 8 tokens, outputs to 8" in result.err
    assert "1 of 2 texts were truncated to 8 tokens" in result.err
    result = command("generate", model_folder, text, "--ensemble", small, "--max-new-tokens", 9)
    assert result.code == 2
    assert f"--max-new-tokens: 9 is too large; {small} has 8 positions" in result.err
    lengths = ["--max-new-tokens", 8, "--max-source-length", 8]
    assert "has 8 positions" not in command("generate", model_folder, text, "--ensemble", small, *lengths).err


def test_an_ensemble_of_a_model_that_the_library_decodes(command, model_folder: Path, tmp_path: Path) -> None:
    odd = with_settings(model_folder, tmp_path / "odd", encoder_no_repeat_ngram_size=2)
    flags = ["--ensemble", model_folder, "--json-lines", "--output-details", "score"]
    result = command("generate", odd, *TEXTS, *flags)
    assert result.code == 2
    assert "generation_config.json sets encoder_no_repeat_ngram_size" in result.err
    assert len(result.err.splitlines()) == 1
    assert all(math.isfinite(row["score"]) for row in rows(command("generate", odd, *TEXTS, *flags[2:])))
    bias = with_settings(model_folder, tmp_path / "bias", renormalize_logits=True, bad_words_ids=[[5, 6], [9]])
    together, alone = (command("generate", bias, *TEXTS, *more) for more in (flags[:2], []))
    assert together.code == 0, together.err
    assert together.out != alone.out or together.out == command("generate", bias, *TEXTS).out


def test_lines_of_n_best_lists_line_up(command, model_folder: Path) -> None:
    """Of an empty source, and of one with fewer outputs than asked for."""
    texts = ["the small dog", "", "green"]
    flags = ["--num-beams", 40, "--num-return-sequences", 40, "--max-new-tokens", 1]
    lines = command("generate", model_folder, *texts, *flags).out.split("\n")[:-1]
    assert len(lines) == 120
    assert lines[40:80] == [""] * 40
    assert any(lines[:40])
    assert any(lines[80:])
    assert not any(lines[25:40])
    central = command("generate", model_folder, *texts, *flags, "--mbr-metric", "chrf").out.split("\n")[:-1]
    assert len(central) == 3


@pytest.mark.parametrize("beams", [["--num-beams", 2], []], ids=["beams", "greedy"])
def test_a_text_that_may_have_no_output_leaves_the_others_theirs(
    command, model_folder: Path, tmp_path: Path, beams: list
) -> None:
    """Three tokens are left, none may come twice, and of the long source nine are asked for."""
    vocabulary = json.loads((model_folder / "tokenizer.json").read_text())["model"]["vocab"]
    others = [number for number in range(len(vocabulary)) if number not in (1, 7, 8)]
    odd = with_settings(model_folder, tmp_path / "odd", suppress_tokens=others)
    flags = [*beams, "--no-repeat-ngram-size", 1, "--min-new-tokens", 9, "--max-length-ratio", 0.5]
    result = command("generate", odd, " ".join(["dog"] * 18), "dog", *flags, "--json-lines")
    assert [row["prediction"] != "" for row in rows(result)] == [False, True]
    assert "1 of 2 texts have no output" in result.err
    assert "1 of 2 texts: --max-length-ratio allows fewer tokens than --min-new-tokens" in result.err


def test_forced_words_that_a_short_source_has_no_room_for(command, model_folder: Path) -> None:
    flags = ["--num-beams", 4, "--max-length-ratio", 1, "--force-words", "house,cat,green"]
    result = command("generate", model_folder, "the small dog runs home", "the", *flags)
    first, second = result.out.split("\n")[:2]
    assert {"house", "cat", "green"} <= set(first.split())
    assert second == ""
    assert "1 of 2 texts have no output" in result.err


def test_attention_that_a_decoder_alone_does_not_have(command, tiny_checkpoint) -> None:
    model = tiny_checkpoint("gpt2", ["a small dog"])
    details = ["--json-lines", "--output-details", "alignment"]
    for flags in (details, ["--replace-unknown"], ["--num-beams", 2, "--coverage-penalty", 0.2]):
        result = command("generate", model, "a dog", *flags)
        assert result.code == 2
        assert "this model is decoder-only" in result.err
        assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("beams", [1, 4])
def test_the_end_that_ended_an_output_is_reported(command, model_folder: Path, tmp_path: Path, beams: int) -> None:
    word = command("generate", model_folder, TEXTS[0], "--num-beams", beams).out.split()[2]
    number = json.loads((model_folder / "tokenizer.json").read_text())["model"]["vocab"][word]
    several = with_settings(model_folder, tmp_path / "several", eos_token_id=[1, number])
    details = ["--json-lines", "--output-details", "score,tokens,log_probs", "--num-beams", beams]
    found = rows(command("generate", several, *TEXTS, *details))
    for row in found:
        assert row["score"] == pytest.approx(sum(row["log_probs"]) / len(row["log_probs"]), rel=1e-3)
    assert word in [row["tokens"][-1] for row in found if len(row["tokens"]) < 10]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--num-beams", "4", "--num-beam-groups", "3", "--diversity-penalty", "1"],
            "4 beams cannot be divided into 3",
        ),
        (["--num-beam-groups", "2", "--num-beams", "4"], "add --diversity-penalty above 0"),
        (["--num-beams", "4", "--do-sample"], "--do-sample: beam search does not sample"),
        (["--top-p", "0.5"], "--top-p: only applies to sampling; add --do-sample"),
        (["--num-beams", "2", "--num-return-sequences", "3"], "--num-return-sequences: 3 is more than --num-beams 2"),
        (["--num-beams", "2", "--force-words", "dog,cat", "--max-new-tokens", "2"], "need 3 tokens"),
        (["--num-beams", "2", "--force-words", "zebra"], "'zebra' is not in the vocabulary"),
        (["--force-words", "dog"], "--force-words: needs beam search; add --num-beams"),
        (["--ensemble", "OTHER"], "has a different source vocabulary than"),
        (["--do-sample", "--mbr-metric", "chrf"], "--mbr-metric: there is nothing to choose from"),
        (["--do-sample", "--num-return-sequences", "3", "--mbr-metric", "chfr"], "did you mean 'chrf'"),
        (["--forced-bos-token", "hause"], "did you mean 'house'"),
        (["--output-details", "score"], "add --json-lines"),
        (["--json-lines", "--output-details", "scores"], "did you mean 'score'"),
        (
            ["--min-new-tokens", "5", "--max-new-tokens", "4"],
            "--min-new-tokens: 5 is more than the maximum output length of 4",
        ),
        (
            ["--min-new-tokens", "8", "--max-length-ratio", "0.1", "--max-source-length", "50"],
            "8 is more than the maximum output length of 5 tokens (--max-length-ratio, of 50 source tokens)",
        ),
        (["--min-length-ratio", "2", "--max-length-ratio", "1"], "--min-length-ratio: 2.0 is more than --max-length"),
        (["--length-penalty", "1000", "--num-beams", "2"], "--length-penalty: 1000.0 is too large; the maximum is 20"),
        (["--length-penalty", "-1000", "--num-beams", "2"], "--length-penalty: -1000.0 is too small"),
        (["--length-penalty", "nan", "--num-beams", "2"], "--length-penalty: nan is not a finite number"),
        (["--max-length-ratio", "inf"], "--max-length-ratio: inf is not a finite number"),
        (["--max-tokens-per-batch", "4"], "--max-tokens-per-batch: 4 is too small"),
    ],
)
def test_flags_that_do_not_go_together(
    command, model_folder: Path, tmp_path: Path, flags: list[str], message: str
) -> None:
    if "OTHER" in flags:
        other = Path(shutil.copytree(model_folder, tmp_path / "other"))
        text = (other / "tokenizer.json").read_text()
        (other / "tokenizer.json").write_text(text.replace('"dog"', '"dig"'))
        flags = ["--ensemble", str(other)]
    result = command("generate", model_folder, "the dog runs home", *flags)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.splitlines()) <= 2
    assert result.out == ""


def test_only_choices(command, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a cat\nthe dog\nred house\n")
    flags = ["--choices", tmp_path / "list.txt"]
    every = command("generate", model_folder, *TEXTS, *flags, "--num-return-sequences", 3).out.splitlines()
    assert [sorted(every[3 * row : 3 * row + 3]) for row in range(3)] == [["a cat", "red house", "the dog"]] * 3
    assert command("generate", model_folder, *TEXTS, *flags).out.splitlines() == every[::3]
    refused = command("generate", model_folder, *TEXTS, "--choices", tmp_path / "none.txt")
    assert (refused.code, "none.txt: No such file or directory" in refused.err) == (2, True)


def test_outputs_begin_as_a_column_says(command, model_folder: Path, tmp_path: Path) -> None:
    given = [{"question": text, "begin": begin} for text, begin in zip(TEXTS, ["red cat", "", "a"], strict=True)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    flags = ["--input-file", tmp_path / "in.jsonl", "--target-prefix-column", "begin"]
    found = command("generate", model_folder, *flags, "--num-beams", 2).out.splitlines()
    assert [text.startswith(row["begin"]) for text, row in zip(found, given, strict=True)] == [True] * 3
    (tmp_path / "in.jsonl").write_text(json.dumps({"question": "a", "begin": "日本"}) + "\n")
    refused = command("generate", model_folder, *flags)
    assert (refused.code, refused.out, "'日本' has characters or words that are not in" in refused.err) == (2, "", True)
    refused = command("generate", model_folder, "a cat", "--target-prefix-column", "begin")
    assert (refused.code, "--target-prefix-column needs --input-file" in refused.err) == (2, True)
    refused = command("generate", model_folder, *flags, "--split", "sentences")
    assert (refused.code, "--split and --target-prefix-column: give only one of them" in refused.err) == (2, True)
