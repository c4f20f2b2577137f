"""Hyperspectral cubes: noise and its estimation, denoising, simulated scenes, quality."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciddm.pipelines.hsi.estimate import NoiseEstimate, estimate_noise
    from sciddm.pipelines.hsi.methods import METHODS, build_method, denoise_cube
    from sciddm.pipelines.hsi.metrics import ergas, evaluate_cube, psnr, sam, ssim
    from sciddm.pipelines.hsi.pipeline import HyperspectralDenoising
    from sciddm.pipelines.hsi.simulation import (
        Library,
        Sensor,
        bundled_library,
        finch_sensor,
        read_library,
        simulate_scene,
    )

__all__ = [
    "METHODS",
    "HyperspectralDenoising",
    "Library",
    "NoiseEstimate",
    "Sensor",
    "build_method",
    "bundled_library",
    "denoise_cube",
    "ergas",
    "estimate_noise",
    "evaluate_cube",
    "finch_sensor",
    "psnr",
    "read_library",
    "sam",
    "simulate_scene",
    "ssim",
]

_SIMULATION = ("Library", "Sensor", "bundled_library", "finch_sensor", "read_library")
_WHERE = {
    "HyperspectralDenoising": "pipeline",
    **dict.fromkeys(("NoiseEstimate", "estimate_noise"), "estimate"),
    **dict.fromkeys(("METHODS", "build_method", "denoise_cube"), "methods"),
    **dict.fromkeys(("ergas", "evaluate_cube", "psnr", "sam", "ssim"), "metrics"),
    **dict.fromkeys((*_SIMULATION, "simulate_scene"), "simulation"),
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: torch and scipy take seconds to import, `sciddm --help` should not.
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
