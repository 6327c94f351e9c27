"""What one model of many languages is worth: Multi30k in English, German and French, six directions in one Transformer.

    python benchmarks/multilingual.py                             # all models that are not done yet
    python benchmarks/multilingual.py --per-direction 10m         # CPU time of training for each direction of a model
    python benchmarks/multilingual.py --only many --only de-en    # some of them
    python benchmarks/multilingual.py --report                    # the table of what lies in outputs/multilingual

`many` learns all six directions, each of `de-en` and so on one alone, and `zero-shot` the four with English, so that
German to French and back are directions that it never saw. All have the same size and flags, and train as long per
direction. Test: test2016, BLEU by direction. Needs `multi30k/` in $HF_SEQ2SEQ_DATA or ../shared/data.

Paper: Johnson et al., 2017, https://aclanthology.org/Q17-1024
"""

import argparse
import json
import os
import shlex
from itertools import permutations
from pathlib import Path

import machine
from machine import describe, table

from hf_seq2seq.time_limits import seconds_of

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data")) / "multi30k"
OUTPUTS = Path("outputs/multilingual")
DIRECTIONS = tuple(f"{source}-{target}" for source, target in permutations(("en", "de", "fr"), 2))
THROUGH_ENGLISH = tuple(name for name in DIRECTIONS if "en" in name)
MODELS = {"many": DIRECTIONS, "zero-shot": THROUGH_ENGLISH, **{name: (name,) for name in DIRECTIONS}}
"""The directions that each model learns."""
FLAGS = """--tokenizer-type bpe --vocab-size 10000 --d-model 256 --encoder-layers 3 --decoder-layers 3 --dropout 0.2
    --max-tokens-per-batch 3584 --learning-rate 1e-3 --lr-scheduler-type warmup_stable_decay --warmup-steps 400
    --label-smoothing-factor 0.1 --max-target-length 80 --bf16 --num-beams 5 --eval-beams 1 --metrics bleu
    --metric-for-best-model bleu --num-train-epochs 100 --overwrite-output-dir"""
VALIDATION_ROWS = 100


def main() -> None:
    """Trains the models that are not done, and prints their scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-direction", default="10m", help="CPU time of training for each direction of a model")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--flags", default="", help="more flags of all trainings")
    parser.add_argument("--only", action="append", choices=tuple(MODELS), help="one model; may be given several times")
    parser.add_argument("--report", action="store_true", help="run nothing, print what was reached")
    options = parser.parse_args()
    if not options.report:
        for name in options.only or MODELS:
            run(name, options)
    print(describe(), end="\n\n")
    print(report(options.seed))


def folder_of(name: str, seed: str) -> Path:
    """Where a model and its cost lie."""
    return OUTPUTS / f"{name}-{seed}"


def run(name: str, options: argparse.Namespace) -> None:
    """Trains a model, scores it in directions that it did not learn, and notes its CPU time; skips what is done."""
    folder = folder_of(name, options.seed)
    if (folder / "cost.json").exists():
        return
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    learned = MODELS[name]
    limit = f"{seconds_of('per_direction', options.per_direction) * len(learned):.0f}s"
    common = [*shlex.split(FLAGS), "--seed", options.seed, "--max-cpu-time", limit, "--output-dir", str(folder)]
    seconds = call(["train", "transformer", *rows_of(name, learned), *common, *shlex.split(options.flags)])
    for direction in DIRECTIONS if name == "zero-shot" else ():
        if direction not in learned:
            call(evaluation(folder, direction), folder / f"{direction}.json")
    (folder / "cost.json").write_text(json.dumps(seconds))


def files(source: str, target: str) -> dict[str, str]:
    """The files of a direction by the option that names them."""
    names = {"train_file": "train", "validation_file": "val", "test_file": "test_2016_flickr"}
    return {option: f"{DATA}/{name}.{source}.gz,{DATA}/{name}.{target}.gz" for option, name in names.items()}


def rows_of(name: str, directions: tuple[str, ...]) -> list[str]:
    """The flags that name the rows of a model; several directions are tasks of a mixture."""
    tasks = []
    for direction in directions:
        source, target = direction.split("-")
        rows = files(source, target) | {"source_lang": source, "target_lang": target}
        rows["max_eval_samples"] = str(VALIDATION_ROWS)
        if len(directions) == 1:
            return [word for option, value in rows.items() for word in (f"--{option}", value)]
        tasks.append(f"{direction}:\n" + "".join(f"  {option}: {value}\n" for option, value in rows.items()))
    path = OUTPUTS / f"{name}.yaml"
    path.write_text("".join(tasks), encoding="utf-8")
    return ["--mixture", str(path)]


def evaluation(folder: Path, direction: str) -> list[str]:
    """The command that scores a model in a direction."""
    source, target = direction.split("-")
    languages = ["--source-lang", source, "--target-lang", target]
    return ["evaluate", str(folder), "--test-file", files(source, target)["test_file"], *languages, "--json"]


def call(words: list[str], output: Path | None = None) -> float:
    """Runs a command, whose standard output may go to a file; returns its CPU seconds."""
    return machine.run(["hf-seq2seq", *words], output)[0]


def scores_of(name: str, seed: str) -> dict[str, float]:
    """The test BLEU of a model by direction, as far as it is known."""
    folder = folder_of(name, seed)
    if not (folder / "cost.json").exists():
        return {}
    found = json.loads((folder / "all_results.json").read_text())
    known = {direction: found.get(f"predict_{direction}_bleu") for direction in MODELS[name]}
    if len(known) == 1:
        known[name] = found["predict_bleu"]
    for direction in DIRECTIONS:
        if (folder / f"{direction}.json").exists():
            known[direction] = json.loads((folder / f"{direction}.json").read_text())["bleu"]
    return {direction: score for direction, score in known.items() if score is not None}


def report(seed: str) -> str:
    """The scores of every direction: one model of six, six models of one, and the model that learned four."""
    many, four = scores_of("many", seed), scores_of("zero-shot", seed)
    single = {name: score for direction in DIRECTIONS for name, score in scores_of(direction, seed).items()}
    rows = []
    for direction in DIRECTIONS:
        mark = "" if direction in THROUGH_ENGLISH else " (not learned)"
        cells = [f"{scores[direction]:.1f}" if direction in scores else "" for scores in (many, single, four)]
        rows.append([direction, cells[0], cells[1], cells[2] + mark * bool(cells[2])])
    means = [sum(scores.values()) / 6 if len(scores) == 6 else None for scores in (many, single, four)]
    rows.append(["mean", *("" if mean is None else f"{mean:.1f}" for mean in means)])
    costs = [cost(["many"], seed), cost(DIRECTIONS, seed), cost(["zero-shot"], seed)]
    rows.append(["parameters", *(size for size, _ in costs)])
    rows.append(["CPU minutes", *(minutes for _, minutes in costs)])
    return table(["", "one model", "six models", "one model of four directions"], rows)


def cost(names: list[str] | tuple[str, ...], seed: str) -> tuple[str, str]:
    """Parameters of all models together, and the CPU minutes of their trainings, as far as they are done."""
    done = [folder_of(name, seed) for name in names if (folder_of(name, seed) / "cost.json").exists()]
    if not done:
        return "", ""
    from safetensors import safe_open

    size = 0
    for folder in done:
        with safe_open(folder / "model.safetensors", "pt") as weights:
            size += sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118
    minutes = sum(json.loads((folder / "cost.json").read_text()) for folder in done) / 60
    return f"{size / 1e6:.1f} M", f"{minutes:.0f}"


if __name__ == "__main__":
    main()
