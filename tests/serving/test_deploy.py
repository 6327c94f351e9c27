"""The examples for deployment: what they start exists, and they keep what they promise."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
import yaml

from hf_seq2seq.cli.serve import COMMAND
from hf_seq2seq.sections import build
from hf_seq2seq.serving.options import KEY, ServeConfig

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = DEPLOY.parent


def check_command(words: list[str]) -> ServeConfig:
    """The configuration that a command line of `serve` gives."""
    assert words[0].endswith("hf-seq2seq")
    assert words[1] == "serve"
    found = COMMAND.read_plain(words[2:])
    assert found is not None
    return build(ServeConfig, found[1])


def test_dockerfile() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    entry, command = (yaml.safe_load(re.search(rf"^{name} (\[.*\])$", text, re.M)[1]) for name in ("ENTRYPOINT", "CMD"))
    assert check_command(entry + command).network.host == "0.0.0.0"
    assert re.search(r"^USER [1-9]", text, re.M)
    check = yaml.safe_load(re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", text, re.M)[1])
    compile(check[2], "health check", "exec")
    kept = re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.M)
    assert all((ROOT / name).exists() for name in kept)


def test_compose() -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["server"]
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert service["read_only"]
    assert KEY in service["environment"]


def test_unit() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "hf-seq2seq.service")
    config = check_command(shlex.split(unit["Service"]["ExecStart"]))
    assert float(unit["Service"]["TimeoutStopSec"]) > config.limits.shutdown_seconds


@pytest.mark.parametrize("name", ["compose.yaml", "Dockerfile", "hf-seq2seq.service"])
def test_documented(name: str) -> None:
    assert f"deploy/{name}" in (ROOT / "docs" / "serving.md").read_text()
