"""What is worth knowing about a segmentation, for the terminal, the JSON and the report."""

from __future__ import annotations

import xarray as xr

from sciddm.physics.petct.lesions import lesions_in
from sciddm.pipelines.engine.summary import Fact

__all__ = ["segmentation_facts", "suv_facts"]


def segmentation_facts(result: xr.Dataset) -> list[Fact]:
    """The facts of a result."""
    attrs, lesions = result.attrs, lesions_in(result)
    shape = list(result["mask"].shape)
    volume = sum(lesion.mtv_ml for lesion in lesions)
    tlg = sum(lesion.tlg for lesion in lesions)
    found = [
        Fact("matrix", "slices, rows, columns", shape, " x ".join(map(str, shape))),
        Fact("model", "model", attrs["model"], str(attrs["model"])),
        Fact("samples", "samples", attrs["samples"], str(attrs["samples"])),
        Fact("nfe", "evaluations", attrs["nfe"], f"{attrs['nfe']} of {attrs['windows']} window(s)"),
        Fact("lesions", "lesions", len(lesions), str(len(lesions))),
        Fact("mtv_ml", "tumour volume (MTV)", volume, f"{volume:.1f} ml"),
        Fact("tlg", "TLG", tlg, f"{tlg:.0f} SUV ml"),
    ]
    if lesions:
        highest = max(lesion.suv_max for lesion in lesions)
        peak = max(lesion.suv_peak for lesion in lesions)
        found.append(Fact("suv_max", "SUVmax", highest, f"{highest:.2f}"))
        found.append(Fact("suv_peak", "SUVpeak", peak, f"{peak:.2f}"))
    if attrs["samples"] > 1:
        dice = attrs["sample_dice"]
        found.append(Fact("sample_dice", "agreement of samples", dice, f"Dice {dice:.2f}"))
    return found


def suv_facts(result: xr.Dataset) -> list[Fact]:
    """The facts of a PET series in SUV."""
    volume = result["suv"].assign_attrs(result.attrs)
    shape = list(volume.shape)
    found = [Fact("matrix", "slices, rows, columns", shape, " x ".join(map(str, shape)))]
    for key, label, form in (
        ("suv_rule", "units", "{}"),
        ("decay_correction", "decay correction", "{}"),
        ("weight_kg", "weight", "{:g} kg"),
        ("dose_mbq", "dose", "{:.1f} MBq"),
        ("uptake_min", "injection to scan", "{:.1f} min"),
        ("suv_factor", "SUV of 1", "{:.6g}"),
        ("lean_mass_kg", "lean body mass", "{:.1f} kg"),
        ("body_surface_m2", "body surface", "{:.2f} m2"),
    ):
        if key in volume.attrs:
            value = volume.attrs[key]
            found.append(Fact(key, label, value, form.format(value)))
    highest = float(volume.max())
    found.append(Fact("suv_max", "highest SUV", highest, f"{highest:.2f}"))
    return found
