"""The report of a segmentation: fused slices with contours, uncertainty, the lesions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.geometry.display import view_of
from sciddm.physics.petct.lesions import Lesion, lesions_in
from sciddm.pipelines.engine.report.page import (
    Layer,
    Panel,
    Report,
    Section,
    Table,
    Verdict,
    Viewer,
    oriented,
)
from sciddm.pipelines.engine.summary import jsonable, warnings_of
from sciddm.pipelines.petct.describe import segmentation_facts

__all__ = ["segmentation_page"]

_WINDOW = (-160.0, 240.0)
_CAUTION = "Research software; a mask is an estimate, not for clinical use."
_MOST_LESIONS, _MARGIN_MM, _LEAST_MM = 3, 30.0, 120.0
_CONTOUR = (0.35, 1.0, 0.55)
_RUN_KEYS = (
    "model", "weights_sha256", "quality", "sampler", "steps", "samples", "threshold",
    "temperature", "nfe", "windows", "seed", "seconds",
)  # fmt: skip


def segmentation_page(data: object, result: xr.Dataset) -> Report:
    """The page of a result; all that it shows is in the result."""
    known = {fact.key: fact for fact in segmentation_facts(result)}
    lesions, labels = lesions_in(result), result["label"].values
    suv, hu = result["suv"].values, result["hu"].values
    sections = []
    for lesion in lesions[:_MOST_LESIONS]:
        sections.append(_lesion(result, suv, hu, labels, lesion))
    if not lesions:
        z = int(suv.reshape(len(suv), -1).max(1).argmax())
        everything = (z, slice(None), slice(None))
        panels = _panels(result, suv, hu, everything, float(np.percentile(suv, 99.9)))
        sections.append(Section(f"No lesion; slice {z + 1}, the one of the highest SUV", panels))
    if len(suv) > 1:
        sections.append(Section("PET", [], viewers=[_viewer(result, suv)]))
    header = (
        "lesion",
        "SUVmax",
        "SUVmean",
        "SUVpeak",
        "MTV / ml",
        "its range",
        "TLG",
        "its range",
        "centre (RAS) / mm",
    )
    rows = [
        [
            str(s.lesion), f"{s.suv_max:.2f}", f"{s.suv_mean:.2f}", f"{s.suv_peak:.2f}",
            f"{s.mtv_ml:.2f}", f"{s.mtv_low_ml:.2f} to {s.mtv_high_ml:.2f}", f"{s.tlg:.1f}",
            f"{s.tlg_low:.1f} to {s.tlg_high:.1f}", f"{s.x_mm:.0f}, {s.y_mm:.0f}, {s.z_mm:.0f}",
        ]
        for s in lesions
    ]  # fmt: skip
    attrs = result.attrs
    run = [[k, str(attrs[k])] for k in _RUN_KEYS if attrs.get(k) not in (None, "")]
    all_of_them = [[str(k), str(jsonable(v))[:400]] for k, v in sorted(attrs.items())]
    return Report(
        title="PET/CT tumour segmentation",
        subtitle=f"{attrs['input']}: {known['matrix'].text}",
        verdict=_verdict(result, lesions),
        sections=sections,
        tables=[
            Table("Lesions", rows or [["none"]], header if rows else ()),
            Table("Study", [[f.label, f.text] for f in known.values()]),
            Table("Run", run),
            Table("All attributes of the result", all_of_them, folded=True),
        ],
        command=str(attrs["command"]),
        caution=_CAUTION,
    )


def _viewer(result: xr.Dataset, suv: NDArray[Any]) -> Viewer:
    """PET slice by slice in inverse grey, and what it adds to SUV where the mask is."""
    top = max(5.0, float(np.percentile(suv, 99.9)))
    inside = np.where(result["mask"].values > 0, suv, 0.0)
    spacing = result.attrs["voxel_size_mm"]
    return Viewer(
        "Explore PET and the mask",
        [Layer("PET", suv), Layer("PET inside the mask", inside)],
        (0.0, top),
        "SUV",
        presets={"SUV 0 to 2.5": (0.0, 2.5), "SUV 0 to 10": (0.0, 10.0)},
        pixel_mm=(float(spacing[1]), float(spacing[2])),
        view=view_of(result.attrs),
        inverse=True,
    )


def _verdict(result: xr.Dataset, lesions: Sequence[Lesion]) -> Verdict:
    remarks = warnings_of(result.attrs)
    unsure = float((result["entropy"].values > 0.5).sum())
    voxel = float(np.prod(result.attrs["voxel_size_mm"])) / 1000
    remarks.append(
        f"{unsure * voxel:.1f} ml are uncertain (entropy above 0.5 bit): look at them before "
        "measuring volumes."
    )
    if warnings_of(result.attrs):
        return Verdict("doubtful", "Read these remarks before using the mask.", remarks)
    dice = result.attrs["sample_dice"]
    words = f"{len(lesions)} lesion(s)"
    if result.attrs["samples"] > 1:
        words += f"; the samples agree with a Dice of {dice:.2f}"
    return Verdict("good", f"{words}.", remarks)


def _lesion(
    result: xr.Dataset,
    suv: NDArray[Any],
    hu: NDArray[Any],
    labels: NDArray[np.int32],
    lesion: Lesion,
) -> Section:
    inside = labels == lesion.lesion
    z = int(inside.reshape(len(inside), -1).sum(1).argmax())
    places = np.argwhere(inside[z])
    spacing = result.attrs["voxel_size_mm"][1:]
    box: list[Any] = [z]
    for axis, size in enumerate(spacing):
        low, high = int(places[:, axis].min()), int(places[:, axis].max())
        middle, half = (low + high) / 2, (high - low) / 2 + _MARGIN_MM / size
        half = max(half, _LEAST_MM / 2 / size)
        n = inside.shape[1 + axis]
        box.append(slice(max(0, int(middle - half)), min(n, int(middle + half) + 1)))
    text = (
        f"Slice {z + 1} of {len(inside)}. SUVmax {lesion.suv_max:.2f}, SUVpeak "
        f"{lesion.suv_peak:.2f}, {lesion.mtv_ml:.1f} ml. {view_of(result.attrs).sentence}"
    )
    panels = _panels(result, suv, hu, (z, box[1], box[2]), lesion.suv_max)
    return Section(f"Lesion {lesion.lesion}", panels, text)


def _panels(
    result: xr.Dataset,
    suv: NDArray[Any],
    hu: NDArray[Any],
    where: tuple[int, slice, slice],
    top: float,
) -> list[Panel]:
    spacing = result.attrs["voxel_size_mm"]
    size = (float(spacing[1]), float(spacing[2]))
    top = max(top, 1.0)
    pet, ct = suv[where], hu[where]
    probability, mask = result["probability"].values[where], result["mask"].values[where] > 0
    grey = np.clip((ct - _WINDOW[0]) / (_WINDOW[1] - _WINDOW[0]), 0, 1)
    share = np.clip(pet / top, 0, 1)[..., None]
    hot = np.concatenate(
        [np.clip(3 * share, 0, 1), np.clip(3 * share - 1, 0, 1), np.clip(3 * share - 2, 0, 1)], -1
    )
    weight = 0.65 * share**0.7
    fused = (1 - weight) * grey[..., None] + weight * hot
    on_ct = np.repeat(grey[..., None], 3, axis=-1)
    edge = _border(mask)
    fused, on_ct = (np.where(edge[..., None], _CONTOUR, image) for image in (fused, on_ct))
    top_entropy = result["entropy"].values[where]
    panels = [
        Panel(
            "CT with the mask", on_ct, (0, 1), pixel_mm=size,
            note=f"Green: border of the mask. Window {_WINDOW[0]:g} to {_WINDOW[1]:g} HU.",
        ),
        Panel(
            "PET over CT", fused, (0, 1), pixel_mm=size, note=f"Red to white: SUV up to {top:.1f}."
        ),
        Panel("PET", pet, (0, top), "SUV", "heat", pixel_mm=size),
        Panel("Probability", probability, (0, 1), "P(tumour)", "heat", pixel_mm=size),
        Panel(
            "Uncertainty", top_entropy, (0, 1), "entropy / bit", "heat", pixel_mm=size,
            note="1 bit: as likely tumour as not.",
        ),
        Panel(
            "Agreement", result["agreement"].values[where], (0, 1), "share of samples", "grey",
            pixel_mm=size, note="Samples that decide as the mask does.",
        ),
    ]  # fmt: skip
    return [oriented(panel, view_of(result.attrs)) for panel in panels]


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of the mask with a neighbour outside."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
