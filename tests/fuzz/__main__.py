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
from collections import Counter
from pathlib import Path

import numpy as np

from tests.fuzz.corpus import SAMPLES, Sample
from tests.fuzz.mutations import mutate
from tests.fuzz.seeds import seed_samples

_SECONDS = 40.0
_LOADING_SECONDS = 300.0
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

    def ask(self, sample: Sample, path: Path, seconds: float = _SECONDS) -> tuple[str, str, float]:
        """(kind, text, MiB) of one input; "hang" or "crash" where there is no answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([sample.read, str(path)]) + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return "hang", "", 0.0
        line = self.process.stdout.readline()
        if not line:
            return "crash", f"exit code {self.process.wait()}", 0.0
        kind, text, mebibytes = json.loads(line)
        return str(kind), str(text), float(mebibytes)

    def end(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()


def run(count: int, seconds: float, seed: int, only: str, keep: Path | None, first: int = 0) -> int:
    """Reads mutations of all samples in turn.

    Args:
        count: of inputs.
        seconds: after which it ends, however many were read.
        seed: of the mutations.
        only: part of the names of the samples that take part.
        keep: folder for the inputs that were answered badly.
        first: number of the first input: a run goes on where another ended.

    Returns:
        How many were.
    """
    whole = [s for s in SAMPLES if only in s.name]
    samples = [*whole, *(s for s in seed_samples() if only in s.name)]
    counts: Counter[tuple[str, str]] = Counter()
    bad, child, start = 0, Child(), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        seeds = Path(place) / "seeds"
        for sample in samples:
            folder = seeds / sample.name
            folder.mkdir(parents=True)
            sample.write(folder)
            # The first of a kind loads what it needs.
            kind, text, _ = child.ask(sample, folder / sample.main, _LOADING_SECONDS)
            if kind != "right" and (sample in whole or kind != "error"):
                print(f"{sample.name}: the sample itself: {kind}: {text}", flush=True)
                bad += 1
            if kind in ("hang", "crash"):
                child.end()
                child = Child()
        for number in range(first, first + count):
            if time.monotonic() - start > seconds:
                break
            sample = samples[number % len(samples)]
            work = Path(place) / f"{number}"
            shutil.copytree(seeds / sample.name, work)
            told = mutate(work, sample.main, np.random.default_rng([seed, number]))
            kind, text, mebibytes = child.ask(sample, work / sample.main)
            counts[sample.name, kind] += 1
            unclear = kind == "error" and ("\n" in text or "Traceback" in text)
            if kind in ("right", "error") and mebibytes > _MEBIBYTES:
                kind, text = "memory", f"{mebibytes:.0f} MiB ({text})"
            if kind not in ("right", "error") or unclear:
                bad += 1
                print(f"{sample.name} {number}: {told}: {kind}: {text[:300]}", flush=True)
                if keep is not None:
                    shutil.copytree(work, keep / f"{sample.name}-{number}", dirs_exist_ok=True)
            if kind in ("hang", "crash", "memory"):
                child.end()
                child = Child()
            shutil.rmtree(work, ignore_errors=True)
    child.end()
    kinds = sorted({kind for _, kind in counts})
    print(f"{'format':<28}" + "".join(f"{k:>10}" for k in kinds))
    for sample in samples:
        print(f"{sample.name:<28}" + "".join(f"{counts[sample.name, k]:>10}" for k in kinds))
    total = sum(counts.values())
    print(f"{total} inputs, {bad} bad, {time.monotonic() - start:.0f} s")
    return bad


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the name of a format")
    parser.add_argument("--keep", type=Path, help="folder for inputs that were answered badly")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    a = parser.parse_args()
    bad = run(a.count, a.seconds, a.seed, a.only, a.keep, a.first)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
