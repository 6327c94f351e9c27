"""Korean words read by syllables and by letters: word error rates of `rnn` after the same CPU time.

    pip install wordfreq phonemizer-fork espeakng-loader
    python benchmarks/hangul.py --max-cpu-time 3m

The words are the most frequent ones of wordfreq, the pronunciations those of eSpeak NG, which follow rules: without the
letters of a syllable, its sounds have to be learned for each of some thousand syllables.
"""

import argparse
import json
import random
import subprocess
from pathlib import Path

from machine import describe, table

WORDS = 20_000
SPLITS = {"train": 8_000, "validation": 1_000, "test": 1_000}


def main() -> None:
    """Makes the rows, trains both, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-cpu-time", default="3m", help="of each training")
    parser.add_argument("--output-dir", type=Path, default=Path("outputs/hangul"))
    options = parser.parse_args()
    files = write_rows(options.output_dir)
    rows = []
    for form, title in (("nfc", "syllables"), ("nfd", "letters")):
        folder = options.output_dir / form
        flags = ["--source-normalization", form, "--max-cpu-time", options.max_cpu_time, "--bf16", "--seed", "1"]
        command = ["hf-seq2seq", "train", "rnn", *files, *flags, "--output-dir", str(folder), "--overwrite-output-dir"]
        subprocess.run(command, check=True)
        scores = json.loads((folder / "all_results.json").read_text())
        shown = [f"{scores[f'{split}_word_error_rate']:.1f}" for split in ("eval", "predict")]
        rows.append([title, *shown])
    print(describe(), end="\n\n")
    print(table(["read by", "word error rate, validation", "test"], rows))


def write_rows(folder: Path) -> list[str]:
    """Writes words with their phonemes as three files; returns the flags that name them."""
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper
    from phonemizer.separator import Separator
    from wordfreq import top_n_list

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    frequent = top_n_list("ko", 3 * WORDS)
    words = [word for word in frequent if len(word) > 1 and all("가" <= letter <= "힣" for letter in word)][:WORDS]
    engine = EspeakBackend("ko", language_switch="remove-flags")
    said = engine.phonemize(words, separator=Separator(phone=" ", word=" | ", syllable=""), strip=True)
    rows = [f"{word}\t{sounds}\n" for word, sounds in zip(words, said, strict=True) if sounds.strip()]
    random.Random(0).shuffle(rows)
    folder.mkdir(parents=True, exist_ok=True)
    flags: list[str] = []
    for split, count in SPLITS.items():
        (folder / f"{split}.tsv").write_text("".join(rows[:count]), "utf-8")
        rows = rows[count:]
        flags += [f"--{split}-file", str(folder / f"{split}.tsv")]
    return flags


if __name__ == "__main__":
    main()
