"""Sentences on the methods of a segmentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciddm.pipelines.engine.report.methods import Statement

__all__ = ["statements"]


def statements(attrs: Mapping[Any, Any]) -> Iterator[Statement]:
    """What was done, from the attributes of the result."""
    if attrs.get("suv_rule"):
        yield Statement(
            f"PET was converted to SUV normalised by body weight (rule {attrs['suv_rule']})."
        )
    else:
        yield Statement("PET was given in SUV.")
    if attrs.get("sampler", "none") != "none":
        yield Statement(
            "The probability of tumour is the mean of masks that a diffusion model drew given PET "
            "and CT.",
            ("song2021score", "song2021ddim"),
        )
    else:
        yield Statement("A network gave the probability of tumour from PET and CT.")
    if attrs.get("model_spacing_mm"):
        size = " x ".join(f"{float(v):.3g}" for v in attrs["model_spacing_mm"])
        yield Statement(f"It works on voxels of {size} mm (z, y, x).")
    if attrs.get("region_mm"):
        low, high = attrs["region_mm"]
        box = ", ".join(
            f"{name} {a:.0f} to {b:.0f} mm" for name, a, b in zip("RAS", low, high, strict=True)
        )
        yield Statement(f"Only a region was searched: {box}.")
    yield Statement(
        f"Voxels with a probability of at least {float(attrs.get('threshold', 0.5)):g} are tumour."
    )
    yield Statement("SUVpeak is the highest mean over a sphere of 1 ml.", ("wahl2009",))
    yield Statement(
        "The range of a volume runs from voxels with a probability of at least 0.95 to those with "
        "at least 0.05."
    )
