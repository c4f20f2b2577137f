"""Kills and a full or broken disk at every call by which HDF5 and the commit change the disk."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.kills import library


@pytest.mark.skipif(
    "SCIDDM_KILLS" not in os.environ, reason="half a minute of processor: SCIDDM_KILLS=1"
)
@pytest.mark.skipif(library.compiler() is None, reason="needs cc and Linux")
def test_a_fault_at_every_call_leaves_the_old_or_the_new() -> None:
    command = [sys.executable, "-m", "tests.kills", "--only", "result.h5", "--every-call"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0 wrong" in ended.stdout
