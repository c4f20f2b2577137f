"""Freed memory stays in the process: the second array of the same size costs no page faults."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from sciddm.pipelines.engine.allocator import keep_freed_memory

def faults(size=48 * 2**20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * size
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

taken = keep_freed_memory() if sys.argv[1] == "keep" else None
first = faults()
print(taken, first, sum(faults() for _ in range(4)))
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library")


def run(mode: str, **environment: str) -> list[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode],
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
def test_the_environment_has_the_last_word():
    assert run("keep", MALLOC_TOP_PAD_="131072")[0] == "False"
