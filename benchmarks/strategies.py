"""What a training strategy is worth: test scores, training cost and peak memory beside cross-entropy on the same rows.

    python benchmarks/strategies.py --list
    python benchmarks/strategies.py g2p/cross_entropy g2p/scheduled_sampling --seeds 1,2,3
    python benchmarks/strategies.py g2p-ita/one_vector --flags "--max-steps 800"     # more flags of all trainings
    python benchmarks/strategies.py --report           # the table of what lies in outputs/strategies already

A name is DATA/SETTING; what a setting starts from (`{cross_entropy}` in its commands) is trained first, with the same
seed and flags, unless it lies there already. Needs $HF_SEQ2SEQ_DATA or ../shared/data.
"""

import argparse
import json
import os
import re
import shlex
import statistics
from dataclasses import dataclass
from pathlib import Path

import machine
from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
OUTPUTS = Path("outputs/strategies")


@dataclass(frozen=True)
class Rows:
    """A data set: recipe and files, and the score that is reported."""

    command: str
    score: str


@dataclass(frozen=True)
class Setting:
    """A way to train. In every command `{other}` is the folder of another setting on the same data, `{here}` its own.

    Attributes:
        flags: added to the command of the data set; without the data's own recipe and files if it begins with one.
        before: commands that run first, counted in the cost.
        data: the names of data sets that it is tried on; all by default.
    """

    flags: str = ""
    before: tuple[str, ...] = ()
    data: tuple[str, ...] = ()


def _split_files(pattern: str) -> str:
    splits = (("train", "train"), ("validation", "dev"), ("test", "test"))
    return " ".join(f"--{split}-file {pattern.format(name)}" for split, name in splits)


MULTI30K = """transformer --train-file multi30k/train.de.gz,multi30k/train.en.gz --source-lang de --target-lang en
    --validation-file multi30k/val.de.gz,multi30k/val.en.gz
    --test-file multi30k/test_2016_flickr.de.gz,multi30k/test_2016_flickr.en.gz"""
