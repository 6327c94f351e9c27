"""What README.md and docs/ tell a reader is so: commands, flags, files, programs, links, papers, tests."""

import ast
import contextlib
import functools
import importlib
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_seq2seq.baselines import BASELINES
from hf_seq2seq.cli import flags
from hf_seq2seq.cli.app import main
from hf_seq2seq.cli.command_table import COMMANDS, module_of
from hf_seq2seq.cli.root import app
from hf_seq2seq.configs import Evaluation, Mixing, PairData
from hf_seq2seq.data.mixtures import all_metrics, read_members
from hf_seq2seq.errors import InputError
from hf_seq2seq.evaluation.baseline_runs import config_class
from hf_seq2seq.metrics import check_metrics, metrics_for
from hf_seq2seq.sections import build, canonical_names

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
FIGURES = ROOT / "benchmarks" / "README.md"
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
ACTIONS = ("train", "preview", "learning_curve", "show_pieces", "show_nearest", "answer_analogies")
"""What commands do beside those that have `with_flags`."""
FOREIGN = {"--config_file", "--install-completion", "--help", "--build-arg", "--repo-type"}
"""Flags of accelerate, of Typer, of docker and of the Hub's own command."""


def block(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in a language; "" for those that name none."""
    return [
        text for found, text in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.M | re.S) if found == language
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)


def inline(page: Path) -> list[str]:
    """Code within sentences and tables, each on one line."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page))]


def commands(page: Path) -> list[str]:
    """The lines of the blocks without a language, and within sentences what is more than a command's name."""
    lines = "\n".join(block(page, "")).replace("\\\n", " ").splitlines()
    typed = [code for code in inline(page) if re.match(r"hf-seq2seq [a-z-]+ (?!RECIPE)", code)]
    return [re.split(r"  +#", line)[0].strip() for line in lines if line.strip()] + typed


COMMAND_LINES = [pytest.param(line, id=f"{page.stem}-{line[:60]}") for page in PAGES for line in commands(page)]


def stub(function: Callable[..., Any]) -> Callable[..., Any]:
    """Something with a command's arguments that does nothing."""
    return functools.wraps(function)(lambda *_, **__: None)


@pytest.fixture
def only_parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lets commands check what was typed, and do nothing; files that examples name lie in the folder."""
    with_flags = flags.with_flags

    def checked(function: Callable[..., Any], config_class: type) -> Any:
        @functools.wraps(function)
        def check(*_: Any, values: dict[str, Any], **__: Any) -> None:
            build(config_class, values, origin="command line")

        return with_flags(check, config_class)

    for name in COMMANDS:
        module = importlib.import_module(module_of(name))
        for attribute in {"with_flags", *ACTIONS} & set(vars(module)):
            new = checked if attribute == "with_flags" else stub(getattr(module, attribute))
            monkeypatch.setattr(module, attribute, new)
    monkeypatch.setattr(flags, "with_flags", checked)
    monkeypatch.chdir(tmp_path)
    Path("outputs/mine").mkdir(parents=True)
    Path("outputs/mine/run.yaml").write_text("recipe: rnn\ntrain_file: train.csv\n")
    Path("my.yaml").write_text("train_file: train.csv\n")


def run_or_parse(words: list[str]) -> None:
    """Runs a command of this project as far as `only_parsed` lets it; parses a launcher's own flags."""
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M), words
    elif words[0] == "torchrun":
        from torch.distributed.run import get_args_parser

        parsed = get_args_parser().parse_args(words[1:])
        run_or_parse([parsed.training_script.replace("hf_seq2seq", "hf-seq2seq"), *parsed.training_script_args])
    elif words[:2] == ["accelerate", "launch"]:
        from accelerate.commands.launch import launch_command_parser

        parsed = launch_command_parser().parse_args(words[2:])
        run_or_parse([parsed.training_script.replace("hf_seq2seq", "hf-seq2seq"), *parsed.training_script_args])
    else:
        assert words[0] == "hf-seq2seq", words
        if len(words) > 2 and words[2] == "./mine.py":
            shutil.copy(ROOT / "recipes" / "rnn.py", "mine.py")
        assert not app(words[1:], prog_name="hf-seq2seq", standalone_mode=False)


def test_there_are_commands() -> None:
    assert len(COMMAND_LINES) > 45
    assert len(commands(README)) > 8


@pytest.mark.parametrize("line", COMMAND_LINES)
@pytest.mark.usefixtures("only_parsed")
def test_every_command_is_taken(line: str) -> None:
    run_or_parse(shlex.split(line))


@EVERY_PAGE
def test_every_command_in_its_sentences_exists(page: Path) -> None:
    assert {name for code in inline(page) for name in re.findall(r"^hf-seq2seq ([a-z][a-z-]*)", code)} <= set(COMMANDS)


@functools.cache
def every_config() -> list[type]:
    """The configurations of all recipes and of all other commands."""
    recipes = [path.stem for path in (ROOT / "recipes").glob("[!_]*.py")]
    configs: list[type] = [importlib.import_module(f"hf_seq2seq.recipes.{name}").Config for name in recipes]
    for name in COMMANDS:
        module = importlib.import_module(module_of(name))
        configs += [item for key, item in vars(module).items() if key.endswith("Config") and isinstance(item, type)]
    return configs + [config_class(baseline) for baseline in BASELINES.values()]


@EVERY_PAGE
def test_every_flag_in_its_sentences_exists(page: Path) -> None:
    named = {flag for code in inline(page) for flag in re.findall(r"(?<!\S)--[a-z][\w-]*", code)}
    known = {name.replace("_", "-") for config in every_config() for name in canonical_names(config)}
    assert named <= {f"--{name}" for name in known} | FOREIGN


