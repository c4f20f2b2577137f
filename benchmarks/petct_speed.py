"""Seconds and memory of a segmentation of a study of 64 x 160 x 160 voxels, 5 samples.

    python -m benchmarks.petct_speed [--threads 2]

A synthetic study of that size on the model's own voxels is segmented by the command line, in a
process of its own: reading, resampling and all outputs are in the time, and the memory is the
process's largest resident set. Writes benchmarks/results/petct_speed.md.
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

from sciddm.data_adapters.petct.images import save_volume
from sciddm.pipelines.petct.phantom import thigh_phantom

SHAPE, SAMPLES = (64, 160, 160), 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="petct-sarcoma")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        phantom = thigh_phantom(0, shape=SHAPE)
        save_volume(phantom.pet, folder / "pet.nii.gz")
        save_volume(phantom.ct, folder / "ct.nii.gz")
        words = [sys.executable, "-m", "sciddm.pipelines.cli", "petct", "segment"]
        words += ["--pet", str(folder / "pet.nii.gz"), "--ct", str(folder / "ct.nii.gz")]
        words += ["-o", str(folder / "mask.nii.gz"), "--model", args.model]
        words += ["--samples", str(SAMPLES), "--threads", str(args.threads)]
        start = perf_counter()
        subprocess.run(words, check=True)
        seconds = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 2**30
    text = "\n".join(
        [
            "# Speed of PET/CT segmentation",
            "",
            f"{' x '.join(map(str, SHAPE))} voxels, {SAMPLES} samples, {args.threads} threads, "
            f"the whole command: {seconds:.1f} s, peak memory {peak:.2f} GiB.",
            "",
            f"Made by `python -m benchmarks.petct_speed` on {datetime.date.today().isoformat()}, "
            f"{os.cpu_count()} cores ({platform.machine()}), torch {torch.__version__}; "
            f"model {args.model}.",
            "",
        ]
    )
    out = Path(__file__).parent / "results"
    out.mkdir(exist_ok=True)
    (out / "petct_speed.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