ROWS = {
    "g2p": Rows(f"rnn {_split_files('g2p/eng_us_{}.tsv')}", "predict_word_error_rate"),
    "g2p-fre": Rows(f"rnn {_split_files('g2p/fre_{}.tsv')}", "predict_word_error_rate"),
    "g2p-ita": Rows(f"rnn {_split_files('g2p/ita_{}.tsv')}", "predict_word_error_rate"),
    "multi30k-2000": Rows(f"{MULTI30K} --max-train-samples 2000", "predict_bleu"),
    "multi30k": Rows(MULTI30K, "predict_bleu"),
}
HALF_RNN = "--hidden-size 192 --embedding-size 96"
FROM_TRAINED = "--model-name-or-path {cross_entropy} --num-train-epochs 3 --learning-rate 1e-4"
PHONEMES = ("g2p", "g2p-fre", "g2p-ita")
TRANSLATIONS = ("multi30k-2000", "multi30k")
REWARDS = {
    "cross_entropy_continued": "",
    "minimum_risk": "--loss-type minimum_risk --loss-args samples=8,alpha=0.3,metric={}",
    "self_critical": "--loss-type self_critical --loss-args samples=8,metric={}",
    "rloo": "--loss-type self_critical --loss-args samples=8,baseline=rloo,metric={}",
    "preference": "--loss-type preference --loss-args samples=8,metric={}",
}
SETTINGS = {
    "cross_entropy": Setting(),
    # A student of half the teacher's width, alone and taught. The distributions are those of a teacher without label
    # smoothing, which would leave little in them besides the label.
    "unsmoothed": Setting("--label-smoothing-factor 0", data=("g2p",)),
    "half": Setting(HALF_RNN, data=("g2p",)),
    "half_on_distributions": Setting(
        f"{HALF_RNN} --loss-type distillation --loss-args teacher={{unsmoothed}},weight=0.9,temperature=2",
        data=("g2p",),
    ),
    "half_on_outputs": Setting(
        f"{HALF_RNN} --train-file {{here}}.jsonl --source-column 1 --target-column 2",
        before=("distill {cross_entropy} --train-file g2p/eng_us_train.tsv --output-file {here}.jsonl",),
        data=("g2p",),
    ),
    "curriculum_length": Setting("--curriculum competence --difficulty length"),
    "curriculum_rarity": Setting("--curriculum competence --difficulty rarity"),
    "baby_steps": Setting("--curriculum baby_steps --difficulty length"),
    "r_drop": Setting("--r-drop 1"),
    "unlikelihood": Setting("--unlikelihood 0.2"),
    "scheduled_sampling": Setting("--loss-type scheduled_sampling"),
    "scheduled_sampling_best": Setting("--loss-type scheduled_sampling --loss-args choice=argmax"),
    "scheduled_sampling_gentle": Setting("--loss-type scheduled_sampling --loss-args schedule=linear,minimum=0.75"),
    "scheduled_sampling_sequence": Setting("--loss-type scheduled_sampling --loss-args coin=sequence"),
    "coverage": Setting("--coverage-weight 0.5"),
    "length": Setting("--length-weight 0.1"),
    "smoothing_of_others": Setting("--label-smoothing-type others"),
    "average": Setting("--ema-decay 0.99"),
    # Subword regularization: segmentations are sampled again in every epoch.
    "bpe_dropout": Setting("--bpe-dropout 0.1", data=TRANSLATIONS),
    "bpe_dropout_of_sources": Setting("--bpe-dropout 0.1 --subword-sides source", data=TRANSLATIONS),
    "unigram": Setting("--tokenizer-type unigram", data=TRANSLATIONS),
    "unigram_sampling": Setting("--tokenizer-type unigram --unigram-sampling 0.2", data=TRANSLATIONS),
    "unigram_sampling_of_sources": Setting(
        "--tokenizer-type unigram --unigram-sampling 0.2 --subword-sides source", data=TRANSLATIONS
    ),
    "one_vector": Setting("--attention none --context-feeding"),
    **{
        f"compression_{weight}": Setting(f"--attention none --context-feeding --compression-weight {weight}")
        for weight in ("0.0001", "0.001", "0.01", "0.03", "0.1", "0.3")
    },
    # As its authors used it: after training, for a short time.
    "coverage_continued": Setting(f"{FROM_TRAINED} --coverage-weight 0.5"),
    # Longer training of what cross-entropy reached, on phoneme error rate or on BLEU.
    **{
        f"{name}{suffix}": Setting(f"{FROM_TRAINED} {flags.format(metric)}", data=data)
        for suffix, metric, data in (("", "phoneme_error_rate", PHONEMES), ("_bleu", "bleu", TRANSLATIONS))
        for name, flags in REWARDS.items()
    },
}


def main() -> None:
    """Runs the named settings for every seed, and prints a table of test scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="DATA/SETTING")
    parser.add_argument("--seeds", default="1,2,3", help="separated by commas")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--report", action="store_true", help="train nothing, print what was reached")
    parser.add_argument("--flags", default="", help="more flags of all trainings")
    options = parser.parse_args()
    known = [f"{data}/{name}" for data in ROWS for name, own in SETTINGS.items() if data in (own.data or ROWS)]
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"{unknown[0]!r} is no setting; --list names them")
    if options.list:
        print(*known, sep="\n")
        return
    for name in [] if options.report else options.names:
        for seed in options.seeds.split(","):
            train(name, seed, options.flags)
    print(describe(), end="\n\n")
    heads = ["", "score", "median", "each seed", "CPU minutes", "x cross-entropy", "peak GiB", "context KL"]
    rows = [row for name in known if (row := report(name))]
    shown = len(heads) if any(row[-1] for row in rows) else -1
    print(table(heads[:shown], [row[:shown] for row in rows]))


def folder_of(name: str, seed: str) -> Path:
    """Where a setting's run lies."""
    return OUTPUTS / f"{name.replace('/', '-')}-{seed}"


