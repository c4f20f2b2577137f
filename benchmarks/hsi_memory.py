"""Peak memory and time of `sciddm hsi denoise` on an ENVI file, as one larger than it should need.

    python -m benchmarks.hsi_memory FOLDER [--size 5368 1000] [--bands 200] [--method lowrank]

Writes a synthetic scene of int16 to FOLDER (kept for the next run), denoises it in a process of its
own, and tells the size, the peak of the process's memory (VmHWM, mapped files included), seconds,
and whether the header came back as it was; benchmarks/results/hsi_memory-METHOD-MEGABYTES.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.whole_command import measured, publish_speed
from sciddm.data_adapters.hsi import build_cube, save_cube
from sciddm.data_adapters.hsi.raw import RawCube
from sciddm.simulation.hsi.scene import bundled_library, finch_sensor, respond


def write_scene(header: Path, lines: int, samples: int, bands: int) -> None:
    """A scene of smooth mixtures of spectra with noise, written block by block."""
    seen = respond(bundled_library(), finch_sensor(bands))
    spectra = np.stack([v.mean(axis=0) for v in seen.values()])
    small = build_cube(
        header,
        np.zeros((bands, 1, 1), np.int16),
        form="envi",
        wavelength=finch_sensor(bands).centre_nm,
        units="Nanometers",
        attrs={"description": "synthetic", "nodata": -9999.0, "interleave": "bil"},
    )
    save_cube(small, header, overwrite=True)
    text = header.read_text()
    text = text.replace("lines = 1\n", f"lines = {lines}\n")
    header.write_text(text.replace("samples = 1\n", f"samples = {samples}\n"))
    data = RawCube(header.with_suffix(".img"), np.dtype("<i2"), 0, (bands, lines, samples), "bil")
    data.create()
    rng = np.random.default_rng(0)
    x = np.arange(samples)
    for start in range(0, lines, 64):
        y = np.arange(start, min(lines, start + 64))[:, None]
        waves = [np.sin(x / 37 + y / 23), np.sin(x / 11 - y / 71), np.cos(x / 53 + y / 13)]
        weight = np.exp(2 * np.stack(waves))
        weight /= weight.sum(axis=0)
        block = np.tensordot(spectra.T, weight, 1)
        block += 0.01 * rng.standard_normal(block.shape, dtype=np.float32)
        data[:, start : start + 64] = np.round(1e4 * block).astype(np.int16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(5368, 1000), help="lines, samples")
    parser.add_argument("--bands", type=int, default=200)
    parser.add_argument("--method", default="lowrank")
    parser.add_argument("--quality", default="balanced")
    args = parser.parse_args()

    args.folder.mkdir(parents=True, exist_ok=True)
    lines, samples = args.size
    scene = args.folder / f"scene-{lines}-{samples}-{args.bands}.hdr"
    if not scene.exists():
        write_scene(scene, lines, samples, args.bands)
    clean = args.folder / "clean.hdr"
    words = ["hsi", "denoise", str(scene), "-o", str(clean), "--method", args.method]
    used = measured([*words, "--quality", args.quality, "--overwrite"])
    megabytes = round(scene.with_suffix(".img").stat().st_size / 2**20)
    same = "the same" if clean.read_text() == scene.read_text() else "NOT the same"
    publish_speed(
        "hsi_memory",
        "Memory of hyperspectral denoising",
        f"ENVI, {lines} x {samples} x {args.bands} bands of int16, {megabytes} MiB; method "
        f"{args.method}, quality {args.quality}, the whole command: {used}. Its header came back "
        f"{same}.",
        variant=f"{args.method}-{megabytes}",
    )


if __name__ == "__main__":
    main()
