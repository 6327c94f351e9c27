"""What a card says a training cost."""

from pathlib import Path

import pytest

from hf_seq2seq.hub import cost

RESULTS = {"train_runtime": 3600.0, "train_cpu_time": 7200.0, "train_processes": 2.0}


def test_without_known_power_there_is_only_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cost, "cpu_watts", lambda: None)
    said = cost.cost_paragraph(RESULTS, None)
    assert said.startswith("Training took 3,600 seconds on the CPU (2 processes) and 7,200 CPU seconds. ")
    assert "not known" in said
    assert "kWh" not in said


def test_the_processors_limit_gives_a_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number, watts in enumerate((60_000_000, 40_000_000)):
        (tmp_path / f"intel-rapl:{number}").mkdir()
        (tmp_path / f"intel-rapl:{number}" / "constraint_0_power_limit_uw").write_text(f"{watts}\n")
    (tmp_path / "intel-rapl:0:0").mkdir()  # the cores of the first, which is counted already
    (tmp_path / "intel-rapl:0:0" / "constraint_0_power_limit_uw").write_text("7000000\n")
    assert cost.cpu_watts(tmp_path) == 100
    assert cost.cpu_watts(tmp_path / "nothing") is None
    monkeypatch.setattr(cost, "cpu_watts", lambda: 100.0)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    said = cost.cost_paragraph(RESULTS, None)
    assert "at most about 0.0250 kWh: 7,200 CPU s / 8 cores × 100 W" in said  # 7200 / 8 × 100 / 3.6e6


def test_the_drivers_limit_gives_a_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 300.00\necho 250.00\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    said = cost.cost_paragraph(RESULTS, "Tesla")
    assert "3,600 seconds on 2 × Tesla" in said
    assert "0.6000 kWh: 3,600 s × 2 GPUs × 300 W" in said
    driver.write_text("#!/bin/sh\necho '[N/A]'\n")
    assert cost.gpu_watts() is None
