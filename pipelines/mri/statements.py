"""Sentences on the methods of an MRI reconstruction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciddm.pipelines.engine.report.methods import Statement

__all__ = ["statements"]


def statements(attrs: Mapping[Any, Any]) -> Iterator[Statement]:
    """What was done, from the attributes of the result."""
    request = attrs.get("request") or {}
    coils = int(attrs.get("coils") or 1)
    if request.get("undersample"):
        acs = f", {attrs['mask_acs']} calibration lines" if attrs.get("mask_acs") else ""
        kind = attrs.get("mask_kind", "random")
        yield Statement(
            f"A fully sampled scan was undersampled retrospectively by a factor of "
            f"{float(request['undersample']):g} ({kind} mask{acs})."
        )
    elif attrs.get("acceleration"):
        yield Statement(f"k-space was sampled with an acceleration factor of "
                        f"{float(attrs['acceleration']):.3g}.")  # fmt: skip
    if coils > 1:
        estimated = "came with the scan or were estimated from its calibration region"
        how = "were given" if request.get("maps") else estimated
        papers = ("pruessmann1999",) if request.get("maps") else ("pruessmann1999", "uecker2014")
        yield Statement(f"Sensitivities of {coils} coils {how} and entered a SENSE model.", papers)
    else:
        yield Statement("The data of one coil were modelled as the Fourier transform of the image.")
    if not attrs.get("samples"):
        return
    yield Statement(
        "The image is the mean of posterior samples under a diffusion prior.", ("song2021score",)
    )
    if "krylov" in attrs:
        yield Statement(
            "Each sample started at a total variation image plus noise, and each step joined the "
            "prior with the data by a likelihood that knows the prior's covariance and by a "
            "proximal step.",
            ("rudin1992", "rozet2024", "zhu2023"),
        )
    else:
        yield Statement(
            "Each sample started at an image of the data plus noise, and a network that sees the "
            "measurement was joined with the data by a proximal step.",
            ("zhu2023",),
        )
    factor = attrs.get("spread")
    if isinstance(factor, int | float):
        widening = attrs.get("std_widening")
        more = (
            f", and by {widening:.3g}, which lines that were kept out of this scan gave"
            if isinstance(widening, int | float) and widening > 1
            else ""
        )
        yield Statement(
            f"The standard deviation is that of the samples times {factor:.3g}, a factor from "
            f"validation data{more}."
        )
