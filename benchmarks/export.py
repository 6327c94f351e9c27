"""A model compared with its exports to CTranslate2, float32 and int8: CPU time and BLEU of the same sentences.

    pip install 'hf-seq2seq[export]'
    python benchmarks/export.py outputs/learning/multi30k-transformer     # about a minute

Needs a model trained on Multi30k from German to English, such as `python benchmarks/learning.py multi30k transformer`
leaves, and `multi30k/test_2016_flickr.{de,en}.gz` in $HF_SEQ2SEQ_DATA or ../shared/data. Measured are the CPU seconds
of encoding and search in one thread, as the command `generate` does them, medians of rounds in turn.
"""

import argparse
import gzip
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from machine import describe, table

DATA = Path(os.environ.get("HF_SEQ2SEQ_DATA", Path(__file__).parents[2] / "shared" / "data")) / "multi30k"
ENGINES = ("hf-seq2seq generate", "--engine ctranslate2, float32", "--engine ctranslate2, int8")


def main() -> None:
    """Exports, measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained model")
    parser.add_argument("--rounds", type=int, default=3, help="times that each contender runs")
    parser.add_argument("--sentences", type=int, default=200, help="of the test set")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sources, references = (lines(f"test_2016_flickr.{side}.gz", options.sentences) for side in ("de", "en"))
    print(describe(), f"{options.rounds} rounds, one thread", sep="\n", end="\n\n")
    with tempfile.TemporaryDirectory() as folder:
        places = [options.model, *(export(options.model, Path(folder) / kind, kind) for kind in ("float32", "int8"))]
        rows = [row for beams in (1, 5) for row in measure(places, beams, sources, references, options.rounds)]
    print(table(["", "beams", "CPU s", "times as fast", "BLEU", "equal outputs"], rows))


def lines(name: str, count: int) -> list[str]:
    """The first lines of a compressed file."""
    with gzip.open(DATA / name, "rt", encoding="utf-8") as stream:
        return [line.rstrip("\n") for line, _ in zip(stream, range(count), strict=False)]


def export(model: str, folder: Path, quantization: str) -> str:
    """Exports by the command, and says what it says."""
    command = [sys.executable, "-m", "hf_seq2seq", "export", model, str(folder), "--quantization", quantization]
    subprocess.run([*command, "--check-rows", "200"], check=True)
    return str(folder)


def measure(places: list[str], beams: int, sources: list[str], references: list[str], rounds: int) -> list[list[str]]:
    """A row a contender."""
    from hf_seq2seq.metrics.bleu import bleu

    generators = [generator(place, beams) for place in places]
    seconds: list[list[float]] = [[] for _ in places]
    outputs: list[list[str]] = [[] for _ in places]
    for _ in range(rounds):
        for number, generate in enumerate(generators):
            started = time.process_time()
            outputs[number] = generate(sources)
            seconds[number].append(time.process_time() - started)
    rows = []
    for name, found, spent in zip(ENGINES, outputs, seconds, strict=True):
        score = bleu(found, [[text] for text in references])["bleu"]
        same = sum(text == other for text, other in zip(found, outputs[0], strict=True))
        median = statistics.median(spent)
        ratio = f"{statistics.median(seconds[0]) / median:.1f}"
        rows.append([name, str(beams), f"{median:.2f}", ratio, f"{score:.2f}", f"{same} of {len(found)}"])
    return rows


def generator(place: str, beams: int) -> Any:
    """What decodes a folder, a model's or an export's."""
    from hf_seq2seq.configs import Decoding
    from hf_seq2seq.decoding.ctranslate2_engine import CTranslate2TextGenerator
    from hf_seq2seq.decoding.ctranslate2_loading import load_ctranslate2
    from hf_seq2seq.decoding.text_generator import TextGenerator
    from hf_seq2seq.saved.loading import load_seq2seq
    from hf_seq2seq.saved.model_paths import REPORT_FILE

    exported = (Path(place) / REPORT_FILE).is_file()
    model, tokenizers, settings = (load_ctranslate2 if exported else load_seq2seq)(place)
    kind: Any = CTranslate2TextGenerator if exported else TextGenerator
    lengths = (settings.max_target_length, settings.max_source_length)
    return kind(model, tokenizers, Decoding(num_beams=beams), *lengths)


if __name__ == "__main__":
    main()
