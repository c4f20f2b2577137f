"""Reconstructions without a learned prior: zero-filled, and sigpy's SENSE, L1-wavelet and TV.

    zero-filled   A^H y
    CG-SENSE      argmin 1/2 |A x - y|^2 + w/2 |x|^2        conjugate gradients
    L1-wavelet    argmin 1/2 |A x - y|^2 + w |W x|_1        FISTA, db4
    TV            argmin 1/2 |A x - y|^2 + w |G x|_1        primal-dual, finite differences

The weight w is chosen by PSNR. Simulated data: the best mean over the tuning slices of the same
acceleration, then the same for all test slices. Real scan: the best weight for each case, by the
truth, a help that the learned methods do not get; and, as "... (tuned on simulations)", the better
of the weights of the simulated data.

Runs in the peers' environment:  python -m benchmarks.classical PROBLEMS RESULTS
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter

import numpy as np
import sigpy.mri.app as app
from numpy.typing import NDArray

from benchmarks.metrics import psnr
from benchmarks.problems import Problem, load_problems
from benchmarks.results import TUNED, Result, cached
from benchmarks.tuning import search

Solver = Callable[[Problem, float], NDArray]


def _weights(p: Problem) -> NDArray[np.float32]:
    return p.mask.astype(np.float32)  # sigpy takes the root: of a bool that is half precision


def cg_sense(p: Problem, weight: float) -> NDArray:
    return app.SenseRecon(
        p.kspace, p.maps, weights=_weights(p), lamda=weight, max_iter=40, show_pbar=False
    ).run()


def l1_wavelet(p: Problem, weight: float) -> NDArray:
    return app.L1WaveletRecon(
        p.kspace, p.maps, weight, weights=_weights(p), max_iter=100, show_pbar=False
    ).run()


def total_variation(p: Problem, weight: float) -> NDArray:
    # The dual variable lies within [-weight, weight]: with a step in proportion 120 iterations
    # are converged, with sigpy's default (1) more than 600 are needed.
    return app.TotalVariationRecon(
        p.kspace,
        p.maps,
        weight,
        weights=_weights(p),
        sigma=10 * weight,
        max_iter=120,
        show_pbar=False,
    ).run()


#: Name, solver and where the search for the weight starts (images have bright tissue near 1).
METHODS: dict[str, tuple[Solver, float]] = {
    "CG-SENSE": (cg_sense, 0.004),
    "L1-wavelet": (l1_wavelet, 0.002),
    "TV": (total_variation, 0.001),
}


def magnitude(p: Problem, image: NDArray) -> NDArray:
    """|x| in the reference's units."""
    return np.abs(image) * p.gain


def main(problems: Path, results: Path) -> None:
    tests = load_problems(problems, "test")
    tuning = load_problems(problems, "tune")
    for p in tests:
        result = Result(p.zero_filled, p.info["seconds"])
        cached(results, "zero-filled", p, 1, lambda result=result: result)
    for name, (solver, start) in METHODS.items():

        @cache
        def weight_for(acceleration: int, solver: Solver = solver, start: float = start) -> float:
            cases = [p for p in tuning if p.info["acceleration"] == acceleration]
            return best_weight(solver, cases, start)

        for p in tests:

            def make(p: Problem = p, solver: Solver = solver, start: float = start) -> Result:
                if p.info["kind"] == "real":
                    weight = best_weight(solver, [p], start)
                else:
                    weight = weight_for(p.info["acceleration"])
                return _timed(p, lambda: solver(p, weight), {"weight": weight})

            def make_tuned(p: Problem = p, solver: Solver = solver) -> Result:
                known = {r: weight_for(r) for r in {t.info["acceleration"] for t in tuning}}
                own = known.get(p.info["acceleration"])
                made = [
                    _timed(p, lambda w=w: solver(p, w), {"weight": w})
                    for w in (set(known.values()) if own is None else (own,))
                ]
                return max(made, key=lambda r: psnr(r.image, p.reference))

            key = [1, [t.digest() for t in tuning]]
            made = {name: cached(results, name, p, key, make)}
            if p.info["kind"] == "real":
                other = TUNED.format(name)
                made[other] = cached(results, other, p, key, make_tuned)
            for label, r in made.items():
                quality = psnr(r.image, p.reference)
                print(
                    f"{label:12s} {p.info['name']:24s} {quality:6.2f} dB  {r.settings}", flush=True
                )


def best_weight(solver: Solver, cases: list[Problem], start: float) -> float:
    """The weight with the best mean PSNR over ``cases``."""

    def score(weight: float) -> float:
        return float(np.mean([psnr(magnitude(p, solver(p, weight)), p.reference) for p in cases]))

    return search(score, start)[0]


def _timed(p: Problem, run: Callable[[], NDArray], settings: dict) -> Result:
    start = perf_counter()
    image = run()
    seconds = perf_counter() - start + p.info["seconds"]
    return Result(magnitude(p, image), seconds, settings=settings)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