def runs_of(name: str) -> list[Path]:
    """The runs of a setting that lie there, by seed."""
    start = folder_of(name, "").name
    found = [folder for folder in OUTPUTS.glob(f"{start}*") if folder.name.removeprefix(start).isdigit()]
    return sorted(found, key=lambda folder: int(folder.name.removeprefix(start)))


def train(name: str, seed: str, flags: str = "") -> None:
    """Runs the commands of one setting, after what it starts from, and notes their cost; skips what is done."""
    folder = folder_of(name, seed)
    data, _, kind = name.partition("/")
    setting = SETTINGS[kind]
    for other in dict.fromkeys(re.findall(r"\{(\w+)\}", " ".join((setting.flags, *setting.before)))):
        if other != "here" and not (folder_of(f"{data}/{other}", seed) / "cost.json").exists():
            train(f"{data}/{other}", seed, flags)
    places = {other: str(folder_of(f"{data}/{other}", seed)) for other in SETTINGS} | {"here": str(folder)}
    given = f"{ROWS[data].command} {setting.flags} {flags} --seed {seed}"
    final = f"train {given} --output-dir {{here}} --overwrite-output-dir"
    commands = [command.format(**places) for command in (*setting.before, final)]
    if (folder / "cost.json").exists():
        if json.loads((folder / "cost.json").read_text())["commands"] != commands:
            raise SystemExit(f"{folder}: was trained by other flags; delete it to train it again")
        return
    costs = [_run(command) for command in commands]
    seconds, memory = sum(cost[0] for cost in costs), max(cost[1] for cost in costs)
    cost = {"cpu_seconds": seconds, "peak_bytes": memory, "commands": commands}
    (folder / "cost.json").write_text(json.dumps(cost))


def _run(command: str) -> tuple[float, int]:
    """Runs a command of the toolkit; its CPU seconds and its peak memory in bytes."""
    return machine.run(["hf-seq2seq", *map(_placed, shlex.split(command))])


def _placed(word: str) -> str:
    """A word of a command with its files in the data's folder."""
    parts = [str(DATA / part) if (DATA / part).exists() else part for part in word.split(",")]
    return ",".join(parts) if "/" in word else word


def report(name: str) -> list[str]:
    """The row of a table for the seeds that were run; empty without any."""
    data = name.partition("/")[0]
    key, scores, costs, ratios = ROWS[data].score, [], [], []
    for folder in runs_of(name):
        if (folder / "cost.json").exists():
            scores.append(json.loads((folder / "all_results.json").read_text())[key])
            costs.append(json.loads((folder / "cost.json").read_text()))
            plain = folder_of(f"{data}/cross_entropy", folder.name.rpartition("-")[2]) / "cost.json"
            if plain.exists():
                ratios.append(costs[-1]["cpu_seconds"] / json.loads(plain.read_text())["cpu_seconds"])
    if not scores:
        return []
    minutes = statistics.median(cost["cpu_seconds"] for cost in costs) / 60
    ratio = f"{statistics.median(ratios):.2f}" if ratios else ""
    memory = max(cost["peak_bytes"] for cost in costs) / 2**30
    each = ", ".join(f"{score:.1f}" for score in scores)
    title = key.removeprefix("predict_").replace("_", " ")
    row = [name, title, f"{statistics.median(scores):.1f}", each, f"{minutes:.1f}", ratio, f"{memory:.1f}"]
    return [*row, context_kl(name)]


def context_kl(name: str) -> str:
    """What passes through the context at the end, in nats per source, median over seeds; empty if it is not logged."""
    found = []
    for folder in runs_of(name):
        lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
        found += [line["context_kl"] for line in lines if "context_kl" in line][-1:]
    return f"{statistics.median(found):.2f}" if found else ""


if __name__ == "__main__":
    main()
