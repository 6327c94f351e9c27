"""Pieces that the tokenizers of a checkpoint learn from texts of a run."""

import sys
from pathlib import Path

from hf_seq2seq.configs import RunConfig
from hf_seq2seq.data.files.lines import line_rows
from hf_seq2seq.data.files.text_files import check_file
from hf_seq2seq.data.tokenizers.extending import extend_tokenizer
from hf_seq2seq.data.tokenizers.vocabulary import Tokenizers
from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import section_of
from hf_seq2seq.training.processes import rank
from hf_seq2seq.training.resuming import resume_point
from hf_seq2seq.training_options import VocabularyUpdate

OPTION = "--update-vocabulary"


def update_vocabulary(tokenizers: Tokenizers, config: RunConfig) -> dict[str, dict[str, list[int]]]:
    """Lets the tokenizers learn new pieces from the files that are named, and says what they gain.

    Those of a resumed run have learned them.

    Args:
        tokenizers: modified in place.
        config: the recipe's configuration.

    Returns:
        By side, the ids of old pieces for each new one; as of `old_pieces`.

    Raises:
        InputError: a file cannot be read, there are more files than vocabularies, or a tokenizer cannot be extended.
    """
    options = section_of(config, VocabularyUpdate)
    if options is None or not options.update_vocabulary or resume_point(config.run):
        return {}
    files = options.update_vocabulary
    sides = {"source": tokenizers.source, "target": tokenizers.target}
    sides = {"target": tokenizers.target} if tokenizers.shared else sides
    if len(files) > len(sides):
        count = "one vocabulary" if tokenizers.shared else "two vocabularies"
        raise InputError(f"{OPTION}: {len(files)} files, but {count}; join them in one file")
    found = {}
    for side, file in zip(sides, files * (len(sides) // len(files)), strict=True):
        growth = extend_tokenizer(sides[side], _texts(file), options.new_pieces)
        found[side] = growth.new
        if not rank():
            change = f"{growth.before:.2f} tokens per word before, {growth.after:.2f} with them"
            print(f"{OPTION} {file}: {len(growth.new):,} new pieces; {change}", file=sys.stderr)
    return dict.fromkeys(("source", "target"), found["target"]) if tokenizers.shared else found


def _texts(file: str) -> list[str]:
    check_file(Path(file).expanduser())
    texts = [line for (line,) in line_rows((Path(file).expanduser(),), "utf-8") if line.strip()]
    if not texts:
        raise InputError(f"{OPTION} {file}: contains no text")
    return texts
