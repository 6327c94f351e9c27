"""SPICE: agreement of the propositions of two texts, as tuples of a scene graph: objects, attributes, relations.

The original scene-graph parser is a Java program, which this package neither ships nor starts. A file with a function
`parse` takes its place: `--metrics spice:my_parser.py`.

Paper: Anderson et al. 2016, SPICE: semantic propositional image caption evaluation, https://arxiv.org/abs/1607.08822
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from hf_seq2seq.errors import InputError
from hf_seq2seq.metrics.metric import Metric, Scores, TextRows, averaged, check_rows

Parse = Callable[[str], Iterable[Hashable]]


def _f1(said: set[Hashable], wanted: set[Hashable]) -> float:
    return 2 * len(said & wanted) / (len(said) + len(wanted)) if said or wanted else 0.0


def _rows(parse: Parse, predictions: Sequence[str], references: TextRows) -> np.ndarray:
    check_rows(predictions, references)
    pairs = zip(predictions, references, strict=True)
    # The tuples of all references of a row form one graph, as in section 3.1 of the paper.
    return np.array(
        [100 * _f1(set(parse(text)), {fact for each in row for fact in parse(each)}) for text, row in pairs]
    )


def spice(predictions: Sequence[str], references: TextRows, parse: Parse) -> Scores:
    """Mean SPICE over rows, 0-100: F1 between the tuples of the prediction and those of all its references.

    Args:
        predictions: one text per row.
        references: one or more texts per row.
        parse: returns the tuples of a text, such as `("dog",)`, `("dog", "brown")`, `("dog", "chase", "cat")`. Tuples
            match if they are equal; to let synonyms match, a parser gives them one name.
    """
    return averaged(partial(_rows, parse), True, ("spice",)).compute(predictions, references)


@lru_cache
def make_spice(argument: str = "") -> Metric:
    """The metric with the function `parse` of a Python file.

    Raises:
        InputError: no file is given, or it cannot be used.
    """
    if not argument:
        raise InputError(
            "metric 'spice' needs a scene-graph parser, which is a Java program and not part of this package; "
            "--metrics spice:FILE.py takes the function parse(text) of a file"
        )
    return averaged(partial(_rows, _load(Path(argument))), True, ("spice",), signature=lambda _: f"parser:{argument}")


def _load(file: Path) -> Parse:
    if not file.is_file():
        raise InputError(f"metric 'spice': there is no file {str(file)!r}")
    names: dict[str, Parse] = {}
    try:
        exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), names)
    except Exception as error:  # the file may fail in any way
        raise InputError(f"metric 'spice': {str(file)!r} fails: {type(error).__name__}: {error}") from error
    if not callable(names.get("parse")):
        raise InputError(f"metric 'spice': {str(file)!r} has no function parse(text)")
    return names["parse"]
