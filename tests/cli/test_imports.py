"""What a command imports while it works: no library that the work does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
sys.argv = ["hf-seq2seq", *sys.argv[1:]]
from hf_seq2seq.cli.app import main
try:
    main()
except SystemExit as ended:
    if sys.argv[1] == "generate":
        import hf_seq2seq.decoding.classification
    heavy = {"datasets", "pandas", "pyarrow", "typer", "pydantic"}
    heavy |= {f"hf_seq2seq.architectures.modeling_{name}" for name in ("rnn", "transformer")}
    heavy |= {"torch", "transformers", "numpy", "hf_seq2seq.configs"} if sys.argv[1] == "evaluate" else set()
    sys.exit(ended.code or ", ".join(sorted(heavy & set(sys.modules))) or 0)
"""


@pytest.mark.parametrize("command", ["evaluate", "generate"])
def test_text_needs_no_library_of_tables(command: str, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the dog\n")
    file = str(tmp_path / "a.txt")
    words = {"evaluate": ["--predictions", file, "--references", file], "generate": [str(model_folder), "the dog"]}
    done = subprocess.run([sys.executable, "-c", CODE, command, *words[command]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
