"""A prior of hyperspectral cubes of one's own: contract and checks.

Cubes that training has not seen get three times their own noise in addition, and are denoised with
the model and with the one that training began with. The cube as it was is the reference: its own
noise counts as part of the interval.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciddm.data_adapters.hsi.files import open_cube
from sciddm.denoiser import NetworkDenoiser
from sciddm.pipelines.hsi.own_scenes import KIND, read_scene
from sciddm.pipelines.hsi.pipeline import HyperspectralDenoising
from sciddm.pipelines.hsi.survey import Scene, survey
from sciddm.pipelines.own_prior.contract import Checks, Contract
from sciddm.pipelines.own_prior.split import Part
from sciddm.zoo.pretrained import Model

__all__ = ["CONTRACT", "check"]

_TIMES, _SCENES, _Z90 = 3.0, 3, 1.6449


def check(checks: Checks) -> dict[str, Any]:
    """Noise that is taken away, in dB, and coverage of the intervals."""
    part: Part = "test" if checks.prepared.of("test") else "validate"
    pipelines = {"own": HyperspectralDenoising.from_pretrained(checks.model)}
    if checks.start is not None:
        pipelines["start"] = HyperspectralDenoising.from_pretrained(checks.start)
    gains: dict[str, list[float]] = {label: [] for label in pipelines}
    covered: list[float] = []
    begin = time.monotonic()
    for number, entry in enumerate(checks.prepared.of(part)[:_SCENES]):
        if number and time.monotonic() - begin > checks.seconds:
            break
        cube = open_cube(Path(checks.prepared.source) / entry.file)
        known = survey(Scene(cube))
        noisy, sigma = _noisier(cube, known.noise.sigma, known.used, number)
        for label, pipeline in pipelines.items():
            result = pipeline(noisy, quality="fast", seed=number)
            before, after = (
                np.asarray(data["cube"].values[known.used] - cube["cube"].values[known.used])
                for data in (noisy, result)
            )
            finite = np.isfinite(before) & np.isfinite(after)
            gains[label].append(_decibels(before[finite], after[finite]))
            if label == "own" and "std" in result:
                std = np.asarray(result["std"].values[known.used], np.float64)
                half = _Z90 * np.hypot(std, sigma[:, None, None])
                covered.append(float((np.abs(after) <= half)[finite].mean()))
        checks.progress(
            f"{entry.file}: " + ", ".join(f"{k} {v[-1]:.2f} dB" for k, v in gains.items())
        )
    metrics = {label: round(float(np.mean(values)), 2) for label, values in gains.items()}
    out: dict[str, Any] = {
        "metrics": {
            "what": f"dB by which the error of {part} scenes with {_TIMES:g} times their own noise "
            "falls, reference: the scene as it was, fast",
            **metrics,
        }
    }
    if covered:
        out["coverage"] = {"90 % interval, fast": f"{np.mean(covered):.3f}"}
    return out


def _noisier(
    cube: xr.Dataset, noise: np.ndarray, used: np.ndarray, seed: int
) -> tuple[xr.Dataset, np.ndarray]:
    """The cube with more noise, in floating point, and the noise (band,) that it had."""
    values = np.asarray(cube["cube"].values, np.float32).copy()
    rng = np.random.default_rng(seed)
    added = rng.standard_normal((int(used.sum()), *values.shape[1:]), np.float32)
    values[used] += added * (_TIMES * noise).astype(np.float32)[:, None, None]
    return cube.assign(cube=(cube["cube"].dims, values, cube["cube"].attrs)), noise


def _decibels(before: np.ndarray, after: np.ndarray) -> float:
    return float(10 * np.log10(np.square(before).mean() / np.square(after).mean()))


def _accepts(model: Model) -> str:
    if not isinstance(model.model, NetworkDenoiser):
        return "it is no prior of single coefficient images"
    return (
        ""
        if model.representation.get("method") == "subspace"
        else "it is no model of method subspace"
    )


CONTRACT = Contract(
    kind=KIND,
    recipe="hsi-subspace",
    dataset="sciddm.pipelines.hsi.own_scenes.OwnScenes",
    read=read_scene,
    check=check,
    sizes=({}, {"channels": [24, 48, 96]}, {"channels": [16, 32, 64]}),
    crop=64,
    stride=4,
    accepts=_accepts,
)
