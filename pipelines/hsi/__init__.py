"""Hyperspectral cubes: noise and its estimation, denoising, simulated scenes, quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciddm.lazy import attach

if TYPE_CHECKING:
    from sciddm.data_adapters.hsi.library import read_library
    from sciddm.metrics.spectral import ergas, evaluate_cube, psnr, sam, ssim
    from sciddm.physics.spectral.estimate import NoiseEstimate, estimate_noise
    from sciddm.pipelines.hsi.methods import METHODS, build_method, denoise_cube
    from sciddm.pipelines.hsi.pipeline import HyperspectralDenoising
    from sciddm.simulation.hsi.scene import (
        Library,
        Sensor,
        bundled_library,
        finch_sensor,
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

_MODULES = {
    "HyperspectralDenoising": "sciddm.pipelines.hsi.pipeline",
    **dict.fromkeys(("METHODS", "build_method", "denoise_cube"), "sciddm.pipelines.hsi.methods"),
    **dict.fromkeys(("NoiseEstimate", "estimate_noise"), "sciddm.physics.spectral.estimate"),
    **dict.fromkeys(("ergas", "evaluate_cube", "psnr", "sam", "ssim"), "sciddm.metrics.spectral"),
    "read_library": "sciddm.data_adapters.hsi.library",
    **dict.fromkeys(
        ("Library", "Sensor", "bundled_library", "finch_sensor", "simulate_scene"),
        "sciddm.simulation.hsi.scene",
    ),
}
__getattr__, __dir__ = attach(__name__, _MODULES)
