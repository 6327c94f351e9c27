"""What every test starts from: no network, an own cache, one thread, fixed seeds."""

import atexit
import os
import random
import shutil
import signal
import tempfile
from pathlib import Path

# Set before anything imports transformers or datasets, which read these once. Started processes inherit them.
_CACHE = tempfile.mkdtemp(prefix="hf-seq2seq-tests-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ |= {
    "HF_HOME": _CACHE,
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)
# A suite started in the background of a shell ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def seed() -> int:
    """Fixes every global generator before each test, so that tests pass alone and in any order."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    return 0


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of pyproject.toml."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """A folder of real data sets that lies beside the repository or where HF_SEQ2SEQ_DATA says."""
    folder = Path(os.environ.get("HF_SEQ2SEQ_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set HF_SEQ2SEQ_DATA")
    return folder
