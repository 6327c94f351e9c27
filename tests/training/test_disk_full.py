import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate import Accelerator
from transformers import AutoModelForSeq2SeqLM

from hf_seq2seq.errors import InputError
from hf_seq2seq.task import Task
from hf_seq2seq.training.checkpoints import list_checkpoints
from hf_seq2seq.training.loop import Loop


@pytest.mark.parametrize("limit", [500_000, 3_000_000])
def test_the_last_good_checkpoint_survives(make_task: Callable[..., Task], tmp_path: Path, limit: int) -> None:
    """A limit on file sizes stands in for a full disk: it stops the weights, or only the larger optimizer's state."""
    options = {"save_steps": 2, "eval_steps": 2, "config_overrides": ""}  # of the usual size
    (tmp_path / "out").mkdir()
    Loop(make_task(max_steps=2, **options), Accelerator(cpu=True), tmp_path / "out").run()
    loop = Loop(make_task(max_steps=4, **options), Accelerator(cpu=True), tmp_path / "out", "last")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(InputError, match=r"checkpoint-4: could not be saved: .*complete checkpoints: checkpoint-2"):
            loop.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in list_checkpoints(tmp_path / "out")] == ["checkpoint-2"]
    assert not list((tmp_path / "out").glob(".*"))
    AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out" / "checkpoint-2")
    Loop(make_task(max_steps=4, **options), Accelerator(cpu=True), tmp_path / "out", "last").run()
    assert list_checkpoints(tmp_path / "out")[-1].name == "checkpoint-4"
