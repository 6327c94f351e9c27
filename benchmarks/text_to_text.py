"""Eight tasks as text to text: one T5 from scratch on their mixture, beside one model per task.

    python benchmarks/text_to_text.py                      # 10 CPU minutes per task and 80 for the mixture
    python benchmarks/text_to_text.py --minutes 2 --rows 2000
    python benchmarks/text_to_text.py mixture translate    # some of the models
    python benchmarks/text_to_text.py --report             # the table of what lies in outputs/text_to_text already

Translation (Multi30k, German to English), summaries (SciTLDR), replies (dialog bAbI, task 1), answers to questions on a
conversation (phones and addresses of dialog bAbI, task 5), question types (TREC) and sentiment (SST-2) as words,
pronunciation (French, SIGMORPHON 2021), inflection (English, CoNLL-SIGMORPHON 2017). The mixture and the models alone
have the same size, flags and CPU time in all. Needs $HF_SEQ2SEQ_DATA or ../shared/data.
"""

import argparse
import gzip
import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
OUTPUTS = Path("outputs/text_to_text")
Pair = tuple[str, str | list[str]]
MODEL = """t5 --from-scratch --max-source-length 192 --max-target-length 64 --max-tokens-per-batch 4096
    --lr-scheduler-type warmup_stable_decay --metric-for-best-model loss --bf16"""
SIZE = "--config-overrides d_model=256,d_kv=64,d_ff=1024,num_layers=3,num_heads=4 --vocab-size 8000"
VALIDATION_ROWS = 60  # of each task
SPLITS = ("train", "dev", "test")
TYPES = ("description", "entity", "abbreviation", "person", "location", "number")  # of TREC, in the order of its ids
SENTIMENTS = ("negative", "positive")


def lines(name: str, encoding: str = "utf-8") -> list[str]:
    """The lines of a data file."""
    content = (DATA / name).read_bytes()
    return (gzip.decompress(content) if name.endswith(".gz") else content).decode(encoding).splitlines()


def translate(split: str) -> Iterator[Pair]:
    name = {"train": "train", "dev": "val", "test": "test_2016_flickr"}[split]
    yield from zip(lines(f"multi30k/{name}.de.gz"), lines(f"multi30k/{name}.en.gz"), strict=True)


def summarize(split: str) -> Iterator[Pair]:
    for line in lines(f"scitldr/{split}.jsonl.gz"):
        row = json.loads(line)
        targets = row["target"] if isinstance(row["target"], list) else [row["target"]]
        yield " ".join(row["source"]), targets[:1] if split == "train" else targets


def turns(task: int, split: str) -> Iterator[list[tuple[str, str]]]:
    """The conversations of a task: what the user says, and the reply; facts from the knowledge base are left out."""
    name = {"train": "trn", "dev": "dev", "test": "tst"}[split]
    found: list[tuple[str, str]] = []
    for line in [*lines(f"dialogue/task{task}.{name}.txt.gz"), ""]:
        said, tab, reply = line.partition(" ")[2].partition("\t")
        if not line.strip():
            if found:
                yield found
            found = []
        elif tab:
            found.append((said.replace("<SILENCE>", "silence"), reply.replace("_", " ")))


def reply(split: str) -> Iterator[Pair]:
    for conversation in turns(1, split):
        history: list[str] = []
        for said, answer in conversation:
            history.append(said)
            yield " | ".join(history), answer
            history.append(answer)


def answer(split: str) -> Iterator[Pair]:
    for conversation in turns(5, split):
        history: list[str] = []
        for said, text in conversation:
            if text.startswith("here it is "):
                yield f"{said} context: {' | '.join(history[-9:])}", text.removeprefix("here it is ")
            history += [said, text]


def question(split: str) -> Iterator[Pair]:
    rows = lines(f"classification/TREC.{'test' if split == 'test' else 'train'}.all", "latin-1")
    tenth = {"train": [row for number, row in enumerate(rows) if number % 10], "dev": rows[::10], "test": rows}
    for row in tenth[split]:
        label, _, text = row.partition(" ")
        yield text, TYPES[int(label)]


def sentiment(split: str) -> Iterator[Pair]:
    for row in lines(f"classification/stsa.binary.{split}"):
        label, _, text = row.partition(" ")
        yield text, SENTIMENTS[int(label)]


def pronounce(split: str) -> Iterator[Pair]:
    for line in lines(f"g2p/fre_{split}.tsv"):
        word, _, sounds = line.partition("\t")
        yield " ".join(word), sounds


def inflect(split: str) -> Iterator[Pair]:
    name = {"train": "train-high", "dev": "dev", "test": "uncovered-test"}[split]
    for line in lines(f"inflection/english-{name}"):
        lemma, form, features = line.split("\t")
        yield f"{features.replace(';', ' ')} : {' '.join(lemma)}", " ".join(form)


