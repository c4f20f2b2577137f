"""Sentences on the methods of CT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciddm.pipelines.engine.report.methods import Statement

__all__ = ["statements"]

_METHODS = {
    "residual": Statement(
        "Images were denoised by a diffusion model whose process ends at the low-dose image and "
        "whose network predicts the residual.",
        ("yue2023", "liu2024"),
    ),
    "filter2noise": Statement(
        "Images were denoised by bilateral filters whose widths were fitted to the image itself "
        "without a reference.",
        ("sun2025",),
    ),
    "noise2score": Statement(
        "Images were denoised by Tweedie's formula with a score that was learned without clean "
        "images.",
        ("kim2021",),
    ),
    "posterior": Statement(
        "Images are the mean of posterior samples under a diffusion prior, which a likelihood that "
        "knows the prior's covariance and a proximal step joined with the projections.",
        ("song2021score", "rozet2024", "zhu2023"),
    ),
    "tv": Statement(
        "Images were reconstructed with the statistical weights of the readings and a penalty on "
        "total variation.",
        ("rudin1992",),
    ),
    "fbp": Statement("Images were reconstructed by filtered back-projection."),
}


def statements(attrs: Mapping[Any, Any]) -> Iterator[Statement]:
    """What was done, from the attributes of the result."""
    method = str(attrs.get("method", ""))
    if method in _METHODS:
        yield _METHODS[method]
    strength = attrs.get("strength")
    if method != "posterior" and isinstance(strength, int | float) and strength != 1:
        yield Statement(f"{strength:.0%} of what was taken away stayed out of the image.")
    if attrs.get("window") and method == "fbp":
        yield Statement(f"The filter had the window {attrs['window']}.")
    if isinstance(attrs.get("noise_hu"), int | float):
        yield Statement(f"The noise in flat tissue was {attrs['noise_hu']:.3g} HU.")
    if attrs.get("views"):
        yield Statement(f"There were {attrs['views']} views.")
