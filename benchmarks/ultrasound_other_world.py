"""Haze over real pictures and beamformed channel data: another world than the training simulator's.

    python -m benchmarks.ultrasound_other_world [--quality fast]

Tissue is what scanners and other simulators made (`$SCIDDM_DATA/ultrasound`): B-mode of phantoms
and of muscle over bone, and channel data (a measured disc, Field II points) beamformed here. Haze
is a complex Gaussian field of a beam three times as wide as the speckle, falling with depth:

    A' = |A + H|,    H = level 10^(-12 dB depth / 20) (g_1 + i g_2) smoothed over the beam

Prints, of every picture without haze and with three levels of it: the evidence, whether it is
returned unchanged, PSNR to the picture without haze before and after (dB, of the grey scale), the
change of bright places (dB), the share of fine texture that bright places lose (high-pass of 1.5
pixels), the share of grey values above black within their 90 % interval, and seconds of processor
time. With --gamma 1 haze is taken away without evidence too. Writes
benchmarks/results/ultrasound_other_world.md, or ..._forced.md with --gamma.
"""

from __future__ import annotations

import argparse
import datetime
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.publish import publish
from sciddm.data_adapters.ultrasound import build_frames
from sciddm.data_adapters.ultrasound.channels import open_channels
from sciddm.data_adapters.ultrasound.sector import image_region
from sciddm.pipelines.engine.real_data import data_root
from sciddm.pipelines.ultrasound.beamform import beamform
from sciddm.pipelines.ultrasound.pipeline import UltrasoundDehazing

RANGE_DB = 60.0
LEVELS = (None, -30.0, -22.0, -16.0)  # dB of white
BEAM, WIDER = 2.0, 3.0  # pixels: speckle of these pictures; how much wider the beam of haze is

