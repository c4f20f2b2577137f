"""Filters of the log-compressed image without a network: non-local means and BM3D.

    NLM    patches of 7 x 7 within 19 x 19, width of the weights; scikit-image
    BM3D   standard deviation of white noise; the package bm3d (non-commercial licence)

After either, grey values are lowered by a constant and clipped at 0, the gain that a sonographer
would turn down against haze. Both numbers are the best on the tuning scans of the same haze, by
PSNR, then the same for all test scans: whoever tunes by a truth gets the best of these methods.

    python -m benchmarks.ultrasound_classical FOLDER METHOD

FOLDER holds images.npz, which `benchmarks.ultrasound` makes. BM3D runs in an environment of its own
(peers_ct.sh), the other in the project's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

Filter = Callable[[NDArray, float], NDArray]

STRENGTHS = {"NLM": (0.02, 0.04, 0.07, 0.1, 0.15), "BM3D": (0.03, 0.06, 0.1, 0.15, 0.2)}
LOWERED = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)


def non_local_means(image: NDArray, width: float) -> NDArray:
    from skimage.restoration import denoise_nl_means

    return denoise_nl_means(image, patch_size=7, patch_distance=9, h=width, fast_mode=True)


def bm3d(image: NDArray, sd: float) -> NDArray:
    import bm3d as package

    return package.bm3d(image, sd)


FILTERS: dict[str, Filter] = {"NLM": non_local_means, "BM3D": bm3d}


def main(folder: Path, method: str) -> None:
    """Filters the images in FOLDER/images.npz (NAME and NAME.clean), writes FOLDER/METHOD.npz."""
    with np.load(folder / "images.npz") as file:
        images = {k: file[k].astype(np.float64) for k in file.files if k != "about"}
        about = json.loads(str(file["about"]))
    apply = FILTERS[method]
    made: dict[str, NDArray] = {}
    settings = {}
    for haze in sorted({i["haze_db"] for i in about.values()}):
        names = [n for n, i in about.items() if i["haze_db"] == haze]
        tuning = [n for n in names if about[n]["role"] == "tune"]
        best = (np.inf, 0.0, 0.0)
        for strength in STRENGTHS[method]:
            smooth = {n: apply(images[n], strength) for n in tuning}
            for lowered in LOWERED:
                error = np.mean(
                    [
                        np.mean((_low(smooth[n], lowered) - images[f"{n}.clean"]) ** 2)
                        for n in tuning
                    ]
                )
                best = min(best, (float(error), strength, lowered))
        for name in names:
            if about[name]["role"] == "test":
                start = perf_counter()
                made[name] = _low(apply(images[name], best[1]), best[2]).astype(np.float32)
                seconds = perf_counter() - start
                told = {"strength": best[1], "lowered": best[2], "seconds": seconds}
                settings[name] = told | {"data": about[name]["data"]}
    np.savez(folder / f"{method}.npz", **made, about=json.dumps(settings))


def _low(image: NDArray, by: float) -> NDArray:
    return np.clip(image - by, 0, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
