"""What a command's process does about Python's garbage collector."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import gc, sys
from sciddm.pipelines.engine.collector import collect_seldom

class Told:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print(self.name, flush=True)

if sys.argv[1] == "seldom":
    collect_seldom()
print(gc.get_threshold()[0], flush=True)
gc.collect()
alone = Told("without a cycle")
del alone
cycle = Told("in a cycle")
cycle.itself = cycle
"""


@pytest.mark.parametrize("mode", ["as ever", "seldom"])
def test_only_cycles_are_left_to_the_end_of_the_process(mode):
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True
    )
    threshold, *freed = out.stdout.splitlines()
    if mode == "seldom":
        assert int(threshold) > 10_000
        assert freed == ["without a cycle"]
    else:  # what Python does by itself, without which the other case would show nothing
        assert freed == ["without a cycle", "in a cycle"]
