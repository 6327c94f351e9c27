"""Word vectors learned from the training rows and written to a file."""

import time
from pathlib import Path

from hf_seq2seq.baselines.vector_options import Options
from hf_seq2seq.configs import PairData
from hf_seq2seq.errors import InputError


def learn_vectors(output_file: str, options: Options, data: PairData) -> str:
    """Learns word vectors of the rows' text, in lower case, and writes them.

    Args:
        output_file: appears when all is written, in word2vec's text format.
        options: how they are learned.
        data: where the rows come from; of pairs the source is read, or what `source_column` names.

    Returns:
        What was done, with the multiply-adds of the forward pass per training word next to the papers' formula.

    Raises:
        InputError: rows that cannot be read, too few words, none of them beside another, or a file that cannot be
            written.
    """
    from hf_seq2seq.baselines.word_vectors import formula, train
    from hf_seq2seq.data.documents import read_documents
    from hf_seq2seq.data.word_vectors import write_vectors
    from hf_seq2seq.metrics.words import words

    path = Path(output_file).expanduser()
    started = time.perf_counter()
    documents = read_documents(data)[0]["train"]
    vocabulary, vectors, operations = train([words(text) for text in documents], options)
    try:
        write_vectors(path, vocabulary, vectors)
    except OSError as error:
        raise InputError(f"--output-file {output_file}: cannot be written: {error.strerror}") from None
    counted = operations.counted / max(operations.words, 1)
    return (
        f"{output_file}: {len(vocabulary):,} words, vectors of {options.vector_size}, in "
        f"{time.perf_counter() - started:.0f} s\n"
        f"multiply-adds per training word: {counted:,.0f} counted, {formula(options, len(vocabulary)):,.0f} by formula"
    )
