"""The sizes that keep this code readable: see "Marks" in CONTRIBUTING.md."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Functions that may take more arguments, each with its reason.
MANY_ARGUMENTS = {
    "hf_seq2seq/sections.py:option": "a keyword for each thing that an option may have",
    "hf_seq2seq/architectures/modeling_rnn.py:RnnModel.forward": "transformers calls a model by these names",
    "hf_seq2seq/architectures/modeling_rnn.py:RnnForConditionalGeneration.forward": "the same",
    "hf_seq2seq/architectures/modeling_transformer.py:TransformerModel.forward": "the same",
    "hf_seq2seq/architectures/modeling_transformer.py:TransformerForConditionalGeneration.forward": "the same",
    "hf_seq2seq/architectures/encoders.py:RnnEncoder.forward": "the same",
    "hf_seq2seq/architectures/transformer_encoder.py:TransformerEncoder.forward": "the same",
    "hf_seq2seq/architectures/modeling_transformer_decoder.py:TransformerDecoderModel.forward": "the same",
    "hf_seq2seq/architectures/modeling_transformer_decoder.py:TransformerForCausalLM.forward": "the same",
}


def lines(function: Function) -> int:
    """Counts the lines of a function, from `def` to its end, without its docstring and its decorators."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    documented = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
    return function.end_lineno - function.lineno + 1 - documented


def arguments(function: Function) -> int:
    """Counts the arguments that a caller gives: all but `self` and `cls`."""
    given = function.args
    names = [a.arg for a in given.posonlyargs + given.args + given.kwonlyargs]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, Function]]:
    """Yields every function below a node with its dotted name: methods and nested functions too."""
    for node in ast.iter_child_nodes(tree):
        inside = owner
        if isinstance(node, Function | ast.ClassDef):
            inside = f"{owner}.{node.name}".lstrip(".")
            if isinstance(node, Function):
                yield inside, node
        yield from functions(node, inside)


def measured_files(root: Path) -> list[Path]:
    # hf_seq2seq/recipes is a link: its files are counted where they lie.
    package = [f for f in (root / "hf_seq2seq").rglob("*.py") if "recipes" not in f.relative_to(root).parts]
    return sorted(package) + sorted((root / "recipes").glob("*.py"))


@pytest.fixture(scope="module")
def file_lines(repository: Path) -> dict[str, int]:
    return {
        str(f.relative_to(repository)): len(f.read_text(encoding="utf-8").splitlines())
        for f in measured_files(repository)
    }


@pytest.fixture(scope="module")
def all_functions(repository: Path) -> dict[str, Function]:
    return {
        f"{f.relative_to(repository)}:{name}": node
        for f in measured_files(repository)
        for name, node in functions(ast.parse(f.read_text(encoding="utf-8")))
    }


def over(sizes: dict[str, int], most: int) -> dict[str, int]:
    return {name: size for name, size in sizes.items() if size > most}


def test_no_file_is_long(file_lines: dict[str, int]) -> None:
    assert not over(file_lines, 400)


def test_recipes_fit_on_a_screen_or_two(file_lines: dict[str, int]) -> None:
    recipes = {name: size for name, size in file_lines.items() if name.startswith("recipes/")}
    assert recipes
    assert not over(recipes, 100)


def test_the_median_file_is_short(file_lines: dict[str, int]) -> None:
    assert median(file_lines.values()) <= 150


def test_no_function_is_long(all_functions: dict[str, Function]) -> None:
    assert not over({name: lines(node) for name, node in all_functions.items()}, 50)


def test_the_median_function_is_short(all_functions: dict[str, Function]) -> None:
    assert median(lines(node) for node in all_functions.values()) <= 10


def test_no_function_takes_many_arguments(all_functions: dict[str, Function]) -> None:
    assert set(over({name: arguments(node) for name, node in all_functions.items()}, 7)) == set(MANY_ARGUMENTS)


SAMPLE = '''
class Box:
    @property
    def put(self, a, /, b, *, c):
        """Two lines
        of docstring."""
        def inner():
            return a
        return inner

async def plain(a, b): return a
'''


def test_sizes_are_measured_as_said() -> None:
    found = dict(functions(ast.parse(SAMPLE)))
    assert {name: (lines(node), arguments(node)) for name, node in found.items()} == {
        "Box.put": (4, 3),
        "Box.put.inner": (2, 0),
        "plain": (1, 2),
    }
