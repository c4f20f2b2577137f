"""Peers of the hyperspectral benchmark, run in their own environment.

    python -m benchmarks.hsi_peers PROBLEMS RESULTS

FORPDN           first-order roughness penalty in the wavelet domain (Rasti et al. 2014), HyDe
HyRes            sparse and low-rank restoration by SURE (Rasti et al. 2017), HyDe
low rank + BM3D  FastHyDe's idea (Zhuang and Bioucas-Dias 2018): bands divided by their noise, the
                 10 strongest eigenimages denoised by BM3D at sigma 1
BM4D             (Maggioni et al. 2013) of the bands divided by their noise

The last two are told the true standard deviation of every band; the first two estimate it.
"""

from __future__ import annotations

import importlib.metadata
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.hsi_problems import Cube, HSIProblem, load_problems
from benchmarks.results import Result, cached

_RANK = 10


def forpdn(p: HSIProblem) -> Cube:
    from hyde import FORPDN_SURE

    return _hyde(FORPDN_SURE(), p.noisy)


def hyres(p: HSIProblem) -> Cube:
    from hyde import HyRes

    return _hyde(HyRes(), p.noisy)


def lowrank_bm3d(p: HSIProblem) -> Cube:
    from bm3d import bm3d

    sigma = p.sigma[:, None]
    white = p.noisy.reshape(len(p.noisy), -1) / sigma
    basis = np.linalg.svd(white, full_matrices=False)[0][:, :_RANK]
    images = (basis.T @ white).reshape(-1, *p.noisy.shape[1:])
    done = np.stack([bm3d(image, 1.0) for image in images])
    return (basis @ done.reshape(len(done), -1) * sigma).reshape(p.noisy.shape)


def bm4d(p: HSIProblem) -> Cube:
    from bm4d import bm4d as run

    sigma = p.sigma[:, None, None]
    # Bands last, as volumes have them.
    white = np.moveaxis(p.noisy / sigma, 0, -1)
    return np.moveaxis(run(white, 1.0), -1, 0) * sigma


def _hyde(method: Callable, noisy: Cube) -> Cube:
    import torch

    cube = torch.from_numpy(np.ascontiguousarray(np.moveaxis(noisy, 0, -1)))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = method(cube)
    found = found[0] if isinstance(found, tuple) else found
    return np.moveaxis(found.numpy(), -1, 0)


METHODS: dict[str, tuple[str, Callable[[HSIProblem], Cube]]] = {
    "FORPDN": ("hyde-images", forpdn),
    "HyRes": ("hyde-images", hyres),
    "low rank + BM3D": ("bm3d", lowrank_bm3d),
    "BM4D": ("bm4d", bm4d),
}


def main(problems: Path, results: Path) -> None:
    for name, (package, method) in METHODS.items():
        version = f"{package} {importlib.metadata.version(package)}"
        for p in load_problems(problems):

            def make(
                p: HSIProblem = p, method: Callable = method, version: str = version
            ) -> Result:
                start = perf_counter()
                cube = np.asarray(method(p), np.float32)
                return Result(cube, perf_counter() - start, settings={"package": version})

            try:
                cached(results, name, p, version, make)
            except Exception as error:  # one that cannot do a case is left out of its row
                print(f"benchmark: {name}, {p.info['name']}: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
