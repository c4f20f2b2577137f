"""Seconds and memory of a slice of 512 x 512: denoised, and reconstructed from 180 views.

    python -m benchmarks.ct_speed [--threads 2] [--quality balanced]

A phantom of a body at a quarter of the dose is denoised, and reconstructed by the command line, in
processes of their own: reading and all outputs are in the time, and the memory is the process's
largest resident set. Writes benchmarks/results/ct_speed.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.whole_command import measured, publish_speed
from sciddm.data_adapters.ct import save_ct
from sciddm.simulation.ct.phantom import body_phantom

SIDE, VIEWS, SLICES = 512, 180, 3
SCIDDM = [sys.executable, "-m", "sciddm.pipelines.cli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quality", default="balanced")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        full, series, one = folder / "full.nii.gz", folder / "low.nii.gz", folder / "one.nii.gz"
        body = body_phantom((SIDE, SIDE), SLICES)
        save_ct(body, full, description="full dose")
        save_ct(body[:1], one, description="full dose")
        lowered = [*SCIDDM, "ct", "simulate-dose", "--dose", "0.25", "--views", str(VIEWS)]
        subprocess.run([*lowered, str(full), "-o", str(series)], check=True)
        sinogram = folder / "sinogram.h5"
        subprocess.run([*lowered, str(one), "-o", str(sinogram), "--projections"], check=True)
        common = ["--quality", args.quality, "--threads", str(args.threads)]
        clean, image = folder / "clean.nii.gz", folder / "image.nii.gz"
        denoised = measured(["ct", "denoise", str(series), "-o", str(clean), *common])
        made = measured(["ct", "reconstruct", str(sinogram), "-o", str(image), *common])
    publish_speed(
        "ct_speed",
        "Speed of low-dose CT",
        f"{SIDE} x {SIDE}, {args.quality}, {args.threads} threads, whole commands. Denoising "
        f"{SLICES} slices: {denoised}. Reconstructing one slice from {VIEWS} views: {made}.",
    )


if __name__ == "__main__":
    main()
