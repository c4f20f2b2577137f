"""Low-dose CT: units, dose simulation, image quality, and a filter trained on one image."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciddm.pipelines.ct.dose import (
        count,
        line_integrals,
        low_dose_image,
        low_dose_sinogram,
        thin_counts,
    )
    from sciddm.pipelines.ct.methods.filter2noise import apply_maps, fit_filter2noise
    from sciddm.pipelines.ct.metrics import (
        SOFT_TISSUE,
        cnr,
        hu_bias,
        psnr,
        rmse,
        ssim,
        uniform_regions,
    )
    from sciddm.pipelines.ct.mtf import distance_to_disk, distance_to_line, edge_mtf
    from sciddm.pipelines.ct.nps import noise_power, radial_mean
    from sciddm.pipelines.ct.units import MU_WATER, to_attenuation, to_hu

__all__ = [
    "MU_WATER",
    "SOFT_TISSUE",
    "apply_maps",
    "cnr",
    "count",
    "distance_to_disk",
    "distance_to_line",
    "edge_mtf",
    "fit_filter2noise",
    "hu_bias",
    "line_integrals",
    "low_dose_image",
    "low_dose_sinogram",
    "noise_power",
    "psnr",
    "radial_mean",
    "rmse",
    "ssim",
    "thin_counts",
    "to_attenuation",
    "to_hu",
    "uniform_regions",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use: torch takes seconds to import, `sciddm --help` should not.
    if name in __all__:
        for part in ("dose", "methods.filter2noise", "metrics", "mtf", "nps", "units"):
            module = import_module(f"sciddm.pipelines.ct.{part}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
