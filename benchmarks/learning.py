"""What small models from scratch learn: pronunciation and translation, by the commands that this script runs.

    python benchmarks/learning.py g2p                  # both models, about an hour of one core
    python benchmarks/learning.py multi30k attention   # one model
    python benchmarks/learning.py multi30k --report    # the table of what lies in outputs/learning already

g2p: spelling to phonemes, eng_us of SIGMORPHON 2021 task 1; word error rate on the test set, for which the task's
organisers published 41.94 (baseline). multi30k: German to English, test2016; BLEU of all sentences and by the length
of the source. Needs `g2p/` and `multi30k/` in $HF_SEQ2SEQ_DATA or ../shared/data.
"""

import argparse
import gzip
import json
import math
import os
import resource
import shlex
import subprocess
from pathlib import Path

from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
OUTPUTS = Path("outputs/learning")
G2P = """--train-file g2p/eng_us_train.tsv --validation-file g2p/eng_us_dev.tsv --test-file g2p/eng_us_test.tsv
    --source-column 1 --target-column 2 --tokenizer-type char --target-tokenizer-type word --max-source-length 32
    --max-target-length 32 --metrics word_error_rate,phoneme_error_rate --metric-for-best-model word_error_rate
    --label-smoothing-factor 0.1"""
MULTI30K = """--train-file multi30k/train.de.gz,multi30k/train.en.gz --source-lang de --target-lang en
    --validation-file multi30k/val.de.gz,multi30k/val.en.gz --max-target-length 80 --metrics bleu,chrf
    --test-file multi30k/test_2016_flickr.de.gz,multi30k/test_2016_flickr.en.gz --metric-for-best-model bleu
    --label-smoothing-factor 0.1"""
RNN = """--hidden-size 512 --embedding-size 256 --max-tokens-per-batch 2560 --learning-rate 1e-3
    --lr-scheduler-type cosine --warmup-steps 200"""
TASKS = {
    "g2p": {
        "lstm": f"""rnn {G2P} --attention general --hidden-size 384 --embedding-size 192 --encoder-layers 2
            --dropout 0.4 --max-tokens-per-batch 1600 --learning-rate 2e-3 --lr-scheduler-type cosine --warmup-steps 100
            --num-train-epochs 30""",
        "transformer": f"""transformer {G2P} --d-model 256 --position-embedding-type rotary --dropout 0.3
            --no-tie-word-embeddings --max-tokens-per-batch 3200 --learning-rate 1.5e-3 --lr-scheduler-type cosine
            --warmup-steps 400 --num-train-epochs 40 --eval-steps 885 --per-device-eval-batch-size 256 --bf16""",
    },
    "multi30k": {
        "none": f"""rnn {MULTI30K} {RNN} --num-train-epochs 8 --cell lstm --attention none --decoder-start transfer
            --dropout 0.3""",
        "context": f"""rnn {MULTI30K} {RNN} --num-train-epochs 8 --cell lstm --attention none --context-feeding
            --dropout 0.4""",
        "attention": f"""rnn {MULTI30K} {RNN} --num-train-epochs 10 --cell gru --decoder-style bahdanau
            --attention additive --dropout 0.4""",
        "transformer": f"""transformer {MULTI30K} --num-train-epochs 14 --max-tokens-per-batch 3584 --learning-rate 1e-3
            --lr-scheduler-type inverse_sqrt --warmup-steps 400 --dropout 0.3 --bf16""",
    },
}
BUCKETS = ((1, 9), (10, 12), (13, 15), (16, 99))  # words of the source


def main() -> None:
    """Trains what is asked for and prints a table of test scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("models", nargs="*", help="some of the task's models; all by default")
    parser.add_argument("--report", action="store_true", help="train nothing, print what was reached")
    options = parser.parse_args()
    names = options.models or list(TASKS[options.task])
    if unknown := [name for name in names if name not in TASKS[options.task]]:
        parser.error(f"{unknown[0]!r} is not a model of {options.task}: {', '.join(TASKS[options.task])}")
    rows = []
    for name in names:
        folder = OUTPUTS / f"{options.task}-{name}"
        if not options.report:
            train(TASKS[options.task][name], folder)
        if (folder / "all_results.json").exists():
            rows.append([name, *score(options.task, name, folder)])
    print(describe(), end="\n\n")
    print(table(["", *heads(options.task)], rows))


def train(flags: str, folder: Path) -> None:
    """Runs one command and notes its CPU time."""
    words = shlex.split(flags)
    words = [",".join(str(DATA / part) for part in word.split(",")) if "/" in word else word for word in words]
    command = ["hf-seq2seq", "train", *words, "--output-dir", str(folder), "--overwrite-output-dir"]
    print(shlex.join(command), flush=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    (folder / "cpu_seconds.json").write_text(json.dumps(seconds))


def heads(task: str) -> list[str]:
    """The columns of the table."""
    if task == "g2p":
        return ["parameters", "CPU minutes", "word error rate", "phoneme error rate"]
    return ["parameters", "CPU minutes", "BLEU", *(f"{least}–{most} words" for least, most in BUCKETS)]


def score(task: str, name: str, folder: Path) -> list[str]:
    """A model's row; the beam is 5 wide, and 10 where that was better on the validation set."""
    from safetensors import safe_open

    beams = ["--num-beams", "10" if name == "none" else "5"]
    with safe_open(folder / "model.safetensors", "pt") as weights:
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
    size = sum(math.prod(shape) for shape in shapes)
    seconds = folder / "cpu_seconds.json"
    spent = f"{json.loads(seconds.read_text()) / 60:.0f}" if seconds.exists() else "?"
    row = [f"{size / 1e6:.1f} M", spent]
    if task == "g2p":
        command = ["hf-seq2seq", "evaluate", str(folder), "--test-file", str(DATA / "g2p/eng_us_test.tsv"), "--json"]
        found = json.loads(subprocess.run([*command, *beams], check=True, stdout=subprocess.PIPE, text=True).stdout)
        return row + [f"{found[f'{unit}_error_rate']:.2f}" for unit in ("word", "phoneme")]
    written = folder / "beam.txt"
    command = ["hf-seq2seq", "generate", str(folder), "--input-file", str(DATA / "multi30k/test_2016_flickr.de.gz")]
    subprocess.run([*command, *beams, "--output-file", str(written)], check=True)
    return [*row, *bleu_by_length(written)]


def bleu_by_length(predictions: Path) -> list[str]:
    """BLEU of all sentences, then of those whose source has so many words."""
    from sacrebleu.metrics import BLEU

    written = predictions.read_text(encoding="utf-8").splitlines()
    sources, references = (
        gzip.decompress((DATA / f"multi30k/test_2016_flickr.{side}.gz").read_bytes()).decode().splitlines()
        for side in ("de", "en")
    )
    scores = []
    for least, most in ((0, 10**6), *BUCKETS):
        rows = [row for row, source in enumerate(sources) if least <= len(source.split()) <= most]
        found = BLEU().corpus_score([written[row] for row in rows], [[references[row] for row in rows]])
        scores.append(f"{found.score:.1f}" + (f" ({len(rows)})" if least else ""))
    return scores


if __name__ == "__main__":
    main()
