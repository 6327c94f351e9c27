"""Metrics that read the sources, through the commands."""

import json
from pathlib import Path

TEXTS = ["the small dog", "a big house runs", "green"]


def test_files_are_scored_with_their_sources(command, comet_checkpoint, tmp_path: Path) -> None:
    for name, lines in {"mine": TEXTS, "theirs": TEXTS[::-1], "sources": ["der hund", "ein haus", "rot"]}.items():
        (tmp_path / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    files = {name: f"{tmp_path / name}.txt" for name in ("mine", "theirs", "sources")}
    comet, kiwi = f"comet:{comet_checkpoint('regression_metric')}", None
    kiwi = f"cometkiwi:{comet_checkpoint('unified_metric', input_segments=['mt', 'src'])}"
    line = ["evaluate", "--predictions", files["mine"], "--json"]
    both = ["--references", files["theirs"], "--sources", files["sources"]]
    found = json.loads(command(*line, *both, "--metrics", f"{comet},{kiwi}", "--confidence", 95).out)
    assert found["comet_low"] <= found["comet"] <= found["comet_high"]
    assert "licence:cc-by-nc-sa-4.0" in found["signatures"][comet]
    alone = json.loads(command(*line, "--sources", files["sources"], "--metrics", kiwi).out)
    assert alone["cometkiwi"] == found["cometkiwi"]
    lacking = command(*line, "--references", files["theirs"], "--metrics", comet)
    assert (lacking.code, "reads the sources; add --sources FILE" in lacking.err) == (2, True)
    lacking = command(*line, "--sources", files["sources"], "--metrics", comet)
    assert (lacking.code, "--predictions needs --references: comet:" in lacking.err) == (2, True)
    (tmp_path / "sources.txt").write_text("der hund\n")
    short = command(*line, *both, "--metrics", kiwi)
    assert (short.code, "sources.txt: 1 sources for 3" in short.err) == (2, True)


def test_a_model_is_scored_and_searched_by_them(command, model_folder: Path, comet_checkpoint, tmp_path: Path) -> None:
    kiwi = f"cometkiwi:{comet_checkpoint('unified_metric', input_segments=['mt', 'src'])}"
    rows = [{"source": text} for text in TEXTS]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scored = command("evaluate", model_folder, "--test-file", tmp_path / "test.jsonl", "--metrics", kiwi, "--json")
    assert scored.code == 0, scored.err
    draw = ["--do-sample", "--temperature", 3, "--num-return-sequences", 5]
    every = command("generate", model_folder, *TEXTS, *draw).out.splitlines()
    chosen = command("generate", model_folder, *TEXTS, *draw, "--mbr-metric", kiwi)
    assert chosen.code == 0, chosen.err
    assert all(text in every[5 * row : 5 * row + 5] for row, text in enumerate(chosen.out.splitlines()))
    flags = ["--test-file", tmp_path / "test.jsonl", *draw, "--mbr-metric", kiwi, "--metrics", kiwi, "--json"]
    best = json.loads(command("evaluate", model_folder, *flags).out)["cometkiwi"]
    assert best > json.loads(scored.out)["cometkiwi"]
