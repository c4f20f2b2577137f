"""The rows of the CT benchmark that sciddm makes, by its public pipelines.

FBP and TV-iterative are classical methods that happen to be in the pipelines; the regression is a
network of the size of ours, trained on the same data to give the mean (the recipe `ct-regression`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import xarray as xr

import sciddm
from benchmarks.ct_problems import CTProblem, load_problems
from benchmarks.results import Result, cached
from sciddm import zoo
from sciddm.data_adapters.ct import build_sinogram
from sciddm.errors import SciddmError
from sciddm.physics import FanBeam
from sciddm.pipelines.ct.methods.residual import ResidualDiffusion
from sciddm.pipelines.ct.pipeline_denoising import CTDenoising
from sciddm.pipelines.ct.pipeline_reconstruction import CTReconstruction
from sciddm.pipelines.ct.settings import ResidualSettings
from sciddm.pipelines.ct.slices import SliceStack
from sciddm.pipelines.ct.texture import body_mask

COVERED, WIDTH = 0.9, 1.645
ELECTRONIC_SD = 10.0


def volume_of(p: CTProblem, alone: bool = False) -> xr.DataArray:
    """The low-dose images as the pipeline's input; the slice without its neighbours if alone."""
    attrs = {"units": "HU", "voxel_size_mm": p.info["voxel_size_mm"], "source": p.info["name"]}
    images = p.image[None] if alone else p.images
    return xr.DataArray(images, dims=("z", "y", "x"), attrs=attrs)


def sinogram_of(p: CTProblem) -> xr.Dataset:
    """The projections as the pipeline's input."""
    return build_sinogram(
        p.sinogram,
        FanBeam(tuple(p.angles), **p.beam),
        incident_flux=p.info["flux"],
        electronic_sd=ELECTRONIC_SD,
        image_shape=list(p.reference.shape),
        image_pixel_mm=p.info["voxel_size_mm"][2],
        source=p.info["name"],
    )


def denoise(pipeline: CTDenoising, p: CTProblem, method: Any, quality: Any) -> Result:
    alone = method == "filter2noise"  # it looks at the slice only
    volume, middle = volume_of(p, alone), 0 if alone else p.info["middle"]
    start = perf_counter()
    out = pipeline(volume, method=method, quality=quality, seed=0)
    seconds = (perf_counter() - start) / len(volume)
    std = out["std"].values[middle] if "std" in out else None
    return _result(p, out["denoised"].values[middle], std, seconds, out.attrs)


def reconstruct(pipeline: CTReconstruction, p: CTProblem, method: Any, quality: Any) -> Result:
    start = perf_counter()
    out = pipeline(sinogram_of(p), method=method, quality=quality, seed=0)
    seconds = perf_counter() - start
    std = out["std"].values[0] if "std" in out else None
    return _result(p, out["reconstruction"].values[0], std, seconds, out.attrs)


def regress(pipeline: CTDenoising, p: CTProblem) -> Result:
    """One evaluation at the end of the process, which is all that a regression is."""
    if pipeline.model is None:
        raise ValueError("a regression needs a model")
    settings = ResidualSettings(samples=1, steps=1)
    method = ResidualDiffusion(pipeline.model, pipeline.representation, settings)
    start = perf_counter()
    found = method(SliceStack(volume_of(p)), p.info["middle"], 0, lambda part: None)
    seconds = perf_counter() - start
    return _result(p, found.values.numpy(), None, seconds, {"nfe": 1, "nvjp": 0})


def _result(p: CTProblem, image: Any, std: Any, seconds: float, attrs: dict[str, Any]) -> Result:
    extra: dict[str, float] = {}
    if std is not None:
        inside = body_mask(p.reference[None])[0]
        within = np.abs(image - p.reference) <= WIDTH * std
        extra["coverage"] = float(within[inside].mean())
    if "consistency" in attrs:
        extra["consistency"] = float(attrs["consistency"])
    kept = ("samples", "steps", "iterations", "weights_sha256")
    settings = {k: attrs[k] for k in kept if k in attrs}
    return Result(image, seconds, int(attrs["nfe"]), int(attrs["nvjp"]), settings, extra)


def main(
    problems: Path,
    results: Path,
    qualities: list[str],
    denoiser: str,
    prior: str,
    regression: str,
    say: Callable[[str], None],
) -> list[str]:
    """Makes the rows; returns their names in order. Those without a model are left out."""
    tests = load_problems(problems, "test")
    dose = [p for p in tests if p.info["kind"] == "dose"]
    made: list[str] = []

    def row(name: str, cases: list[CTProblem], key: Any, make: Callable[..., Result]) -> None:
        say(name)
        for p in cases:
            cached(results, name, p, [sciddm.__version__, key], lambda p=p: make(p))
        made.append(name)

    for p in tests:  # what the input of every image method is: nothing is computed
        cached(results, "FBP", p, 1, lambda p=p: Result(p.image, 0.0))
    made.append("FBP")
    plain, plainly = CTReconstruction(), "balanced" if "balanced" in qualities else qualities[0]
    row("TV-iterative", tests, plainly, lambda p: reconstruct(plain, p, "tv", plainly))
    self_trained = CTDenoising()
    for method in CTDenoising.untrained:
        row(method, dose, plainly, lambda p, m=method: denoise(self_trained, p, m, plainly))
    regressor = _load(CTDenoising, regression, say)
    if regressor is not None:
        key = regressor.provenance["weights_sha256"]
        row("regression", dose, key, lambda p: regress(regressor, p))
    residual, posterior = _load(CTDenoising, denoiser, say), _load(CTReconstruction, prior, say)
    for quality in qualities:
        if residual is not None:
            key = [residual.provenance["weights_sha256"], quality]
            row(
                f"residual {quality}",
                dose,
                key,
                lambda p, q=quality: denoise(residual, p, "residual", q),
            )
        if posterior is not None:
            key = [posterior.provenance["weights_sha256"], quality]
            row(
                f"posterior {quality}",
                tests,
                key,
                lambda p, q=quality: reconstruct(posterior, p, "posterior", q),
            )
    return made


def _load(pipeline: Any, model: str, say: Callable[[str], None]) -> Any:
    try:
        zoo.find(model)
    except SciddmError as error:
        say(f"left out: {error}")
        return None
    return pipeline.from_pretrained(model)
