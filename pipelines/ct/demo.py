"""`sciddm demo ct`: a low-dose scan of a body that needs no file and no patient."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sciddm.data_adapters.ct import open_ct, save_ct
from sciddm.metrics.hounsfield import psnr, rmse
from sciddm.pipelines.ct.simulate import low_dose_volume
from sciddm.pipelines.engine.domain import Example
from sciddm.pipelines.engine.summary import Fact
from sciddm.simulation.ct.phantom import body_phantom

__all__ = ["simulate"]

_SHAPE, _SLICES, _PIXEL_MM, _SLICE_MM = (256, 256), 3, 1.4, 3.0
_DOSE, _SEED = 0.25, 0


def simulate(folder: Path) -> Example:
    """Writes full.nii.gz, the body, and low-dose/, the scan as a DICOM series, into a folder."""
    body = body_phantom(_SHAPE, _SLICES, pixel_mm=_PIXEL_MM, slice_mm=_SLICE_MM, seed=_SEED)
    low = low_dose_volume(body, _DOSE, seed=_SEED)
    truth, source, target = folder / "full.nii.gz", folder / "low-dose", folder / "denoised"
    save_ct(body, truth, description="body phantom", overwrite=True)
    save_ct(low, source, description=f"body phantom at {_DOSE:.0%} dose", overwrite=True)

    def facts() -> Iterator[Fact]:
        for key, label, path in (("low_dose", "low-dose ", source), ("denoised", "", target)):
            image = open_ct(path).values
            for name, value, unit in (
                ("rmse_hu", rmse(image, body.values), "HU"),
                ("psnr_db", psnr(image, body.values), "dB"),
            ):
                words = f"{label}{name.split('_')[0].upper()}"
                yield Fact(f"{key}_{name}", words, value, f"{value:.2f} {unit}")

    return Example(source, target, (source, truth), {"seed": _SEED}, facts, truth)
