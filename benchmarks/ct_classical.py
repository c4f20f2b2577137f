"""Filters of the low-dose image without a network: Gaussian, TV, non-local means, BM3D.

    Gaussian   width in pixels
    TV         argmin |x - y|^2 / 2 + w |grad x|_1     Chambolle, scikit-image
    NLM        patches of 5 x 5 within 13 x 13, width of the weights; scikit-image
    BM3D       standard deviation of white noise; the package bm3d (non-commercial licence)

The one parameter of each is the best on the tuning slices of the same dose, by the RMSE in
[-160, 240] HU, then the same for all test slices.

    python -m benchmarks.ct_classical PROBLEMS RESULTS [METHOD ...]

BM3D runs in an environment of its own (peers_ct.sh), the others in the project's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.ct_problems import CTProblem, load_problems
from benchmarks.results import Result, cached
from benchmarks.tuning import search

Filter = Callable[[NDArray, float], NDArray]

WINDOW = (-160.0, 240.0)


def gaussian(image: NDArray, width: float) -> NDArray:
    from scipy import ndimage

    return ndimage.gaussian_filter(image, width)


def total_variation(image: NDArray, weight: float) -> NDArray:
    from skimage.restoration import denoise_tv_chambolle

    return denoise_tv_chambolle(image, weight=weight, eps=1e-5, max_num_iter=400)


def non_local_means(image: NDArray, width: float) -> NDArray:
    from skimage.restoration import denoise_nl_means

    return denoise_nl_means(image, patch_size=5, patch_distance=6, h=width, fast_mode=True)


def bm3d(image: NDArray, sd: float) -> NDArray:
    import bm3d as package

    return package.bm3d(image, sd)


#: Name, filter and where the search for its parameter starts, in pixels or HU.
METHODS: dict[str, tuple[Filter, float]] = {
    "Gaussian": (gaussian, 1.0),
    "TV": (total_variation, 20.0),
    "NLM": (non_local_means, 25.0),
    "BM3D": (bm3d, 30.0),
}


def rmse(image: NDArray, p: CTProblem) -> float:
    """In the window of soft tissue, as `sciddm.pipelines.ct.metrics`, which BM3D's environment
    does not have."""
    return float(np.sqrt(np.mean((np.clip(image, *WINDOW) - np.clip(p.reference, *WINDOW)) ** 2)))


def main(problems: Path, results: Path, methods: list[str]) -> None:
    tests = [p for p in load_problems(problems, "test") if p.info["kind"] == "dose"]
    tuning = [p for p in load_problems(problems, "tune") if p.info["kind"] == "dose"]
    for name in methods:
        apply, start = METHODS[name]

        @cache
        def parameter(dose: float, apply: Filter = apply, start: float = start) -> float:
            cases = [p for p in tuning if p.info["dose"] == dose]

            def score(value: float) -> float:
                return -float(np.mean([rmse(apply(p.image, value), p) for p in cases]))

            best, _ = search(score, start)
            return best

        for p in tests:

            def make(p: CTProblem = p, apply: Filter = apply) -> Result:
                value = parameter(p.info["dose"])
                start = perf_counter()
                image = apply(p.image.astype(np.float64), value)
                return Result(image, perf_counter() - start, settings={"parameter": value})

            cached(results, name, p, [tune.digest() for tune in tuning], make)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or [m for m in METHODS if m != "BM3D"])
