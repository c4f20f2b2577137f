"""Arrays on the disk give their memory back, and keep their values."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sciddm.storage.scratch_array import release, scratch_array


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_comes_back_and_values_stay(tmp_path: Path) -> None:
    array = scratch_array(tmp_path / "a.f32", (2**23, 2), np.float32).T  # 64 MiB
    before = _resident()
    array[0] = np.arange(2**23, dtype=np.float32)
    filled = _resident()
    release(array[:, 5:])
    after = _resident()
    assert filled - before > 60e6
    assert after - before < 5e6
    np.testing.assert_array_equal(array[0, ::1000], np.arange(0, 2**23, 1000))
    assert not array[1, ::1000].any()


def test_an_array_in_memory_is_left_alone() -> None:
    values = np.arange(5.0)
    release(values[1:])
    np.testing.assert_array_equal(values, [0, 1, 2, 3, 4])
