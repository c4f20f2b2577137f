"""Low-dose CT: denoising of images and reconstruction of projections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciddm.lazy import attach

if TYPE_CHECKING:
    from sciddm.classical.filter2noise import apply_maps, fit_filter2noise
    from sciddm.metrics.hounsfield import (
        SOFT_TISSUE,
        cnr,
        hu_bias,
        psnr,
        rmse,
        ssim,
        uniform_regions,
    )
    from sciddm.metrics.modulation_transfer import distance_to_disk, distance_to_line, edge_mtf
    from sciddm.metrics.noise_power import noise_power, radial_mean
    from sciddm.physics.tomography.dose import (
        count,
        line_integrals,
        low_dose_image,
        low_dose_sinogram,
        thin_counts,
    )
    from sciddm.physics.tomography.units import MU_WATER, to_attenuation, to_hu
    from sciddm.pipelines.ct.pipeline_denoising import CTDenoising
    from sciddm.pipelines.ct.pipeline_reconstruction import CTReconstruction

__all__ = [
    "MU_WATER",
    "SOFT_TISSUE",
    "CTDenoising",
    "CTReconstruction",
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

_MODULES = {
    "CTDenoising": "sciddm.pipelines.ct.pipeline_denoising",
    "CTReconstruction": "sciddm.pipelines.ct.pipeline_reconstruction",
    **dict.fromkeys(("apply_maps", "fit_filter2noise"), "sciddm.classical.filter2noise"),
    **dict.fromkeys(
        ("count", "line_integrals", "low_dose_image", "low_dose_sinogram", "thin_counts"),
        "sciddm.physics.tomography.dose",
    ),
    **dict.fromkeys(
        ("SOFT_TISSUE", "cnr", "hu_bias", "psnr", "rmse", "ssim", "uniform_regions"),
        "sciddm.metrics.hounsfield",
    ),
    **dict.fromkeys(
        ("distance_to_disk", "distance_to_line", "edge_mtf"), "sciddm.metrics.modulation_transfer"
    ),
    **dict.fromkeys(("noise_power", "radial_mean"), "sciddm.metrics.noise_power"),
    **dict.fromkeys(("MU_WATER", "to_attenuation", "to_hu"), "sciddm.physics.tomography.units"),
}
__getattr__, __dir__ = attach(__name__, _MODULES)
