"""Hyperspectral cubes: noise, its estimation, simulated scenes and image quality."""

from sciddm.pipelines.hsi.estimate import NoiseEstimate, estimate_noise
from sciddm.pipelines.hsi.metrics import ergas, evaluate_cube, psnr, sam, ssim
from sciddm.pipelines.hsi.simulation import (
    Library,
    Sensor,
    finch_sensor,
    read_library,
    simulate_scene,
)

__all__ = [
    "Library",
    "NoiseEstimate",
    "Sensor",
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
