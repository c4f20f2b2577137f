"""CT by another simulator than that of the training: projections and filters of scikit-image.

    python -m benchmarks.ct_other_simulator [--quality fast]

A slice is projected by ``radon`` (360 views, a parallel beam), counted (Poisson quanta and
electronic noise of 5) at two doses and reconstructed by ``iradon`` with the ramp and with Hann's
filter; the reference is the reconstruction of the projections without noise. Pixels are 1 mm
(validation patients 037 and 040 of the STS slices) and 3 mm (two slices of the TotalSegmentator
example). Beside `residual` stands total variation (Chambolle), its weight tuned by the reference.
Water holds white and ramp-filtered noise.

Prints the RMSE in [-160, 240] HU within the field of view, the share of pixels of the body within
+-1.645 standard deviations, the standard deviation over the error, and the verdict on the input.
Below: the change by a rotation by 90 degrees, the error in white noise alone and with two
neighbouring slices of the same water, and detectability: the index d' of a channelised Hotelling
observer (difference-of-Gaussian channels of 2, 4, 8 and 16 pixels) for discs of 10 HU in water with
ramp-filtered noise of 20 HU, before and after. Writes benchmarks/results/ct_other_simulator.md.
"""

from __future__ import annotations

import argparse
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.ct_problems import _nifti
from benchmarks.problems import data_root
from benchmarks.publish import publish
from sciddm.pipelines.ct import CTDenoising

Real = NDArray[np.float32]
Row = dict[str, Any]

VIEWS, ELECTRONIC_SD, MU_WATER = 360, 5.0, 0.02
DOSES = {1.0: (20_000, 4_000), 3.0: (20_000, 8_000)}  # quanta a reading
WEIGHTS = (3, 6, 10, 15, 20, 30, 40, 60, 80, 110, 150, 200)
WINDOW = (-160.0, 240.0)
SIDE, RADIUS = 128, 54
DISCS_MM, CONTRAST, NOISE, LESIONS = (2.0, 4.0, 8.0), 10.0, 20.0, 24


@dataclass(frozen=True)
class Case:
    """A noisy image, the image without noise, and where both count."""

    name: str
    noisy: Real
    reference: Real
    body: NDArray[np.bool_]
    field: NDArray[np.bool_]
    pixel_mm: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", default="balanced")
    args = parser.parse_args()
    pipeline = CTDenoising.from_pretrained()
    rows = [score(case, pipeline, args.quality) for case in [*scans(), *water()]]
    lines = ["# CT by another simulator", "", *table(rows), "", *summary(rows), ""]
    lines += [*extras(pipeline, args.quality), ""]
    lines += [
        f"Made by `python -m benchmarks.ct_other_simulator --quality {args.quality}` on "
        f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores.",
        "",
    ]
    publish("ct_other_simulator", "\n".join(lines), rows)


