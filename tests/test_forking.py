"""Programs in forked processes: what each sees, prints and returns."""

import os
import signal
import subprocess
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


def test_a_forked_python_is_like_any_process(forked_python: str, tmp_path: Path) -> None:
    look = "import os, sys\nprint(os.getcwd(), os.environ['WORD'], sys.argv, sys.stdin.read())\nsys.exit(3)"
    environment = os.environ | {"WORD": "one"}
    done = subprocess.run(
        [forked_python, "-c", look, "a b"], cwd=tmp_path, env=environment, input="in", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path} one ['-c', 'a b'] in\n", "")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, subprocess\nsubprocess.run([sys.executable, '-c', 'print(len(__import__(\"sys\").modules))'])"
    )
    assert int(subprocess.check_output([forked_python, script])) > 1000
    refused = subprocess.run([forked_python, "-m", "hf_seq2seq", "generate", "missing", "ab"], capture_output=True)
    assert (refused.returncode, refused.stderr[:7]) == (2, b"error: ")
    wait = (
        "import sys, time\ntry:\n    print(flush=True)\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    sys.exit(5)"
    )
    for number, code in [(signal.SIGTERM, -15), (signal.SIGINT, 5), (signal.SIGKILL, -9)]:
        with subprocess.Popen([forked_python, "-c", wait], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(number)
            assert process.stdout.read() == b""  # whatever runs has ended, or the pipe would still be open
        assert process.returncode == code
