"""What the README tells a reader to type exists: recipes, commands, every flag, every file."""

import importlib
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_seq2seq.cli.app import main
from hf_seq2seq.cli.average import AverageConfig
from hf_seq2seq.cli.classify import ClassifyConfig
from hf_seq2seq.cli.evaluate import EvaluateConfig
from hf_seq2seq.cli.export import ExportConfig
from hf_seq2seq.cli.generate import GenerateConfig
from hf_seq2seq.cli.pull import PullConfig
from hf_seq2seq.cli.push import PushConfig
from hf_seq2seq.cli.rate import RateConfig
from hf_seq2seq.cli.ratings import RatingsConfig
from hf_seq2seq.configs import Evaluation, Mixing, PairData
from hf_seq2seq.data.mixtures import all_metrics, read_members
from hf_seq2seq.metrics import check_metrics, metrics_for
from hf_seq2seq.sections import options

README = Path(__file__).parents[1] / "README.md"
FIGURES = README.parent / "benchmarks" / "README.md"
CONFIGS = {
    "average": AverageConfig,
    "generate": GenerateConfig,
    "classify": ClassifyConfig,
    "evaluate": EvaluateConfig,
    "export": ExportConfig,
    "pull": PullConfig,
    "push": PushConfig,
    "rate": RateConfig,
    "ratings": RatingsConfig,
}


def commands() -> list[str]:
    blocks = re.findall(r"```\n(.*?)```", README.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.startswith("hf-seq2seq")]


def test_there_are_commands() -> None:
    assert len(commands()) > 8


@pytest.mark.parametrize("line", commands())
def test_every_flag_exists(line: str) -> None:
    _, name, *rest = shlex.split(line)
    if name in ("train", "preview"):
        config = importlib.import_module(f"hf_seq2seq.recipes.{rest[0]}").Config
    else:
        config = CONFIGS[name]
    known = set(options(config)) | {a for _, item in options(config).values() for a in item.metadata.get("aliases", ())}
    given = {word[2:].replace("-", "_") for word in rest if word.startswith("--")}
    assert given <= known | {"predictions", "references"}


@pytest.mark.parametrize("page", [README, FIGURES], ids=["readme", "figures"])
def test_every_file_that_is_named_exists(page: Path) -> None:
    root = README.parent
    named = re.findall(r"(?:benchmarks|recipes/configs|hf_seq2seq/data/samples)/[\w./-]*\w", page.read_text())
    assert named
    assert not [name for name in named if not (root / name).exists()]


def test_every_benchmark_has_its_figures() -> None:
    programs = {path.name for path in FIGURES.parent.glob("*.py")} - {"machine.py"}
    assert programs == set(re.findall(r"`python benchmarks/(\w+\.py)", FIGURES.read_text()))


def test_the_python_in_it_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, {})


def test_the_mixture_in_it_is_read(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 1
    (tmp_path / "tasks.yaml").write_text(blocks[0])
    members = read_members(Mixing(mixture=str(tmp_path / "tasks.yaml")), PairData(), Evaluation())
    assert [member.data.source_prefix for member in members] == ["translate German to English: ", "summarize: "]
    assert [member.metrics for member in members] == [("bleu", "chrf"), ("rouge",)]
    check_metrics(all_metrics(members), metrics_for("seq2seq"))


def test_the_papers_are_where_it_says() -> None:
    folder = README.parent / "hf_seq2seq" / "architectures"
    rows = re.findall(r"^\| [^|]+ \| ([^|]*\d{4}[^|]*) \| (`\w+\.py`[^|]*) \|$", README.read_text(), re.MULTILINE)
    assert len(rows) > 15
    for papers, files in rows:
        text = "".join((folder / name).read_text() for name in re.findall(r"`(\w+\.py)`", files))
        for paper in papers.split("; "):
            name, year = paper.split(", ")
            assert re.search(
                rf"{name.split()[-3] if ' and ' in name else name.split()[0]}.{{0,40}}{year}", text, re.S
            ), paper


def test_the_export_example_runs_in_its_order(
    tiny_checkpoint: Callable[[str, list[str]], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ctranslate2")
    texts = ["ab ba", "abc cba", "bca acb", "ca ac"] * 3
    (tmp_path / "train.csv").write_text("source,target\n" + "".join(f"{t},{t[::-1]}\n" for t in texts))
    (tmp_path / "big.txt").write_text("ab ba\nca\n")
    model = tiny_checkpoint("t5", texts)
    monkeypatch.chdir(tmp_path)
    example = README.read_text().split("## Export")[1].split("```")[1].strip().splitlines()
    assert len(example) == 4
    for line in example:
        words = ["hf-seq2seq", *shlex.split(line.replace("google-t5/t5-small", model))[1:]]
        words += ["--use-cpu"] if words[1] == "train" else []
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, line