TASKS: dict[str, tuple[Callable[[str], Iterator[Pair]], str, str]] = {
    "translate": (translate, "bleu", "bleu"),
    "summarize": (summarize, "rouge", "rougeL"),
    "reply": (reply, "exact_match", "exact_match"),
    "answer": (answer, "squad", "squad_exact_match"),
    "question": (question, "label_words", "label_accuracy"),
    "sentiment": (sentiment, "label_words", "label_accuracy"),
    "pronounce": (pronounce, "word_error_rate", "word_error_rate"),
    "inflect": (inflect, "exact_match", "exact_match"),
}
"""Of each task its rows, the metric, and the score that is reported."""


def prepare(folder: Path, training_rows: int | None, test_rows: int) -> None:
    """Writes every task's rows, and the mixture's file."""
    most = {"train": training_rows, "dev": min(VALIDATION_ROWS, test_rows), "test": test_rows}
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for name, (rows, metric, _) in TASKS.items():
        for split in SPLITS:
            found = list(rows(split))[: most[split]]
            content = "".join(json.dumps({"source": text, "target": target}) + "\n" for text, target in found)
            (folder / f"{name}-{split}.jsonl").write_text(content, encoding="utf-8")
        parts.append(
            "\n  ".join([f"{name}:", *files(folder, name), f'source_prefix: "{name}: "', f"metrics: [{metric}]"])
        )
    (folder / "tasks.yaml").write_text("\n".join(parts) + "\n", encoding="utf-8")


def files(folder: Path, name: str) -> list[str]:
    """The lines that name a task's files, for a mixture."""
    kinds = zip(("train", "validation", "test"), SPLITS, strict=True)
    return [f"{kind}_file: {folder / name}-{split}.jsonl" for kind, split in kinds]


def train(name: str, minutes: float, flags: str) -> None:
    """Trains a model on one task or on all of them."""
    folder = OUTPUTS / "data"
    if name == "mixture":
        rows = ["--mixture", str(folder / "tasks.yaml"), "--mixing", "temperature", "--mixing-temperature", "2"]
    else:
        rows = [f"--{line.replace('_file: ', '-file=')}" for line in files(folder, name)]
        rows += ["--source-prefix", f"{name}: ", "--metrics", TASKS[name][1]]
    warm_up = "200" if name == "mixture" else "50"  # of about 3,600 and 400 steps
    words = [*shlex.split(MODEL), *shlex.split(SIZE), *rows, "--warmup-steps", warm_up]
    words += ["--max-cpu-time", f"{minutes:g}m", *shlex.split(flags)]
    command = ["hf-seq2seq", "train", *words, "--output-dir", str(OUTPUTS / name), "--overwrite-output-dir"]
    print(shlex.join(command), flush=True)
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def results(name: str) -> dict[str, float]:
    path = OUTPUTS / name / "all_results.json"
    return json.loads(path.read_text()) if path.exists() else {}


def row(name: str) -> list[str]:
    """A task's line: its score in the mixture and alone, and for labels how many outputs are no label."""
    key = TASKS[name][2]
    scores = [(results("mixture"), f"predict_{name}_"), (results(name), "predict_")]
    found = [f"{own[start + key]:.1f}" if start + key in own else "" for own, start in scores]
    outside = [f"{100 - own[f'{start}label_share']:.1f}" for own, start in scores if f"{start}label_share" in own]
    return [f"{name}, {key}", *found, " / ".join(outside)]


def main() -> None:
    """Trains what is asked for and prints a table of test scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of mixture, {', '.join(TASKS)}; all by default")
    parser.add_argument("--minutes", type=float, default=10, help="CPU minutes per task; the mixture has their sum")
    parser.add_argument("--rows", type=int, help="at most so many training rows of each task")
    parser.add_argument("--test-rows", type=int, default=1000, help="the same for the test rows")
    parser.add_argument("--flags", default="", help="more flags of all trainings")
    parser.add_argument("--report", action="store_true", help="train nothing, print what was reached")
    options = parser.parse_args()
    names = options.names or ["mixture", *TASKS]
    if unknown := [name for name in names if name not in ("mixture", *TASKS)]:
        parser.error(f"{unknown[0]!r} is no task")
    if not options.report:
        prepare(OUTPUTS / "data", options.rows, options.test_rows)
        for name in names:
            train(name, options.minutes * (len(TASKS) if name == "mixture" else 1), options.flags)
    print(describe(), end="\n\n")
    print(
        table(["test set, score", "mixture", "alone", "outputs outside the labels, %"], [row(name) for name in TASKS])
    )


if __name__ == "__main__":
    main()
