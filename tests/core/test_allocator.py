"""Freed memory stays in the process, so that the second array of a size costs no page faults; it
goes back to the system when it is told to."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sciddm.allocator import give_back

SCRIPT = """
import resource, sys
from sciddm.allocator import keep_freed_memory, keep_little_freed_memory

def faults(size=int(sys.argv[2])):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * size
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

taken = keep_freed_memory() if sys.argv[1] != "plain" else None
if sys.argv[1] == "little":
    taken = keep_little_freed_memory()
first = faults()
print(taken, first, sum(faults() for _ in range(4)))
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library")


def run(mode: str, size: int = 48 * 2**20, **environment: str) -> list[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode, str(size)],
        capture_output=True,
        text=True,
        check=True,
        env=clean | environment,
    )
    return out.stdout.split()


@glibc
def test_memory_is_kept():
    taken, first, later = run("keep")
    assert taken == "True"
    assert int(later) < int(first) / 4


@glibc
@pytest.mark.parametrize(("size", "stays"), [(2**21, True), (48 * 2**20, False)])
def test_a_reader_keeps_small_arrays_only(size: int, stays: bool) -> None:
    taken, first, later = run("little", size)
    assert taken == "True"
    assert (int(later) < int(first) / 4) == stays


@glibc
def test_the_environment_has_the_last_word():
    assert run("keep", MALLOC_TOP_PAD_="131072")[0] == "False"


@glibc
def test_holes_in_the_heap_go_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    blocks = [np.ones(8000) for _ in range(2000)]  # 64 kB each, on the heap: 128 MB
    stay = blocks[::50]
    before = resident()
    del blocks
    give_back()
    assert before - resident() > 60e6
    assert all(block.sum() == 8000 for block in stay)
