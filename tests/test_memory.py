"""The peak of a process is its own, not that of whoever started it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ringfence import memory

ASK = "from ringfence.memory import peak_memory; print(peak_memory())"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel counts by itself")
def test_a_small_process_is_small_whoever_starts_it():
    heavy = bytearray(b"x") * (400 * 2**20)  # every page is touched
    told = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)

    assert memory.peak_memory() > len(heavy) / 2**20
    assert 1 < float(told.stdout) < 300


def test_without_the_kernel_s_own_figure_it_is_the_process_s(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")

    assert memory.peak_memory() > 10
