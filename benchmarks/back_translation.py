"""What back-translation is worth: 2,000 pairs of Multi30k, and 27,000 sentences of the target side alone.

    python benchmarks/back_translation.py                      # all steps that are not done yet
    python benchmarks/back_translation.py --flags "--d-model 128" --only reverse   # a smaller model, one step
    python benchmarks/back_translation.py --report             # the table of what lies in outputs/back_translation

The first 2,000 pairs, German to English, train a model, and one in the reverse direction; that one translates the
English side of the other 27,000 pairs back, and the pairs train another model. Test: test2016, BLEU. Needs `multi30k/`
in $HF_SEQ2SEQ_DATA or ../shared/data.
"""

import argparse
import gzip
import json
import os
import shlex
from pathlib import Path

import machine
from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data")) / "multi30k"
OUTPUTS = Path("outputs/back_translation")
PAIRS = 2_000
FILES = {
    "validation": "{data}/val.{source}.gz,{data}/val.{target}.gz",
    "test": "{data}/test_2016_flickr.{source}.gz,{data}/test_2016_flickr.{target}.gz",
}
TRAIN = "train transformer --seed {seed} --overwrite-output-dir --source-lang {source} --target-lang {target}"
STEPS = {
    "2,000 pairs": ("de", "en", "--train-file {here}/real.de,{here}/real.en"),
    "reverse": ("en", "de", "--train-file {here}/real.en,{here}/real.de"),
    "back-translate": (
        "de",
        "en",
        "back-translate {here}/reverse-{seed} --input-file {here}/mono.en --output-file {here}/synthetic-{seed}.jsonl "
        "--source-lang de --target-lang en --seed {seed} --train-file {here}/real.de,{here}/real.en "
        "--upsample {upsample} --mixed-file {here}/mixed-{seed}.jsonl --against {data}/test_2016_flickr.en.gz",
    ),
    "2,000 pairs and 27,000 back-translated": (
        "de",
        "en",
        "--train-file {here}/mixed-{seed}.jsonl --added-tokens <BT>",
    ),
}
"""The languages of each step, and its flags besides those of all trainings; or its whole command."""


def main() -> None:
    """Runs the steps that are not done, and prints their scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--upsample", default="4", help="how often each real pair is among the synthetic ones")
    parser.add_argument(
        "--flags", default="", help="more flags of all trainings; by default all is chosen for the rows"
    )
    parser.add_argument("--reverse-flags", default="", help="more flags of the reverse model's training")
    parser.add_argument("--report", action="store_true", help="run nothing, print what was reached")
    parser.add_argument("--only", action="append", choices=tuple(STEPS), help="one step; may be given several times")
    options = parser.parse_args()
    if not options.report:
        write_files()
        for name in options.only or STEPS:
            run(name, options)
    print(describe(), end="\n\n")
    rows = [row for name in STEPS if (row := report(name, options.seed))]
    print(table(["", "validation BLEU", "test BLEU", "CPU minutes"], rows))


def write_files() -> None:
    """The real pairs and the monolingual text, as files."""
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    for language in ("de", "en"):
        with gzip.open(DATA / f"train.{language}.gz", "rt", encoding="utf-8") as stream:
            lines = stream.readlines()
        (OUTPUTS / f"real.{language}").write_text("".join(lines[:PAIRS]), encoding="utf-8")
        if language == "en":
            (OUTPUTS / "mono.en").write_text("".join(lines[PAIRS:]), encoding="utf-8")


def folder_of(name: str, seed: str) -> Path:
    """Where a step's model or cost lies."""
    return OUTPUTS / f"{name.replace(',', '').replace(' ', '-')}-{seed}"


def run(name: str, options: argparse.Namespace) -> None:
    """Runs a step and notes its CPU time; skips what is done."""
    source, target, flags = STEPS[name]
    folder = folder_of(name, options.seed)
    if (folder / "cost.json").exists():
        return
    command = flags
    if flags.startswith("--"):
        roles = FILES if name != "reverse" else ["validation"]
        evaluation = " ".join(f"--{role}-file {FILES[role]}" for role in roles)
        command = f"{TRAIN} {flags} {evaluation} --output-dir {folder} {options.flags}"
        command += f" {options.reverse_flags}" if name == "reverse" else ""
    places = {"here": OUTPUTS, "data": DATA, "source": source, "target": target, "seed": options.seed}
    words = ["hf-seq2seq", *shlex.split(command.format(**places, upsample=options.upsample))]
    seconds, _ = machine.run(words)
    folder.mkdir(exist_ok=True)
    (folder / "cost.json").write_text(json.dumps(seconds))


def report(name: str, seed: str) -> list[str]:
    """The row of a step; empty if it was not run."""
    folder = folder_of(name, seed)
    if not (folder / "cost.json").exists():
        return []
    minutes = f"{json.loads((folder / 'cost.json').read_text()) / 60:.1f}"
    results = folder / "all_results.json"
    found = json.loads(results.read_text()) if results.exists() else {}
    scores = [f"{found[key]:.1f}" if key in found else "" for key in ("eval_bleu", "predict_bleu")]
    return [name, *scores, minutes]


if __name__ == "__main__":
    main()
