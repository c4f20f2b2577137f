"""Memory between things that stay goes back to the system."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from sciddm.storage.free_memory import give_back


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_holes_in_the_heap_go_back() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library")

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    blocks = [np.ones(8000) for _ in range(2000)]  # 64 kB each, on the heap: 128 MB
    stay = blocks[::50]
    before = resident()
    del blocks
    give_back()
    assert before - resident() > 60e6
    assert all(block.sum() == 8000 for block in stay)
