"""Denoising methods behind one interface."""

from sciddm.classical.spectral.interface import (
    Estimate,
    Fitted,
    Method,
    SceneStatistics,
    Tile,
)
from sciddm.classical.spectral.moments import Moments
from sciddm.pipelines.hsi.methods.build import METHODS, QUALITIES, build_method
from sciddm.pipelines.hsi.methods.whole import denoise_cube

__all__ = [
    "METHODS",
    "QUALITIES",
    "Estimate",
    "Fitted",
    "Method",
    "Moments",
    "SceneStatistics",
    "Tile",
    "build_method",
    "denoise_cube",
]
