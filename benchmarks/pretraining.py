"""What pretraining on raw text is worth: T5, BART and PEGASUS fine-tuned from what they learned, and from nothing.

    python benchmarks/pretraining.py                # all, about three hours of one core
    python benchmarks/pretraining.py bart           # one family
    python benchmarks/pretraining.py --report       # the table of what lies in outputs/pretraining already

Each family is pretrained by its own objective on raw text: T5 and BART on the German and English sentences of Multi30k,
all but the pairs that they are fine-tuned on, and on the abstracts of SciTLDR; PEGASUS, which needs sentences to leave
out, on the abstracts. Then it is fine-tuned on 1,000 pairs of Multi30k (German to English) and on SciTLDR (abstract to
one sentence), once from the pretrained weights and once from random ones, with the same tokenizer and the same flags.
Needs `multi30k/` and `scitldr/` in $HF_SEQ2SEQ_DATA or ../shared/data.
"""

import argparse
import gzip
import json
import os
import random
import shlex
import subprocess
from pathlib import Path

from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
OUTPUTS = Path("outputs/pretraining")
PAIRS = 1000  # of Multi30k that are fine-tuned on
SIZES = {
    "t5": "d_model=256,d_kv=64,d_ff=1024,num_layers=3,num_decoder_layers=3,num_heads=4",
    "bart": "d_model=256,encoder_layers=3,decoder_layers=3,encoder_ffn_dim=1024,decoder_ffn_dim=1024",
    "pegasus": "d_model=256,encoder_layers=3,decoder_layers=3,encoder_ffn_dim=1024,decoder_ffn_dim=1024",
}
PRETRAIN = """--lr-scheduler-type inverse_sqrt --warmup-steps 400 --bf16 --eval-steps 1000
    --validation-split-percentage 1"""
# T5's embeddings start at a standard deviation of 1, its queries under 0.01: its steps are in proportion to them.
T5 = "--optim adafactor --scale-parameter"
ADAMW = "--optim adamw --no-gradient-checkpointing"
OBJECTIVES = {
    "t5": f"""{T5} --objective span_corruption --mlm-probability 0.5 --max-tokens-per-batch 2048 --learning-rate 2e-2
        --num-train-epochs 5""",
    "bart": f"""{ADAMW} --objective text_infilling --mlm-probability 0.3 --max-tokens-per-batch 2048
        --learning-rate 1e-3 --num-train-epochs 3""",
    "pegasus": f"""{ADAMW} --objective gap_sentences --gap-masked-tokens --max-tokens-per-batch 1024
        --learning-rate 1e-3 --num-train-epochs 8""",
}
FINE_TUNE = "--warmup-steps 100 --bf16 --label-smoothing-factor 0.1"
RATES = {
    "t5": f"{T5} --learning-rate 1e-2",
    "bart": f"{ADAMW} --learning-rate 5e-4",
    "pegasus": f"{ADAMW} --learning-rate 5e-4",
}
LENGTHS = {  # T5 learns slowly from few pairs: smaller steps, and more of them
    ("t5", "translation"): "--max-tokens-per-batch 1024 --num-train-epochs 60 --eval-steps 250",
    ("bart", "translation"): "--max-tokens-per-batch 2048 --num-train-epochs 30",
    ("t5", "summarization"): "--max-tokens-per-batch 2048 --num-train-epochs 6",
    ("bart", "summarization"): "--max-tokens-per-batch 2048 --num-train-epochs 6",
    ("pegasus", "summarization"): "--max-tokens-per-batch 2048 --num-train-epochs 6",
}
TASKS = {
    "translation": """--max-source-length 64 --max-target-length 64 --metrics bleu --metric-for-best-model bleu""",
    "summarization": """--max-source-length 256 --max-target-length 64 --metrics rouge
        --metric-for-best-model rougeL""",
}
FAMILIES = {"t5": tuple(TASKS), "bart": tuple(TASKS), "pegasus": ("summarization",)}


