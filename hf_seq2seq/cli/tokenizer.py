"""`hf-seq2seq tokenizer`: train one from files, and show how one splits a text."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_seq2seq.cli.commands import make_group
from hf_seq2seq.cli.flags import with_flags
from hf_seq2seq.cli.options import Values
from hf_seq2seq.configs import NewTokenizer, PairData
from hf_seq2seq.errors import InputError, shorten
from hf_seq2seq.folders import check_folder, fill_folder
from hf_seq2seq.sections import Section, build, option

if TYPE_CHECKING:
    from hf_seq2seq.data.splits import Splits


@dataclass(frozen=True, kw_only=True)
class Output(Section):
    """Output."""

    output_dir: str = option("outputs/tokenizer", "Folder to save to; a separate target tokenizer is in a subfolder.")
    overwrite_output_dir: bool = option(False, "Replace a tokenizer already in the folder.")


@dataclass(frozen=True)
class TokenizerConfig:
    """The flags of `tokenizer train`."""

    output: Output = field(default_factory=Output)
    data: PairData = field(default_factory=PairData)
    tokens: NewTokenizer = field(default_factory=NewTokenizer)


def build_command(name: str, help: str) -> Any:
    """The group of commands."""
    return make_group(name, help, {"train": with_flags(train_tokenizer, TokenizerConfig), "show": show_pieces})


def train_tokenizer(values: Values) -> None:
    """Train a tokenizer on the training rows: pairs, or a file with one column of text."""
    config = build(TokenizerConfig, values, origin="tokenizer train")
    folder = Path(config.output.output_dir)
    check_folder(folder, config.output.overwrite_output_dir)
    if not config.data.train_file and not config.data.dataset_name:
        raise InputError("tokenizer train: give --train-file or --dataset-name")
    from hf_seq2seq.data.mapped.texts import sampled
    from hf_seq2seq.data.sources import load_splits
    from hf_seq2seq.data.tabbed_text import split_at_tabs
    from hf_seq2seq.data.tokenizers.unknown import lacks_spaces, no_spaces, reads_words
    from hf_seq2seq.data.tokenizers.vocabulary import TARGET_FOLDER, train_tokenizers

    sources, targets = _texts(load_splits(config.data, arrange=split_at_tabs), config.data)
    tokenizers = train_tokenizers(sampled(sources), sampled(targets), config.tokens)
    sides = {"source": (tokenizers.source, sources), "target": (tokenizers.target, targets)}
    for side in [side for side, (read, texts) in sides.items() if reads_words(read) and lacks_spaces(texts)]:
        print(no_spaces(side), file=sys.stderr)
    with fill_folder(folder, stale=(TARGET_FOLDER,)) as draft:
        tokenizers.save(draft)
    sizes = {len(tokenizers.source), len(tokenizers.target)}
    print(f"{folder}: {' and '.join(f'{size:,}' for size in sorted(sizes))} pieces from {len(sources):,} rows")


def _texts(splits: "Splits", data: PairData) -> tuple[Sequence[str], Sequence[str]]:
    """Sources and targets of the training rows; no targets if the rows have one column of text."""
    from hf_seq2seq.data.cells import row_sample
    from hf_seq2seq.data.columns.finding import text_columns
    from hf_seq2seq.data.pairs import read_pairs

    train = splits["train"]
    both = len(text_columns(train.column_names, row_sample(train))) != 1
    pairs = read_pairs(splits.only(["train"]), data, need_target=both)["train"]
    return pairs.sources, pairs.targets if both else []


def show_pieces(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Folder of a tokenizer or a model, or a Hub id.")],
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Texts to split.")],
    target: Annotated[
        bool, typer.Option("--target", help="Use the separate target tokenizer, if there is one.")
    ] = False,
) -> None:
    """Show the pieces and ids of a text."""
    for text in texts:
        if not text.isascii() and any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
            raise InputError(f"tokenizer show: {shorten(repr(text))} is not UTF-8 text")
    from hf_seq2seq.data.tokenizers.shown import readable_pieces
    from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
    from hf_seq2seq.saved.loading import explained

    with explained(path):
        tokenizers = Tokenizers.load(path)
    tokenizer = tokenizers.target if target else tokenizers.source
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        for piece, number in zip(readable_pieces(tokenizer, ids), ids, strict=True):
            print(f"{number}\t{piece}")
