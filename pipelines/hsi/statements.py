"""Sentences on the methods of a denoised cube."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciddm.pipelines.engine.report.methods import Statement

__all__ = ["statements"]

_METHODS = {
    "subspace": Statement(
        "Images of the coefficients in a spectral subspace were denoised by a diffusion prior, and "
        "missing entries were joined by a proximal step.",
        ("song2021score", "zhu2023", "lu2022"),
    ),
    "finch": Statement(
        "The cube was denoised by a latent diffusion model that starts at the measured cube.",
        ("rombach2022", "meng2022", "zhu2023"),
    ),
    "dds2m": Statement(
        "The cube was denoised by a diffusion model that was fitted to the cube itself.",
        ("miao2023",),
    ),
    "lowrank": Statement("The cube was projected on the spectral subspace of its signal."),
    "tv": Statement("The cube was denoised with a penalty on total variation.", ("rudin1992",)),
    "destripe": Statement("Offsets of columns and lines were estimated and subtracted."),
}


def statements(attrs: Mapping[Any, Any]) -> Iterator[Statement]:
    """What was done, from the attributes of the result."""
    origin = "was estimated from the cube" if attrs.get("noise_estimated", 1) else "was given"
    yield Statement(f"The noise level of every band {origin}.")
    method = str(attrs.get("method", ""))
    if method in _METHODS:
        yield _METHODS[method]
    rank = attrs.get("rank")
    if isinstance(rank, int) and rank > 0:
        yield Statement(f"The subspace had {rank} dimensions.")
    if attrs.get("striped_columns") or attrs.get("striped_lines"):
        yield Statement("Offsets of columns and lines were subtracted before.")
    share = attrs.get("dead_share")
    if isinstance(share, int | float) and share > 0:
        yield Statement(f"{100 * share:.2g} % of the entries were defects and were replaced.")
    kept_share = attrs.get("kept_share")
    if isinstance(kept_share, int | float) and kept_share > 0:
        yield Statement(f"{100 * kept_share:.2g} % of the entries kept their measured values.")
    factor = attrs.get("std_factor")
    if isinstance(factor, int | float):
        yield Statement(
            f"The standard deviation was scaled by {factor:.3g}, which entries that were kept out "
            "of the fit gave."
        )
