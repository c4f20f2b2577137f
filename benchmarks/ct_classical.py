"""Filters of an image without a network: Gaussian, TV, non-local means, BM3D.

    Gaussian   width in pixels
    TV         argmin |x - y|^2 / 2 + w |grad x|_1     Chambolle, scikit-image
    NLM        patches of 5 x 5 within 13 x 13, width of the weights; scikit-image
    BM3D       standard deviation of white noise; the package bm3d (non-commercial licence)

Each filters the low-dose image ("TV"), for comparison with methods that are given that image, and
the filtered back-projection of the projections ("FBP + TV"), for comparison with methods that are
given the projections. Its one parameter is the best on the tuning slices of the same dose or number
of views, by the RMSE in [-160, 240] HU, then the same for all test slices.

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
    """In the window of soft tissue, as `sciddm.metrics.hounsfield`, which BM3D's environment
    does not have."""
    return float(np.sqrt(np.mean((np.clip(image, *WINDOW) - np.clip(p.reference, *WINDOW)) ** 2)))


def main(problems: Path, results: Path, methods: list[str]) -> None:
    tests, tuning = load_problems(problems, "test"), load_problems(problems, "tune")
    for name in methods:
        _rows(results, name, name, lambda p: p.image, _doses(tests), _doses(tuning))
        _rows(results, f"FBP + {name}", name, lambda p: p.fbp, tests, tuning)


def _doses(problems: list[CTProblem]) -> list[CTProblem]:
    return [p for p in problems if p.info["kind"] == "dose"]


def _rows(
    results: Path,
    row: str,
    method: str,
    seen: Callable[[CTProblem], NDArray],
    tests: list[CTProblem],
    tuning: list[CTProblem],
) -> None:
    apply, first = METHODS[method]

    @cache
    def parameter(setting: str) -> float:
        cases = [p for p in tuning if p.setting == setting]

        def score(value: float) -> float:
            return -float(np.mean([rmse(apply(seen(p), value), p) for p in cases]))

        best, _ = search(score, first)
        return best

    def make(p: CTProblem) -> Result:
        value = parameter(p.setting)
        start = perf_counter()
        image = apply(seen(p).astype(np.float64), value)
        return Result(image, perf_counter() - start, settings={"parameter": value})

    for p in tests:
        cached(results, row, p, [tune.digest() for tune in tuning], lambda p=p: make(p))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or [m for m in METHODS if m != "BM3D"])
