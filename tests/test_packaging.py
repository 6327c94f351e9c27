"""What `pip install` puts where: above all, recipes/ as hf_seq2seq.recipes and nothing called recipes."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build(kind: str, source: Path, output: Path) -> Path:
    """Builds a wheel or an sdist as pip does, without the network, and returns the file."""
    output.mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(output)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return output / done.stdout.splitlines()[-1]


@pytest.fixture
def tree(repository: Path, tmp_path: Path) -> Path:
    """A copy of what is packaged, as a clone lays it out: building writes beside the sources."""
    copy = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("hf_seq2seq", "recipes", "docs", "benchmarks", "model_cards"):
        shutil.copytree(repository / folder, copy / folder, symlinks=True, ignore=ignored)
    for file in ("pyproject.toml", "MANIFEST.in", "README.md", "CONTRIBUTING.md", "LICENSE"):
        shutil.copy(repository / file, copy)
    return copy


def expected_files(root: Path) -> set[str]:
    """Every file of the package but compiled ones, by its place in a wheel; the link is followed."""
    found = set()
    for folder, _, names in os.walk(root / "hf_seq2seq", followlinks=True):
        found |= {str(Path(folder, name).relative_to(root)) for name in names}
    return found


def packaged_files(wheel: Path) -> set[str]:
    names = zipfile.ZipFile(wheel).namelist()
    return {name for name in names if ".dist-info/" not in name}


def test_wheel_holds_every_file_once_and_no_top_level_recipes(tree: Path, tmp_path: Path) -> None:
    wheel = build("wheel", tree, tmp_path / "wheels")
    assert packaged_files(wheel) == expected_files(tree)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())


def test_wheel_needs_no_symbolic_link(tree: Path, tmp_path: Path) -> None:
    expected = expected_files(tree)
    (tree / "hf_seq2seq" / "recipes").unlink()
    assert packaged_files(build("wheel", tree, tmp_path / "wheels")) == expected


def test_wheel_from_the_source_archive_is_the_same(tree: Path, tmp_path: Path) -> None:
    expected = expected_files(tree)
    archive = build("sdist", tree, tmp_path / "archives")
    with tarfile.open(archive) as content:
        content.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    links = re.findall(r"\]\((?!https?://)([^)#]+)", (unpacked / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 12
    assert not [link for link in links if not (unpacked / link).is_file()]
    assert packaged_files(build("wheel", unpacked, tmp_path / "wheels")) == expected


def test_installed_wheel_finds_its_recipes(tree: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(build("wheel", tree, tmp_path / "wheels")).extractall(tmp_path / "site")
    code = (
        "import hf_seq2seq.recipes as r, pathlib; p = pathlib.Path(r.__file__).parent;"
        "assert list(p.glob('*.py')), p; print(p)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(tmp_path / "site" / "hf_seq2seq" / "recipes")


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_this_installation_finds_its_recipes_from_any_folder(tmp_path: Path) -> None:
    found = run_python("import hf_seq2seq.recipes as r; print(r.__file__)", tmp_path)
    assert (Path(found.stdout.strip()).parent / "configs").is_dir(), found.stderr
    assert "No module named 'recipes'" in run_python("import recipes", tmp_path).stderr


def test_recipes_refuse_to_be_imported_a_second_time(repository: Path) -> None:
    assert "imported as hf_seq2seq.recipes" in run_python("import recipes", repository).stderr


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def package_names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", r)[0].lower().replace("_", "-") for r in requirements}


def imported_packages(file: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules.add(node.module)
    return {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"hf_seq2seq"}


def test_every_imported_package_is_declared(repository: Path, project: dict[str, Any]) -> None:
    files = [*(repository / "hf_seq2seq").rglob("*.py"), *(repository / "recipes").glob("*.py")]
    imported = set().union(*(imported_packages(file) for file in files))
    assert "torch" in imported
    extras = project["optional-dependencies"]
    used = ("baselines", "deepspeed", "export", "langid", "lingua", "meteor", "rouge", "search", "serve")
    named = [requirement for name in used for requirement in extras[name]]
    declared = package_names(project["dependencies"] + named)
    others = {"lingua": "lingua-language-detector", "yaml": "pyyaml", "sklearn": "scikit-learn", "starlette": "fastapi"}
    assert {others.get(name, name.replace("_", "-")) for name in imported} <= declared


def test_constraints_pin_every_direct_dependency(repository: Path, project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    named = [
        requirement for name in ("test", "dev", "export", "meteor", "rouge", "search") for requirement in extras[name]
    ]
    wanted = package_names(project["dependencies"] + named)
    pins = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {pin.partition("==")[0] for pin in pins if "==" in pin}
    assert wanted - {"hf-seq2seq"} <= package_names(sorted(pinned))
