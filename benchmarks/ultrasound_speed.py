"""Seconds and memory of a frame of 256 x 256 and of a clip.

    python -m benchmarks.ultrasound_speed [--threads 2] [--quality balanced] [--frames 1]

A simulated scan is dehazed by the command line, in a process of its own: reading and all outputs
are in the time, and the memory is the process's largest resident set. Writes
benchmarks/results/ultrasound_speed.md.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import torch

from sciddm.data_adapters.ultrasound import save_frames
from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan

SHAPE = (256, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--frames", type=int, default=1)
    args = parser.parse_args()
    wanted = Wanted(depth=SHAPE[0], lines=SHAPE[1], frames=args.frames, haze_db=-24.0, seed=5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_frames(simulate_scan(wanted)[0], folder / "hazy.h5")
        words = [sys.executable, "-m", "sciddm.pipelines.cli", "ultrasound", "dehaze"]
        words += [str(folder / "hazy.h5"), "-o", str(folder / "clean.h5")]
        words += ["--quality", args.quality, "--threads", str(args.threads)]
        start = perf_counter()
        subprocess.run(words, check=True)
        seconds = perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = "\n".join(
        [
            "# Speed of ultrasound dehazing",
            "",
            f"{args.frames} frame{'s' * (args.frames > 1)} of {' x '.join(map(str, SHAPE))}, "
            f"{args.quality}, {args.threads} threads, the whole command: {seconds:.1f} s "
            f"({used.ru_utime + used.ru_stime:.1f} s of processor time), peak memory "
            f"{used.ru_maxrss * 1024 / 2**30:.2f} GiB.",
            "",
            f"Made by `python -m benchmarks.ultrasound_speed` on "
            f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores ({platform.machine()}), "
            f"torch {torch.__version__}.",
            "",
        ]
    )
    out = Path(__file__).parent / "results"
    out.mkdir(exist_ok=True)
    (out / "ultrasound_speed.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
