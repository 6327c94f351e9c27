"""`hf-seq2seq vectors`: train word vectors; nearest words and analogies."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_seq2seq.baselines.vector_options import Options
from hf_seq2seq.cli.commands import make_group
from hf_seq2seq.cli.flags import with_flags
from hf_seq2seq.cli.options import Values
from hf_seq2seq.cli.output_paths import check_outputs
from hf_seq2seq.configs import PairData
from hf_seq2seq.sections import Section, build, option

if TYPE_CHECKING:
    from hf_seq2seq.baselines.vector_arithmetic import VectorSpace

File = Annotated[str, typer.Argument(metavar="FILE", help="Word vectors, in the text format of word2vec or GloVe.")]
Words = Annotated[list[str], typer.Argument(metavar="WORD...", help="Words of the vocabulary.")]
Questions = Annotated[
    str, typer.Argument(metavar="QUESTIONS", help="Four words a line; a line ': NAME' begins a section.")
]
Count = Annotated[int, typer.Option("--count", min=1, help="Words to show of each.")]


@dataclass(frozen=True, kw_only=True)
class Output(Section):
    """Output."""

    output_file: str = option("vectors.txt", "File of the vectors, in word2vec's text format.")


@dataclass(frozen=True)
class VectorsConfig:
    """The flags of `vectors train`."""

    output: Output = field(default_factory=Output)
    vectors: Options = field(default_factory=Options)
    data: PairData = field(default_factory=PairData)


def build_command(name: str, help: str) -> Any:
    """The group of commands."""
    train = with_flags(train_vectors, VectorsConfig)
    return make_group(name, help, {"train": train, "nearest": show_nearest, "analogies": answer_analogies})


def train_vectors(values: Values) -> None:
    """Train skip-gram or CBOW vectors on the training rows' text, and count their multiply-adds."""
    config = build(VectorsConfig, values, origin="vectors train")
    from hf_seq2seq.api.vectors import learn_vectors

    read = {f"{split}_file": getattr(config.data, f"{split}_file") for split in ("train", "validation", "test")}
    check_outputs([("output_file", Path(config.output.output_file).expanduser())], read)
    print(learn_vectors(config.output.output_file, config.vectors, config.data))


def show_nearest(file: File, words: Words, count: Count = 10) -> None:
    """Show the nearest words of each word, with their cosines."""
    space = _space(file)
    for word in words:
        for other, cosine in space.neighbours(word, count):
            print(f"{word}\t{other}\t{cosine:.4f}")


def answer_analogies(file: File, questions: Questions) -> None:
    """Answer questions such as `Athens Greece Oslo Norway`, and print the accuracy of every section."""
    from hf_seq2seq.baselines.vector_arithmetic import score_analogies

    for title, right, asked, unknown in score_analogies(_space(file), questions):
        share = f"{100 * right / asked:.1f}" if asked else "-"
        print(f"{title}\taccuracy {share}\t{right} of {asked} right\t{unknown} with unknown words left out")


def _space(file: str) -> "VectorSpace":
    from hf_seq2seq.baselines.vector_arithmetic import VectorSpace
    from hf_seq2seq.data.word_vectors import read_vectors

    return VectorSpace(*read_vectors(file))
