"""Hyperspectral cubes: noise, its estimation, classical denoising, simulated scenes, quality."""

from sciddm.pipelines.hsi.estimate import NoiseEstimate, estimate_noise
from sciddm.pipelines.hsi.methods import METHODS, denoise_cube
from sciddm.pipelines.hsi.metrics import ergas, evaluate_cube, psnr, sam, ssim
from sciddm.pipelines.hsi.simulation import (
    Library,
    Sensor,
    finch_sensor,
    read_library,
    simulate_scene,
)

__all__ = [
    "METHODS",
    "Library",
    "NoiseEstimate",
    "Sensor",
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