Real = NDArray[np.float32]
Row = dict[str, Any]
COLUMNS = {
    "haze_db": "haze / dB",
    "evidence": "evidence",
    "unchanged": "unchanged",
    "psnr_before": "PSNR before",
    "psnr_after": "PSNR after",
    "bright_db": "bright / dB",
    "texture_lost": "texture lost",
    "within": "within 90 %",
    "seconds": "processor s",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--gamma", type=float, help="of the pipeline; by the evidence if not given")
    args = parser.parse_args()
    pipeline = UltrasoundDehazing()
    rows = []
    for name, clean in pictures(data_root() / "ultrasound"):
        mask = image_region(clean[None])
        for level in LEVELS:
            hazy = clean if level is None else hazed(clean, mask, level)
            rows.append({"picture": name, **measured(pipeline, hazy, clean, mask, level, args)})
            print(rows[-1], flush=True)
    option = "" if args.gamma is None else f" --gamma {args.gamma:g}"
    lines = [
        "# Ultrasound: haze over real pictures and beamformed channel data",
        "",
        "Tissue made by scanners and by another simulator, haze by another law than that of the "
        "training data (see the benchmark's own text). PSNR to the picture without haze, dB; "
        "bright places: what they change by, dB of a range of 60, and the share of fine texture "
        "they lose. "
        "Pictures without evidence of haze are returned unchanged.",
        "",
        "| picture | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for row in rows:
        cells = (_text(row[k]) for k in COLUMNS)
        lines.append(f"| {row['picture']} | {' | '.join(cells)} |")
    lines += [
        "",
        "Made by `python -m benchmarks.ultrasound_other_world "
        f"--quality {args.quality}{option}` on "
        f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores.",
        "",
    ]
    name = "ultrasound_other_world" + ("" if args.gamma is None else "_forced")
    publish(name, "\n".join(lines), rows)


def pictures(folder: Path) -> Iterator[tuple[str, Real]]:
    """Names and pictures without haze, grey values from 0 to 1."""
    for name, file, key in (
        ("phantom, curved array", "bk_curvilinear_bmode_400x600_u8.npz", "img"),
        ("muscle over bone", "bone_l14_bmode_21x616x475_u8.npz", "frames"),
        ("spine phantom", "spine_phantom_bmode_21x616x450_u8.npz", "frames"),
        ("prostate phantom", "plus_prostate_phantom_bmode_4x480x640_u8.npz", "frames"),
        ("wire phantom", "ultrasonix_curvilinear_5f_u8.npz", "scan_converted"),
    ):
        with np.load(folder / file) as held:
            values = held[key]
        yield name, (values if values.ndim == 2 else values[0]).astype(np.float32) / 255
    for name, file, axes, depth in (
        ("disc, channel data", "pwi_disk_rf_334x128x32_i16.npz", "time element frame", (10, 36)),
        ("Field II points", "pybf_fieldii_pw3_rf_3x192x2313_i16.npz", None, (8, 40)),
    ):
        data = open_channels(folder / file, {"axes": axes}).isel(frame=[0])
        image = np.abs(beamform(data, depth_mm=depth, lines=256)["frames"].values[0])
        rows = ndimage.zoom(image, (400 / len(image), 1.0), order=1)
        db = 20 * np.log10(rows / np.percentile(rows, 99.8) + 1e-6)
        yield name, np.clip(1 + db / RANGE_DB, 0, 1).astype(np.float32)


def hazed(clean: Real, mask: NDArray[np.bool_], level_db: float) -> Real:
    """The picture under haze of a level, dB of white."""
    rng = np.random.default_rng(0)
    field = rng.standard_normal((2, *clean.shape))
    field = ndimage.gaussian_filter(field, (0, BEAM, BEAM * WIDER))
    field /= np.sqrt(2 * np.square(field).mean())
    rows = np.nonzero(mask.any(axis=1))[0]
    depth = np.clip((np.arange(len(clean)) - rows[0]) / max(1, np.ptp(rows)), 0, 1)
    strength = 10 ** ((level_db - 12 * depth[:, None]) / 20)
    tissue = np.where(clean > 0, 10 ** ((clean - 1) * RANGE_DB / 20), 0)
    amplitude = np.hypot(tissue + strength * field[0], strength * field[1])
    grey = np.clip(1 + 20 * np.log10(np.maximum(amplitude, 1e-6)) / RANGE_DB, 0, 1)
    return np.where(mask, np.round(255 * grey) / 255, clean).astype(np.float32)


def measured(
    pipeline: UltrasoundDehazing,
    hazy: Real,
    clean: Real,
    mask: NDArray[np.bool_],
    level: float | None,
    args: argparse.Namespace,
) -> Row:
    """What the pipeline makes of one picture."""
    data = build_frames(Path("picture"), hazy, "bmode", form="benchmark", mask=mask)
    start = time.process_time()
    result = pipeline(data, quality=args.quality, gamma=args.gamma)
    seconds = time.process_time() - start
    after = result["frames"].values[0]
    half = 1.6449 * result["std"].values[0][mask & (hazy > 0)]
    within = float((np.abs(after - clean)[mask & (hazy > 0)] <= half).mean())
    bright = mask & (ndimage.gaussian_filter(clean, 4) > np.quantile(clean[mask], 0.8))

    def psnr(image: Real) -> float:
        return float(-10 * np.log10(np.square(image - clean)[mask].mean() + 1e-12))

    def texture(image: Real) -> float:
        return float((image - ndimage.gaussian_filter(image, 1.5))[bright].std())

    return {
        "haze_db": "none" if level is None else level,
        "evidence": float(result.attrs.get("haze_evidence", np.nan)),
        "unchanged": "yes" if result.attrs["unchanged"] else "no",
        "psnr_before": "" if level is None else psnr(hazy),
        "psnr_after": "" if level is None else psnr(after),
        "bright_db": RANGE_DB * float((after - hazy)[bright].mean()),
        "texture_lost": 1 - texture(after) / texture(hazy),
        "within": "" if result.attrs["unchanged"] else within,
        "seconds": seconds,
    }


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