def scans() -> Iterator[Case]:
    """The slices, doses and filters."""
    from skimage.transform import iradon, radon

    for name, hu, pixel_mm in slices():
        n = len(hu)
        radius = np.hypot(*(np.mgrid[:n, :n] - n // 2))
        inside = radius < n / 2 - 1
        mu = np.where(inside, np.clip(MU_WATER * (hu / 1000 + 1), 0, None), 0) * pixel_mm
        angles = np.arange(VIEWS) * 180 / VIEWS
        p = radon(mu, theta=angles)
        for quanta in DOSES[pixel_mm]:
            rng = np.random.default_rng(quanta)
            counts = rng.poisson(quanta * np.exp(-p)) + rng.normal(0, ELECTRONIC_SD, p.shape)
            measured = -np.log(np.maximum(counts, 1) / quanta)
            for kernel in ("ramp", "hann"):
                noisy, reference = (
                    np.where(
                        inside,
                        iradon(s, theta=angles, filter_name=kernel) / pixel_mm / MU_WATER * 1000
                        - 1000,
                        -1000,
                    ).astype(np.float32)
                    for s in (measured, p)
                )
                field = radius < n / 2 - 3
                label = f"{name}, {pixel_mm:g} mm, {kernel}, {quanta} quanta"
                yield Case(label, noisy, reference, body(reference) & field, field, pixel_mm)


def slices() -> Iterator[tuple[str, Real, float]]:
    folder = data_root() / "ct"
    with h5py.File(folder / "sts_ct_1mm_slices.h5") as file:
        for patient in ("STS_037", "STS_040"):
            stored = file[patient][len(file[patient]) // 2].astype(np.float32)
            yield patient, square(8 * stored - 1000, 192), 1.0
    volume, _ = _nifti(folder / "totalsegmentator_example_ct_3mm.nii.gz")
    for z in (len(volume) // 3, 2 * len(volume) // 3):
        yield f"TotalSegmentator {z}", square(volume[z], max(volume.shape[1:])), 3.0


def square(hu: Real, most: int) -> Real:
    """The middle, at most so many pixels a side, in air where it is not square."""
    side = min(max(hu.shape), most) // 2 * 2
    out = np.full((side, side), -1000, np.float32)
    cuts, places = [], []
    for n in hu.shape:
        kept = min(n, side)
        cuts.append(slice((n - kept) // 2, (n - kept) // 2 + kept))
        places.append(slice((side - kept) // 2, (side - kept) // 2 + kept))
    out[tuple(places)] = hu[tuple(cuts)]
    return out


def water() -> Iterator[Case]:
    """Water with noise that no projections made."""
    image, inside = phantom()
    for level in (10.0, 30.0, 60.0):
        for kind in ("white", "ramp"):
            noisy = image + level * noise(kind, int(level))
            yield Case(f"water, {kind}, {level:g} HU", noisy, image, inside, inside, 1.0)


def phantom() -> tuple[Real, NDArray[np.bool_]]:
    radius = np.hypot(*(np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2))
    return np.where(radius < RADIUS + 4, 0, -1000).astype(np.float32), radius < RADIUS


def noise(kind: str, seed: int) -> Real:
    """Unit noise (y, x), white or behind a ramp filter."""
    white = np.random.default_rng(seed).standard_normal((SIDE, SIDE))
    if kind == "ramp":
        f = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
        white = np.fft.ifft2(np.fft.fft2(white) * f).real
    return (white / white.std()).astype(np.float32)


def body(hu: Real) -> NDArray[np.bool_]:
    solid = ndimage.binary_opening(ndimage.gaussian_filter(hu, 1) > -300, iterations=2)
    out: NDArray[np.bool_] = ndimage.binary_erosion(solid)
    return out


def denoised(
    images: Real, pixel_mm: float, pipeline: CTDenoising, quality: Any, slice_mm: float = 20.0
) -> xr.Dataset:
    """Of slices (z, y, x); further apart than 6 mm they are denoised alone."""
    attrs = {"units": "HU", "voxel_size_mm": [slice_mm, pixel_mm, pixel_mm]}
    volume = xr.DataArray(np.asarray(images, np.float32), dims=("z", "y", "x"), attrs=attrs)
    return pipeline(volume, quality=quality, seed=0)


def rmse(image: Real, case: Case) -> float:
    difference = np.clip(image, *WINDOW) - np.clip(case.reference, *WINDOW)
    return float(np.sqrt((difference[case.field] ** 2).mean()))


def score(case: Case, pipeline: CTDenoising, quality: Any) -> Row:
    from skimage.restoration import denoise_tv_chambolle

    result = denoised(case.noisy[None], case.pixel_mm, pipeline, quality)
    image, std = result["denoised"].values[0], result["std"].values[0]
    clipped = np.clip(case.noisy, -1100, 1500)
    smooth = (denoise_tv_chambolle(clipped, weight=w, max_num_iter=200) for w in WEIGHTS)
    error = np.abs(image - case.reference)[case.body]
    return {
        "case": case.name,
        "low_dose": rmse(case.noisy, case),
        "tv": min(rmse(s.astype(np.float32), case) for s in smooth),
        "residual": rmse(image, case),
        "coverage": float((error <= 1.645 * std[case.body]).mean()),
        "std_over_error": float(std[case.body].mean() / np.sqrt((error**2).mean())),
        "familiar": result.attrs["verdict_familiar"],
    }


def table(rows: list[Row]) -> list[str]:
    lines = [
        "| case | low dose | TV, tuned by the truth | residual | coverage of 90 % | std / error | "
        "familiar |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['case']} | {r['low_dose']:.1f} | {r['tv']:.1f} | {r['residual']:.1f} | "
            f"{r['coverage']:.2f} | {r['std_over_error']:.2f} | {r['familiar']} |"
        )
    return lines


def summary(rows: list[Row]) -> list[str]:
    ratios = np.array([r["residual"] / r["tv"] for r in rows if "water" not in r["case"]])
    coverage = np.array([r["coverage"] for r in rows])
    return [
        f"RMSE over that of total variation: {ratios.mean():.3f} on average, below it in "
        f"{int((ratios < 1).sum())} of {len(ratios)} scans, at most {ratios.max():.2f}. Coverage: "
        f"{coverage.mean():.3f} on average, {coverage.min():.2f} to {coverage.max():.2f}."
    ]


def extras(pipeline: CTDenoising, quality: Any) -> list[str]:
    """Rotation, neighbours, detectability."""
    image, inside = phantom()
    noisy = image + 30 * noise("white", 5)
    alone = denoised(noisy[None], 1.0, pipeline, quality)["denoised"].values[0]
    turned = denoised(np.rot90(noisy)[None], 1.0, pipeline, quality)["denoised"].values[0]
    change = float(np.abs(np.rot90(turned, -1) - alone)[inside].mean())
    stack = np.stack([image + 30 * noise("white", seed) for seed in (6, 5, 7)])
    middle = denoised(stack, 1.0, pipeline, quality, 2.0)["denoised"].values[1]
    errors = [float((i - image)[inside].std()) for i in (alone, middle)]
    lines = [
        f"A rotation by 90 degrees changes water with white noise of 30 HU by {change:.2f} HU on "
        f"average. Its error is {errors[0]:.2f} HU alone and {errors[1]:.2f} HU between two "
        f"neighbours ({errors[1] / errors[0] - 1:+.0%}).",
        "",
        "| disc | d' of the low dose | d' of residual |",
        "|---|---|---|",
    ]
    for size, before, after in detectability(pipeline, quality):
        lines.append(f"| {size:g} mm, {CONTRAST:g} HU | {before:.2f} | {after:.2f} |")
    return lines


def detectability(pipeline: CTDenoising, quality: Any) -> Iterator[tuple[float, float, float]]:
    """(diameter, d' before, d' after) of a channelised Hotelling observer, 1 mm pixels."""
    image, _ = phantom()
    places = [(44, 44), (44, 84), (84, 44), (84, 84)]
    for size in DISCS_MM:
        disc = np.zeros_like(image)
        for y, x in places:
            distance = np.hypot(np.mgrid[:SIDE, :SIDE][0] - y, np.mgrid[:SIDE, :SIDE][1] - x)
            disc += CONTRAST * np.clip(size / 2 + 0.5 - distance, 0, 1)
        seen: dict[tuple[bool, bool], list[Real]] = {}
        for present in (False, True):
            images = np.stack(
                [
                    image + present * disc + NOISE * noise("ramp", 100 + k + 50 * present)
                    for k in range(LESIONS // len(places))
                ]
            )
            clean = denoised(images, 1.0, pipeline, quality)["denoised"].values
            for after, stack in ((False, images), (True, clean)):
                seen[after, present] = [channels(i, at) for i in stack for at in places]
        yield size, *(hotelling(seen[after, True], seen[after, False]) for after in (False, True))


def channels(image: Real, at: tuple[int, int]) -> Real:
    """Responses of difference-of-Gaussian channels at a place."""
    blurred = [ndimage.gaussian_filter(image, w / 2.355) for w in (1, 2, 4, 8, 16)]
    return np.array([(a - b)[at] for a, b in pairwise(blurred)])


def hotelling(present: list[Real], absent: list[Real]) -> float:
    """d' = sqrt(s^T S^-1 s): s the difference of means, S the mean of both covariances."""
    with_, without = np.array(present), np.array(absent)
    signal = with_.mean(0) - without.mean(0)
    covariance = (np.cov(with_.T) + np.cov(without.T)) / 2
    return float(np.sqrt(signal @ np.linalg.solve(covariance, signal)))


if __name__ == "__main__":
    main()
