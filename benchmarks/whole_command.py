"""Seconds and memory of a command line, in a process of its own: reading and writing included."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch


@dataclass(frozen=True)
class Used:
    """What a process used.

    Attributes:
        seconds: wall time.
        processor_seconds: of all threads.
        gib: largest resident set.
    """

    seconds: float
    processor_seconds: float
    gib: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s ({self.processor_seconds:.1f} s of processor time), "
            f"peak memory {self.gib:.2f} GiB"
        )


def measured(words: Sequence[str]) -> Used:
    """Runs ``sciddm WORDS``; a `CalledProcessError` if it fails."""
    command = [sys.executable, "-m", "sciddm.pipelines.cli", *words]
    start = perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    seconds = perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Used(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


def publish_speed(name: str, title: str, told: str, variant: str = "") -> None:
    """Writes benchmarks/results/NAME.md for ``python -m benchmarks.NAME``, and prints it.

    Args:
        name: of the benchmark.
        title: of the page.
        told: what it says.
        variant: of a benchmark with several pages: NAME-VARIANT.md.
    """
    text = (
        f"# {title}\n\n{told}\n\n"
        f"Made by `python -m benchmarks.{name}` on {datetime.date.today().isoformat()}, "
        f"{os.cpu_count()} cores ({platform.machine()}), torch {torch.__version__}.\n"
    )
    out = Path(__file__).parent / "results"
    out.mkdir(exist_ok=True)
    (out / f"{name}{variant and '-'}{variant}.md").write_text(text)
    print(text)
