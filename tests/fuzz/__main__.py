"""Runs damaged inputs through the readers and reports what is not a right result or an error.

Each input is read by a child, as one file of a batch: it must end within its time, keep its memory,
answer with a result or one line of error, and be alive for the next.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.fuzz import record
from tests.fuzz.corpus import SAMPLES, Sample
from tests.fuzz.mutations import mutate
from tests.fuzz.seeds import seed_samples
from tests.journal import Journal

#: Processor time of the child. The worker has a limit of its own, and a clock's.
_SECONDS = 40.0
_STALL_SECONDS = 400.0
_LOADING_SECONDS = 600.0
_MEBIBYTES = 1536.0


class Child:
    """A process that reads."""

    def __init__(self) -> None:
        environment = {
            **os.environ,
            "SCIDDM_ISOLATION": "on",
            "SCIDDM_READ_SECONDS": "4",
            "OMP_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(
        self, sample: Sample, path: Path, seconds: float = _SECONDS
    ) -> tuple[str, str, float, float]:
        """(kind, text, MiB of the input, MiB of the child); "hang" or "crash" without an answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([sample.read, str(path)]) + "\n")
        self.process.stdin.flush()
        before, start = self._processor_seconds(), time.monotonic()
        while not select.select([self.process.stdout], [], [], 1.0)[0]:
            # Other programs may have the processor: its own time counts, and a long stand-still.
            used = self._processor_seconds() - before
            if used > seconds or time.monotonic() - start > max(seconds, _STALL_SECONDS):
                return "hang", f"after {used:.0f} s of processor", 0.0, 0.0
        line = self.process.stdout.readline()
        if not line:
            return "crash", f"exit code {self.process.wait()}", 0.0, 0.0
        kind, text, mebibytes, whole = json.loads(line)
        return str(kind), str(text), float(mebibytes), float(whole)

    def _processor_seconds(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()


class Reader:
    """Asks a child, and a new one after a bad answer."""

    def __init__(self) -> None:
        self.child, self.bad = Child(), 0

    def ask(self, sample: Sample, path: Path, told: str, number: object) -> tuple[str, ...]:
        """(answer, text, MiB, seconds, MiB of the child) of one input; a bad one is printed."""
        start = time.monotonic()
        kind, text, mebibytes, whole = self.child.ask(sample, path)
        seconds = time.monotonic() - start
        if kind == "error" and ("\n" in text or "Traceback" in text):
            kind = "unclear"
        if kind in record.GOOD and mebibytes > _MEBIBYTES:
            kind, text = "memory", f"{mebibytes:.0f} MiB ({text})"
        if kind not in record.GOOD:
            self.bad += 1
            print(f"{sample.name} {number}: {told}: {kind}: {text[:300]}", flush=True)
        if kind in ("hang", "crash", "memory"):
            self.restart()
        return kind, text, f"{mebibytes:.0f}", f"{seconds:.1f}", f"{whole:.0f}"

    def restart(self) -> None:
        """A new child."""
        self.child.end()
        self.child = Child()


def run(a: argparse.Namespace, journal: Journal) -> int:
    """Reads mutations of all samples in turn.

    Args:
        a: see ``main``.
        journal: numbers in it are not read again, or only the bad ones of them.

    Returns:
        How many were answered badly.
    """
    whole = [s for s in SAMPLES if a.only in s.name]
    samples = [*whole, *(s for s in seed_samples() if a.only in s.name)]
    reader, start, code = Reader(), time.monotonic(), record.state()
    with tempfile.TemporaryDirectory() as place:
        seeds = Path(place) / "seeds"

        def input_of(number: int) -> tuple[Sample, Path, str]:
            sample, work = samples[number % len(samples)], Path(place) / f"{number}"
            shutil.copytree(seeds / sample.name, work)
            rng = np.random.default_rng([a.seed, number])
            return sample, work, mutate(work, sample.main, rng)

        for sample in samples:
            folder = seeds / sample.name
            folder.mkdir(parents=True)
            sample.write(folder)
            # The first of a kind loads what it needs.
            kind, text, *_ = reader.child.ask(sample, folder / sample.main, _LOADING_SECONDS)
            if kind != "right" and (sample in whole or kind != "error"):
                print(f"{sample.name}: the sample itself: {kind}: {text}", flush=True)
                reader.bad += 1
            if kind in ("hang", "crash"):
                reader.restart()
        before = {int(row["number"]) for row in journal.rows}
        numbers = [n for n in range(a.first, a.first + a.count) if n not in before]
        for number in record.bad_numbers(journal) if a.again else numbers:
            if time.monotonic() - start > a.seconds:
                break
            held = a.keep / str(number) if a.keep is not None else None
            if a.again and held is not None and held.exists():  # that very input
                described = json.loads((held / "input.json").read_text())
                sample = Sample(described["format"], described["main"], _nothing, described["read"])
                work, told = Path(place) / str(number), str(described["told"])
                shutil.copytree(held / "files", work)
            else:
                sample, work, told = input_of(number)
            kind, text, mebibytes, seconds, child = reader.ask(
                sample, work / sample.main, told, number
            )
            journal.add(
                number, sample.name, kind, mebibytes, seconds, child, code,
                told if kind in record.GOOD else f"{told}: {text[:300]}",
            )  # fmt: skip
            if held is not None and kind not in record.GOOD and not a.again:
                _keep(held, sample, work, told)
            shutil.rmtree(work, ignore_errors=True)
    reader.child.end()
    return reader.bad


def _nothing(folder: Path) -> None:
    """A kept input is there already."""


def _keep(held: Path, sample: Sample, work: Path, told: str) -> None:
    held.mkdir(parents=True, exist_ok=True)
    shutil.copytree(work, held / "files", dirs_exist_ok=True)
    described = {"format": sample.name, "main": sample.main, "read": sample.read, "told": told}
    (held / "input.json").write_text(json.dumps(described))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the name of a format")
    parser.add_argument("--keep", type=Path, help="folder for inputs that were answered badly")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--journal", type=Path, help="file of answers; a run goes on where it was")
    parser.add_argument("--again", action="store_true", help="read its bad inputs again")
    parser.add_argument("--write", type=Path, help="file for the table")
    a = parser.parse_args()
    start, journal = time.monotonic(), Journal(a.journal, record.COLUMNS)
    bad = run(a, journal)
    text = record.page(journal, a.seed, f"python -m tests.fuzz --count {a.count} --seed {a.seed}")
    print(text, f"{time.monotonic() - start:.0f} s", sep="\n")
    if a.write is not None:
        a.write.write_text(text, encoding="utf-8")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
