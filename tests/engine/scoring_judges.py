"""Judges of pairs that other processes run; they import nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sciddm.pipelines.engine.scores import Score


def plain(pair: tuple[str, Any, Any]) -> Score:
    """Says in which process, and with how many threads, it was made."""
    name, reference, estimate = pair
    threads = float(os.environ["OMP_NUM_THREADS"])
    return Score(name, {"sum": reference + estimate, "pid": os.getpid(), "threads": threads})


def fragile(pair: tuple[str, Any, Any]) -> Score:
    """Ends its process at "worst", and the first time at "bad"."""
    name, folder, _ = pair
    mark = Path(folder) / name
    if name == "worst" or (name == "bad" and not mark.exists()):
        mark.touch()
        os._exit(9)
    return Score(name, {"one": 1.0})
