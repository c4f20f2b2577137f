"""The rows of the CT benchmark that sciddm makes, by its public pipelines.

FBP and TV-iterative are classical methods that happen to be in the pipelines; the weight of the
latter is the best on the tuning slices of the same dose or number of views. The regression is a
network of the size of ours, trained on the same data to give the mean (the recipe `ct-regression`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import xarray as xr
from scipy.stats import norm

import sciddm
from benchmarks.ct_problems import CTProblem, load_problems
from benchmarks.results import Result, cached
from benchmarks.tuning import search
from sciddm import zoo
from sciddm.data_adapters.ct import build_sinogram
from sciddm.errors import SciddmError
from sciddm.geometry.slice_stack import SliceStack
from sciddm.metrics.hounsfield import rmse
from sciddm.metrics.texture import body_mask
from sciddm.physics import FanBeam
from sciddm.pipelines.ct.methods.residual import ResidualDiffusion
from sciddm.pipelines.ct.methods.total_variation import WeightedTotalVariation
from sciddm.pipelines.ct.pipeline_denoising import CTDenoising
from sciddm.pipelines.ct.pipeline_reconstruction import CTReconstruction
from sciddm.pipelines.ct.projections import scan_of
from sciddm.pipelines.ct.settings import POSTERIOR, RESIDUAL, TV, ResidualSettings, TVSettings
from sciddm.posterior import half_width

LEVEL = 0.9
LOW_DOSE, FBP = "low dose", "FBP"  # what the methods are given, as rows
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


def total_variation(p: CTProblem, settings: TVSettings) -> Result:
    """Weighted least squares with total variation, of any weight."""
    start = perf_counter()
    scan = scan_of(sinogram_of(p))
    image = WeightedTotalVariation(scan, settings)(
        torch.from_numpy(p.sinogram), 0, 0, lambda part: None
    )
    numbers = {"weight": settings.weight, "iterations": settings.iterations}
    return Result(image.values.numpy(), perf_counter() - start, settings=numbers)


def tuned(tuning: Sequence[CTProblem], plain: TVSettings) -> Callable[[str], TVSettings]:
    """The settings with the best weight for a dose or number of views, by the RMSE."""

    @cache
    def settings(setting: str) -> TVSettings:
        cases = [p for p in tuning if p.setting == setting]

        def score(weight: float) -> float:
            made = (total_variation(p, replace(plain, weight=weight)).image for p in cases)
            return -float(np.mean([rmse(i, p.reference) for i, p in zip(made, cases, strict=True)]))

        weight, _ = search(score, plain.weight)
        return replace(plain, weight=weight)

    return settings


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
        # The standard deviation of `residual` is an error's own, that of `posterior` the draws'.
        own = attrs.get("method") == "residual"
        width = norm.ppf(0.5 + LEVEL / 2) if own else half_width(int(attrs["samples"]), LEVEL)
        half = width * std
        within = np.abs(image - p.reference) <= half
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
    wanted: Callable[[str], bool],
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

    for p in dose:  # what every image method is given: nothing is computed
        cached(results, LOW_DOSE, p, 1, lambda p=p: Result(p.image, 0.0))
    for p in tests:
        cached(results, FBP, p, 1, lambda p=p: Result(p.fbp, 0.0))
    made += [LOW_DOSE, FBP]
    plainly: Any = "balanced" if "balanced" in qualities else qualities[0]
    if wanted("TV-iterative"):
        tuning = load_problems(problems, "tune")
        settings = tuned(tuning, TV[plainly])
        key = [asdict(TV[plainly]), [p.digest() for p in tuning]]
        row("TV-iterative", tests, key, lambda p: total_variation(p, settings(p.setting)))
    self_trained = CTDenoising()
    for method in filter(wanted, CTDenoising.untrained):
        row(method, dose, plainly, lambda p, m=method: denoise(self_trained, p, m, plainly))

    def pipeline_of(kind: Any, method: str, model: str) -> tuple[Any, str]:
        found = _load(kind, model, say) if wanted(method) else None
        return found, "" if found is None else found.provenance["weights_sha256"]

    regressor, weights = pipeline_of(CTDenoising, "regression", regression)
    if regressor is not None:
        row("regression", dose, weights, lambda p: regress(regressor, p))
    residual, weights = pipeline_of(CTDenoising, "residual", denoiser)
    posterior, priors = pipeline_of(CTReconstruction, "posterior", prior)
    for q in qualities:
        if residual is not None:
            key = [weights, asdict(RESIDUAL[q])]
            row(f"residual {q}", dose, key, lambda p, q=q: denoise(residual, p, "residual", q))
        if posterior is not None:
            key = [priors, asdict(POSTERIOR[q])]
            row(
                f"posterior {q}",
                tests,
                key,
                lambda p, q=q: reconstruct(posterior, p, "posterior", q),
            )
    return made


def _load(pipeline: Any, model: str, say: Callable[[str], None]) -> Any:
    try:
        zoo.find(model)
    except SciddmError as error:
        say(f"left out: {error}")
        return None
    return pipeline.from_pretrained(model)
