"""What is worth knowing about a dehazed scan, for the terminal, the JSON and the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from sciddm.pipelines.engine.summary import Fact

__all__ = ["beamforming_facts", "facts", "simulation_facts", "size_text"]


def facts(result: xr.Dataset) -> list[Fact]:
    """The facts of a result."""
    a: dict[Any, Any] = result.attrs
    size = [result.sizes[d] for d in ("frame", "depth", "lateral")]
    found = [
        Fact("size", "size", size, size_text(result)),
        Fact("kind", "kind", a["kind"], _kind(a)),
        Fact("model", "models", a["model"], str(a["model"])),
        Fact(
            "haze_share", "taken away", a["haze_share"], f"{100 * a['haze_share']:.1f} % of power"
        ),
    ]
    if "haze_evidence" in a:
        found.append(Fact("haze_evidence", "evidence of haze", *_evidence(a)))
    if a.get("unchanged"):
        found.append(Fact("unchanged", "result", 1, "the scan, unchanged"))
        return found
    ratio = float(a.get("consistency", math.nan))
    if math.isfinite(ratio):
        found.append(Fact("consistency", "consistency", ratio, f"{ratio:.2f} x noise"))
    std = _median_std(result)
    unit = "of the grey scale" if a["kind"] == "bmode" else "of the scan's unit"
    found.append(Fact("std_median", "uncertainty (median)", std, f"{std:.3g} {unit}"))
    for key, label in (("nfe", "NFE per sample"), ("nvjp", "VJPs per sample")):
        found.append(Fact(key, label, a[key], f"{a[key]:g}"))
    return found


def _evidence(attrs: Mapping[Any, Any]) -> tuple[float, str]:
    value = float(attrs["haze_evidence"])
    echoes = attrs["kind"] in ("rf", "iq")
    return value, f"{value:.3f} nats an entry" if echoes else f"{value:.2f} (0 is needed)"


def _median_std(result: xr.Dataset) -> float:
    """Median standard deviation over the image: where the scan is, without drawings and black."""
    inside = np.abs(result["hazy"].values) > 0
    if "mask" in result:
        inside &= result["mask"].values
    if "overlay" in result:
        inside &= ~result["overlay"].values
    values = result["std"].values[inside]
    return float(np.median(values)) if values.size else 0.0


def beamforming_facts(result: xr.Dataset) -> Iterable[Fact]:
    """Size and depths of beamformed frames."""
    size = [result.sizes[d] for d in ("frame", "depth", "lateral")]
    yield Fact("size", "size", size, size_text(result))
    z = result["depth"].values * 1e3
    yield Fact("depth_mm", "depth", [z[0], z[-1]], f"{z[0]:.1f} to {z[-1]:.1f} mm")


def simulation_facts(result: xr.Dataset) -> Iterable[Fact]:
    """Size, view and haze of a simulated scan."""
    wanted = result.attrs["wanted"]
    size = [result.sizes[d] for d in ("frame", "depth", "lateral")]
    yield Fact("size", "size", size, size_text(result))
    yield Fact("view", "view", wanted["view"], wanted["view"])
    level = wanted["haze_db"]
    text = "none"
    if level is not None:
        text = f"{level:g} dB of full scale, tissue {wanted['tissue_db']:g} dB"
    yield Fact("haze_db", "haze", level, text)


def size_text(data: xr.Dataset) -> str:
    """Frames, samples and lines."""
    n, z, x = (data.sizes[d] for d in ("frame", "depth", "lateral"))
    return f"{n} frame{'s' * (n > 1)}, {z} samples, {x} lines"


def _kind(attrs: dict[Any, Any]) -> str:
    names = {"rf": "RF", "iq": "IQ", "envelope": "envelope", "bmode": "B-mode"}
    text = names[attrs["kind"]]
    if attrs["kind"] in ("rf", "iq"):
        text += f", {attrs['fc'] / 1e6:.3g} MHz, sampled at {attrs['fs'] / 1e6:.3g} MHz"
    return text