def values_of(words: list[str]) -> dict[str, Any]:
    """Flags and their values; True where a flag has none."""
    values: dict[str, Any] = {}
    for word in words:
        if word.startswith("--"):
            values[name := word[2:].replace("-", "_")] = True
        else:
            values[name] = word
    return values


def is_taken(words: list[str]) -> bool:
    """Whether some recipe or command takes these flags with these values, together."""
    values = values_of(words)
    for config in every_config():
        with contextlib.suppress(InputError):
            build(config, values)
            return True
    return False


@EVERY_PAGE
def test_every_value_in_its_sentences_is_taken(page: Path) -> None:
    """`--tokenizer-type char|word` stands for one flag with each of the values."""
    for code in inline(page):
        if code.startswith("--") and " " in code and not FOREIGN & set(code.split()):
            first, *rest = shlex.split(code)
            choices = rest[-1].split("|")
            assert all(is_taken([first, *rest[:-1], choice]) for choice in choices), code


@pytest.mark.parametrize("page", [*PAGES, FIGURES], ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_file_that_is_named_exists(page: Path) -> None:
    folders = "benchmarks|recipes/configs|hf_seq2seq|model_cards"
    named = re.findall(rf"(?<![\w/-])(?:{folders})/[\w./-]*\w", page.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_configuration_file_of_a_command_exists(page: Path) -> None:
    own = {"my.yaml", "outputs/mine/run.yaml"}  # of the reader
    named = re.findall(r"hf-seq2seq [^\n]*?-c (\S+\.yaml)", page.read_text())
    assert not [name for name in named if name not in own and not (ROOT / name).exists()]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)", prose(page), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)]*)\)", prose(page)):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert len(README.read_text().splitlines()) <= 150
    linked = re.findall(r"\]\(docs/([\w/-]+\.md)\)", README.read_text())
    assert set(linked) == {str(page.relative_to(DOCS)) for page in PAGES[1:]}


@EVERY_PAGE
def test_every_extra_that_it_installs_exists(page: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"hf-seq2seq\[(\w+)\]", page.read_text())) <= set(extras)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_imports_exists(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "hf_seq2seq":
            for name in node.names:
                found = importlib.import_module(str(node.module))
                assert hasattr(found, name.name) or importlib.import_module(f"{node.module}.{name.name}")


def test_every_benchmark_has_its_figures() -> None:
    programs = {path.name for path in FIGURES.parent.glob("*.py") if '"__main__"' in path.read_text()}
    programs -= {"serving_servers.py"}  # which serving.py starts
    assert programs == set(re.findall(r"`python benchmarks/(\w+\.py)", FIGURES.read_text()))


@pytest.mark.parametrize("page", [page for page in PAGES if block(page, "python")], ids=lambda page: page.stem)
def test_the_python_in_it_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A page's programs run in its order, and a later one may use what an earlier one made."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for program in block(page, "python"):
        exec(program, names)
        if "except InputError" in program:
            assert "column 'target'" in capsys.readouterr().out.splitlines()[-1]


def test_the_mixture_in_it_is_read(tmp_path: Path) -> None:
    (text,) = block(DOCS / "data.md", "yaml")
    (tmp_path / "tasks.yaml").write_text(text)
    members = read_members(Mixing(mixture=str(tmp_path / "tasks.yaml")), PairData(), Evaluation())
    assert [member.data.source_prefix for member in members] == ["translate German to English: ", "summarize: "]
    assert [member.metrics for member in members] == [("bleu", "chrf"), ("rouge",)]
    check_metrics(all_metrics(members), metrics_for("seq2seq"))


def test_the_papers_are_where_it_says() -> None:
    folder = ROOT / "hf_seq2seq" / "architectures"
    table = (DOCS / "architectures.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| ([^|]*\d{4}[^|]*) \| (`\w+\.py`[^|]*) \|$", table, re.MULTILINE)
    assert len(rows) > 15
    for papers, files in rows:
        text = "".join((folder / name).read_text() for name in re.findall(r"`(\w+\.py)`", files))
        for paper in papers.split("; "):
            name, year = paper.split(", ")
            assert re.search(
                rf"{name.split()[-3] if ' and ' in name else name.split()[0]}.{{0,40}}{year}", text, re.S
            ), paper


def test_every_baseline_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "baselines.md").read_text(), re.M)
    assert rows == list(BASELINES)


def test_every_search_is_where_it_says() -> None:
    named = re.findall(r"`(\w+\.py)`", (DOCS / "decoding.md").read_text())
    assert len(named) > 8
    assert not [name for name in named if not (ROOT / "hf_seq2seq" / "decoding" / name).exists()]


def test_every_test_that_is_cited_exists() -> None:
    """A citation is a link from the test's name to its file."""
    cited = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", (DOCS / "lecture-notes.md").read_text())
    assert len(cited) > 15
    for name, file in cited:
        assert f"def {name}(" in (DOCS / file).read_text(), (name, file)


def test_the_export_example_runs_in_its_order(
    tiny_checkpoint: Callable[[str, list[str]], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ctranslate2")
    texts = ["ab ba", "abc cba", "bca acb", "ca ac"] * 3
    (tmp_path / "train.csv").write_text("source,target\n" + "".join(f"{t},{t[::-1]}\n" for t in texts))
    (tmp_path / "big.txt").write_text("ab ba\nca\n")
    model = tiny_checkpoint("t5", texts)
    monkeypatch.chdir(tmp_path)
    example = block(DOCS / "export.md", "")[0].strip().splitlines()
    assert len(example) == 4
    for line in example:
        words = ["hf-seq2seq", *shlex.split(line.replace("google-t5/t5-small", model))[1:]]
        words += ["--use-cpu"] if words[1] == "train" else []
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, line
