"""CPU seconds of short commands: until the help is on the screen, of 100 lines scored, of one sentence generated.

    python benchmarks/startup.py     # a few minutes

Each command is measured in fresh processes, in turn with what it is compared with, after one round that warms the
disk's cache: `evaluate` against sacreBLEU's own command with the same metrics, `generate` against a script that calls
transformers alone, on a model of T5-small's shape with random weights. The tables hold medians, and of pairs the
median of the rounds' ratios.
"""

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe, table

HELP = ("--help", "train --help", "train rnn --help", "evaluate --help")
LINES, WORDS, TOKENS = 100, 20, 20
SENTENCE = "the dog runs"
BARE = """
import sys
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForSeq2SeqLM.from_pretrained(sys.argv[1]).eval()
outputs = model.generate(**tokenizer(sys.argv[2], return_tensors="pt"), max_new_tokens=int(sys.argv[3]))
print(tokenizer.decode(outputs[0], skip_special_tokens=True))
"""
OURS = [sys.executable, "-m", "hf_seq2seq"]


def main() -> None:
    """Measures each command several times and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="times that each command is measured")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder))
        helps = {f"`hf-seq2seq {words}`": [*OURS, *words.split()] for words in HELP}
        commands = helps | {name: command for pair in pairs for name, command in pair.items()}
        found = measure(commands, rounds)
    print(describe(), f"{rounds} rounds", sep="\n", end="\n\n")
    print(table(["", "CPU s", "range"], [shown(name, found[name]) for name in helps]), end="\n\n")
    rows = []
    for ours, theirs in (tuple(pair) for pair in pairs):
        ratio = statistics.median(a / b for a, b in zip(found[ours], found[theirs], strict=True))
        rows += [[*shown(ours, found[ours]), f"{ratio:.2f}"], [*shown(theirs, found[theirs]), "1"]]
    print(table(["", "CPU s", "range", "ratio"], rows))


def make_pairs(folder: Path) -> list[dict[str, list[str]]]:
    """Writes two files, a model and a script; gives our commands, each with what it is compared with."""
    said, true = write_texts(folder)
    model = write_model(folder, true)
    (folder / "bare.py").write_text(BARE)
    metrics = ["--predictions", str(said), "--references", str(true), "--metrics", "bleu,chrf"]
    sacrebleu = ["-m", "sacrebleu", str(true), "-i", str(said), "-m", "bleu", "chrf"]
    write = ["generate", model, SENTENCE, "--max-new-tokens", str(TOKENS)]
    return [
        {"`evaluate --metrics bleu,chrf`": [*OURS, "evaluate", *metrics], "`sacrebleu`": [sys.executable, *sacrebleu]},
        {
            "`generate`": [*OURS, *write],
            "transformers": [sys.executable, str(folder / "bare.py"), model, SENTENCE, str(TOKENS)],
        },
    ]


def write_texts(folder: Path) -> tuple[Path, Path]:
    """Lines of random words, and the same with a few words changed."""
    drawn = random.Random(0)
    words = ["the", "a", "small", "big", "red", "green", "house", "dog", "cat", "runs", "sees", "likes", "old", "tree"]
    true = [[drawn.choice(words) for _ in range(WORDS)] for _ in range(LINES)]
    said = [[drawn.choice(words) if drawn.random() < 0.2 else word for word in line] for line in true]
    paths = folder / "said.txt", folder / "true.txt"
    for path, lines in zip(paths, (said, true), strict=True):
        path.write_text("".join(f"{' '.join(line)}\n" for line in lines))
    return paths


def write_model(folder: Path, texts: Path) -> str:
    """A model of T5-small's shape with random weights, and a tokenizer of words."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    from hf_seq2seq.configs import NewTokenizer
    from hf_seq2seq.data.tokenizers.vocabulary import train_tokenizers

    lines = texts.read_text().splitlines()
    tokenizers = train_tokenizers(lines, [], NewTokenizer(tokenizer_type="word", max_source_length=64))
    torch.manual_seed(0)
    ids = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    T5ForConditionalGeneration(T5Config(vocab_size=32128, **ids)).save_pretrained(folder / "model")
    tokenizers.save(folder / "model")
    return str(folder / "model")


def measure(commands: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of every command in every round but the first, which is not counted."""
    found: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            seconds = cpu_seconds(command)
            if number:
                found[name].append(seconds)
    return found


def cpu_seconds(command: list[str]) -> float:
    """Runs a command; gives the user's and the system's CPU time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, env=_environment())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _environment() -> dict[str, str]:
    """This process's, but that modules are compiled once, as in an installed package."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def shown(name: str, seconds: list[float]) -> list[str]:
    """A row of the table."""
    return [name, f"{statistics.median(seconds):.3f}", f"{min(seconds):.3f}–{max(seconds):.3f}"]


if __name__ == "__main__":
    main()
