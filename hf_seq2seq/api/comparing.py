"""Comparison of systems from Python; flags are named as on the command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_seq2seq.api.flags import canonical_values, divided
from hf_seq2seq.data.given_rows import given
from hf_seq2seq.decoding.search_options import check_search
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.compared_rows import CompareRequest
from hf_seq2seq.evaluation.compared_systems import ComparedSystem, check_systems, read_run_place
from hf_seq2seq.evaluation.comparison_options import CompareConfig
from hf_seq2seq.evaluation.scored_files import Texts
from hf_seq2seq.reports.comparing import Comparison, compare_systems
from hf_seq2seq.sections import build

if TYPE_CHECKING:
    from hf_seq2seq.decoding.generation import Advance

Outputs = str | Path | Sequence[str]
"""A folder of a run, a file of predictions or a Hub id; or the texts."""


def compare(
    systems: Mapping[str, Outputs | Sequence[Outputs]] | Sequence[str | Path],
    references: Any = None,
    *,
    progress: "Advance | None" = None,
    **flags: Any,
) -> Comparison:
    """Compares systems on the same test rows, like `hf-seq2seq compare`.

    Args:
        systems: runs, files or Hub ids; or by name also texts, or the runs of several seeds, which are `Path`s or
            lists of texts in a list.
        references: a text, or a list of texts, per row, or a file; by default the test rows of the runs.
        progress: called with the number of rows that a model has finished since the last call.
        **flags: of `compare`: `metrics`, `test_file`, `num_beams`, `output_dir` and so on.

    Returns:
        The `figures`, the `table` as Markdown, and the `page`.

    Raises:
        InputError: as on the command line, with the same message.
    """
    rows, typed = divided(flags)
    values = canonical_values(CompareConfig, typed)
    if isinstance(references, str | Path):
        values |= {"references": str(references)}
    with given(rows):
        config = build(CompareConfig, values, origin="compare")
        check_search(config.decoding, values)
        encoding = config.rows.encoding or "utf-8"
        found = [_system(name, runs, encoding) for name, runs in _named(systems).items()]
        return compare_systems(CompareRequest(check_systems(found), config, values, progress, _texts(references)))


def _named(systems: Any) -> dict[str, Any]:
    if isinstance(systems, Mapping):
        return dict(systems)
    if isinstance(systems, str | Path):
        raise InputError(f"systems: one place, {systems}; give a list of two or more")
    return {str(place): place for place in systems}


def _system(name: str, runs: Any, encoding: str) -> ComparedSystem:
    if isinstance(runs, str | Path):
        return ComparedSystem(name, [read_run_place(str(runs), encoding)])
    several = [run for run in runs if isinstance(run, Path) or not isinstance(run, str)]
    if not several:
        return ComparedSystem(name, [read_run_place(Texts(name, list(runs)), encoding)])
    places = [str(run) if isinstance(run, str | Path) else Texts(name, list(run)) for run in runs]
    return ComparedSystem(name, [read_run_place(place, encoding) for place in places])


def _texts(references: Any) -> Texts | None:
    if references is None or isinstance(references, str | Path):
        return None
    return Texts("references", [list(item) if isinstance(item, tuple) else item for item in references])
