"""Seconds and memory of a frame of 256 x 256 and of a clip.

    python -m benchmarks.ultrasound_speed [--threads 2] [--quality balanced] [--frames 1]

A simulated scan is dehazed by the command line, in a process of its own: reading and all outputs
are in the time, and the memory is the process's largest resident set. Writes
benchmarks/results/ultrasound_speed.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.whole_command import measured, publish_speed
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
        words = ["ultrasound", "dehaze", str(folder / "hazy.h5"), "-o", str(folder / "clean.h5")]
        words += ["--quality", args.quality, "--threads", str(args.threads)]
        used = measured(words)
    frames = f"{args.frames} frame{'s' * (args.frames > 1)} of {' x '.join(map(str, SHAPE))}"
    publish_speed(
        "ultrasound_speed",
        "Speed of ultrasound dehazing",
        f"{frames}, {args.quality}, {args.threads} threads, the whole command: {used}.",
    )


if __name__ == "__main__":
    main()
