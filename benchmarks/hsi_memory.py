"""Peak memory and time of `sciddm hsi denoise` on an ENVI file larger than it should need.

    python -m benchmarks.hsi_memory FOLDER [--megabytes 2048] [--bands 200] [--method lowrank]

Writes a synthetic scene of int16 to FOLDER (kept for the next run), denoises it in a process of its
own, and prints the size, the peak of the process's memory (VmHWM, mapped files included), seconds,
and whether the header came back as it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.whole_command import measured
from sciddm.data_adapters.hsi import build_cube, save_cube
from sciddm.data_adapters.hsi.raw import RawCube
from sciddm.pipelines.hsi.simulation import bundled_library, finch_sensor, respond

_SAMPLES = 1000


def write_scene(header: Path, megabytes: int, bands: int) -> None:
    """A scene of smooth mixtures of spectra with noise, written block by block."""
    lines = megabytes * 2**20 // (2 * bands * _SAMPLES)
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
    header.write_text(text.replace("samples = 1\n", f"samples = {_SAMPLES}\n"))
    data = RawCube(header.with_suffix(".img"), np.dtype("<i2"), 0, (bands, lines, _SAMPLES), "bil")
    data.create()
    rng = np.random.default_rng(0)
    x = np.arange(_SAMPLES)
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
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--bands", type=int, default=200)
    parser.add_argument("--method", default="lowrank")
    parser.add_argument("--quality", default="balanced")
    args = parser.parse_args()

    args.folder.mkdir(parents=True, exist_ok=True)
    scene = args.folder / f"scene-{args.megabytes}-{args.bands}.hdr"
    if not scene.exists():
        write_scene(scene, args.megabytes, args.bands)
    clean = args.folder / "clean.hdr"
    words = ["hsi", "denoise", str(scene), "-o", str(clean), "--method", args.method]
    used = measured([*words, "--quality", args.quality, "--overwrite", "--json"])
    told = {
        "megabytes": round(scene.with_suffix(".img").stat().st_size / 2**20),
        "method": args.method,
        "peak_megabytes": round(1024 * used.gib),
        "seconds": round(used.seconds, 1),
        "header_is_the_same": clean.read_text() == scene.read_text(),
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
