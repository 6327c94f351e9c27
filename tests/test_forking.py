"""Programs in forked processes: what each sees, prints and returns."""

import os
from pathlib import Path
from typing import Any


def test_each_program_begins_afresh(transformers_processes: Any, tmp_path: Path) -> None:
    look = "import os, sys\nprint(os.getcwd(), os.environ['WORD'], 'hf_seq2seq' in sys.modules, 'x' in globals())\n"
    for word in ("one", "two"):
        program = f"{look}x = 1\nimport hf_seq2seq\nprint({word!r}, file=sys.stderr)\nsys.exit(3)"
        environment = os.environ | {"WORD": word}
        done = transformers_processes.run(program=program, cwd=tmp_path, environment=environment)
        assert done.stdout == f"{tmp_path} {word} False False\n"
        assert (done.returncode, done.stderr) == (3, f"{word}\n")
    done = transformers_processes.run(program="1 / 0")
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    done = transformers_processes.run("generate", "missing", "ab")
    assert (done.returncode, done.stderr[:7]) == (2, "error: ")