def main() -> None:
    """Pretrains and fine-tunes what is asked for and prints a table of test scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", help="some of t5, bart, pegasus; all by default")
    parser.add_argument("--report", action="store_true", help="train nothing, print what was reached")
    options = parser.parse_args()
    families = options.families or list(FAMILIES)
    if unknown := [name for name in families if name not in FAMILIES]:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(FAMILIES)}")
    if not options.report:
        write_data(OUTPUTS / "data")
        for family in families:
            train_family(family)
    rows = [row for family in families for task in FAMILIES[family] for row in scores(family, task)]
    print(describe(), end="\n\n")
    print(table(["test set, 95 % interval", "model", "from nothing", "pretrained"], rows))


def write_data(folder: Path) -> None:
    """Writes the raw texts and the pairs as plain files."""
    folder.mkdir(parents=True, exist_ok=True)
    multi30k = {
        (split, side): gzip.decompress((DATA / f"multi30k/{split}.{side}.gz").read_bytes()).decode().splitlines()
        for split in ("train", "val", "test_2016_flickr")
        for side in ("de", "en")
    }
    for (split, side), lines in multi30k.items():
        write_lines(folder / f"translation_{split}.{side}", lines[:PAIRS] if split == "train" else lines)
    abstracts = {}
    for split in ("train", "dev", "test"):
        text = gzip.decompress((DATA / f"scitldr/{split}.jsonl.gz").read_bytes()).decode()
        rows = [json.loads(line) for line in text.splitlines()]
        abstracts[split] = [" ".join(row["source"]) for row in rows]
        summaries = [row["target"][0] if split == "train" else row["target"] for row in rows]
        pairs = zip(abstracts[split], summaries, strict=True)
        lines = [json.dumps({"source": source, "target": target}) for source, target in pairs]
        write_lines(folder / f"summarization_{split}.jsonl", lines)
    sentences = [line for side in ("de", "en") for line in multi30k["train", side][PAIRS:]]
    both = [*sentences, *abstracts["train"]]
    random.Random(0).shuffle(both)
    write_lines(folder / "both.txt", both)
    write_lines(folder / "abstracts.txt", abstracts["train"])


def write_lines(path: Path, lines: list[str]) -> None:
    """A line a text."""
    path.write_text("".join(" ".join(line.split()) + "\n" for line in lines), encoding="utf-8")


def train_family(family: str) -> None:
    """Pretrains, then fine-tunes on each task from the pretrained weights and from random ones."""
    data, pretrained = OUTPUTS / "data", OUTPUTS / family
    raw = data / ("abstracts.txt" if family == "pegasus" else "both.txt")
    size = f"--from-scratch --config-overrides {SIZES[family]}"
    train(f"{family} {size} --train-file {raw} {OBJECTIVES[family]} {PRETRAIN}", pretrained)
    for task in FAMILIES[family]:
        files = task_files(data, task)
        flags = f"{family} {files} {FINE_TUNE} {RATES[family]} {TASKS[task]} {LENGTHS[family, task]}"
        train(f"{flags} --model-name-or-path {pretrained}", OUTPUTS / f"{family}-{task}-pretrained")
        train(f"{flags} {size} --tokenizer-name {pretrained}", OUTPUTS / f"{family}-{task}-scratch")


def task_files(data: Path, task: str) -> str:
    """The flags that name the files of a task."""
    if task == "summarization":
        names = zip(("train", "validation", "test"), ("train", "dev", "test"), strict=True)
        return " ".join(f"--{flag}-file {data}/summarization_{name}.jsonl" for flag, name in names)
    names = zip(("train", "validation", "test"), ("train", "val", "test_2016_flickr"), strict=True)
    files = [f"--{flag}-file {data}/translation_{name}.de,{data}/translation_{name}.en" for flag, name in names]
    return " ".join([*files, "--source-lang de --target-lang en"])


def train(flags: str, folder: Path) -> None:
    """Runs one command, unless its folder holds a finished run."""
    command = ["hf-seq2seq", "train", *shlex.split(flags), "--output-dir", str(folder), "--overwrite-output-dir"]
    print(shlex.join(command), flush=True)
    if not (folder / "all_results.json").exists():
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def scores(family: str, task: str) -> list[list[str]]:
    """A row a metric: the scores of both models, where both are trained."""
    folders = [OUTPUTS / f"{family}-{task}-{start}" for start in ("scratch", "pretrained")]
    if not all((folder / "all_results.json").exists() for folder in folders):
        return []
    columns = []
    for folder in folders:
        command = ["hf-seq2seq", "evaluate", str(folder), "--num-beams", "4", "--confidence", "95", "--json"]
        columns.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    test = {"translation": "Multi30k test2016", "summarization": "SciTLDR test"}[task]
    metrics = [name.removesuffix("_low") for name in columns[0] if name.endswith("_low")]
    return [[f"{test}, {name}", family, *(interval(found, name) for found in columns)] for name in metrics]


def interval(found: dict[str, float], name: str) -> str:
    """A score and its interval."""
    return f"{found[name]:.1f} ({found[f'{name}_low']:.1f}–{found[f'{name}_high']:.1f})"


if __name__ == "__main__":
    main()
