"""Seconds and memory of a segmentation of a study of 64 x 160 x 160 voxels, 5 samples.

    python -m benchmarks.petct_speed [--threads 2]

A synthetic study of that size on the model's own voxels is segmented by the command line, in a
process of its own: reading, resampling and all outputs are in the time, and the memory is the
process's largest resident set. Writes benchmarks/results/petct_speed.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.whole_command import measured, publish_speed
from sciddm.data_adapters.petct.images import save_volume
from sciddm.simulation.petct.phantom import thigh_phantom

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
        words = ["petct", "segment"]
        words += ["--pet", str(folder / "pet.nii.gz"), "--ct", str(folder / "ct.nii.gz")]
        words += ["-o", str(folder / "mask.nii.gz"), "--model", args.model]
        words += ["--samples", str(SAMPLES), "--threads", str(args.threads)]
        used = measured(words)
    size = " x ".join(map(str, SHAPE))
    publish_speed(
        "petct_speed",
        "Speed of PET/CT segmentation",
        f"{size} voxels, {SAMPLES} samples, {args.threads} threads, model {args.model}, the whole "
        f"command: {used}.",
    )


if __name__ == "__main__":
    main()
