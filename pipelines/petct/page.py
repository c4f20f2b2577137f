"""The report of a segmentation: the study from all sides, fused slices, uncertainty, lesions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.geometry.display import Upright, upright_of
from sciddm.physics.petct.lesions import Lesion, lesions_in
from sciddm.pipelines.engine.report.colours import colour_scale, fused
from sciddm.pipelines.engine.report.page import (
    Layer,
    Overlay,
    Panel,
    Report,
    Scale,
    Section,
    Space,
    Table,
    Verdict,
    Viewer,
)
from sciddm.pipelines.engine.summary import jsonable, warnings_of
from sciddm.pipelines.petct.describe import segmentation_facts
from sciddm.pipelines.petct.statements import statements

__all__ = ["segmentation_page"]

_WINDOW = (-160.0, 240.0)
_WINDOWS = {"Lung": (-1350.0, 150.0), "Bone": (-500.0, 1300.0)}
_CAUTION = "Research software; a mask is an estimate, not for clinical use."
_MOST_LESIONS, _MARGIN_MM, _LEAST_MM = 3, 30.0, 120.0
_GREEN, _MASK = (0.1, 0.7, 0.3), "#59ff8c"
_RUN_KEYS = (
    "model", "weights_sha256", "quality", "sampler", "steps", "samples", "threshold",
    "temperature", "nfe", "windows", "seed", "seconds",
)  # fmt: skip
_LABELS = {"weights_sha256": "weights' SHA-256", "nfe": "NFE per sample"}


def segmentation_page(data: object, result: xr.Dataset) -> Report:
    """The page of a result; all that it shows is in the result."""
    known = {fact.key: fact for fact in segmentation_facts(result)}
    lesions, study = lesions_in(result), _Study(result)
    sections = [study.overview(lesions)]
    for lesion in lesions[:_MOST_LESIONS]:
        sections += study.lesion(lesion)
    if not lesions:
        place = np.unravel_index(int(study.suv.argmax()), study.suv.shape)
        everything = [slice(None), slice(None)]
        where = study.slice_text(0, int(place[0]))
        panels = study.panels(0, int(place[0]), everything, float(np.percentile(study.suv, 99.9)))
        sections.append(Section(f"No lesion; {where}, which holds the highest SUV", panels))
    sections.append(Section("Explore", [], viewers=[_viewer(result, result["suv"].values)]))
    attrs = result.attrs
    run = [[_LABELS.get(k, k), str(attrs[k])] for k in _RUN_KEYS if attrs.get(k) not in (None, "")]
    all_of_them = [[str(k), str(jsonable(v))[:400]] for k, v in sorted(attrs.items())]
    return Report(
        title="PET/CT tumour segmentation",
        subtitle=f"{attrs['input']}: {known['matrix'].text}",
        verdict=_verdict(result, lesions),
        sections=sections,
        tables=[
            _lesion_table(lesions),
            Table("Study", [[f.label, f.text] for f in known.values()]),
            Table("Run", run),
            Table("All attributes of the result", all_of_them, folded=True),
        ],
        methods=list(statements(attrs)),
        command=str(attrs["command"]),
        caution=_CAUTION,
    )


def _lesion_table(lesions: Sequence[Lesion]) -> Table:
    header = (
        "lesion", "SUVmax", "SUVmean", "SUVpeak", "MTV / ml", "range of MTV / ml",
        "TLG / SUV ml", "range of TLG / SUV ml", "centre (RAS) / mm",
    )  # fmt: skip
    rows = [
        [
            str(s.lesion), f"{s.suv_max:.2f}", f"{s.suv_mean:.2f}", f"{s.suv_peak:.2f}",
            f"{s.mtv_ml:.2f}", f"{s.mtv_low_ml:.2f} to {s.mtv_high_ml:.2f}", f"{s.tlg:.1f}",
            f"{s.tlg_low:.1f} to {s.tlg_high:.1f}", f"{s.x_mm:.0f}, {s.y_mm:.0f}, {s.z_mm:.0f}",
        ]
        for s in lesions
    ]  # fmt: skip
    return Table("Lesions", rows or [["none"]], header if rows else ())


def _viewer(result: xr.Dataset, suv: NDArray[Any]) -> Viewer:
    """All three directions: CT with PET over it, PET in inverse grey, its projection, the mask."""
    top = max(5.0, float(np.percentile(suv, 99.9)))
    uptake = Scale(
        (0.0, top), "SUV", {"SUV 0 to 2.5": (0.0, 2.5), "SUV 0 to 10": (0.0, 10.0)}, True
    )
    density = Scale(_WINDOW, "HU", _WINDOWS)
    size = [float(v) for v in result.attrs["voxel_size_mm"]]
    label = result["label"].values
    # The first lesion, or else the highest uptake.
    most = np.where(label == 1, suv, -np.inf) if (label == 1).any() else suv
    start = np.unravel_index(int(most.argmax()), suv.shape)
    return Viewer(
        "Explore the study",
        [
            Layer("CT", result["hu"].values, density),
            Layer("PET", result["suv"].values, uptake),
        ],
        (0.0, top),
        "SUV",
        overlays=[
            Overlay("PET over CT", result["suv"].values, (0.0, top), "SUV", over=0, shown=True),
            Overlay("Mask", result["mask"].values, colour=_MASK, shown=True),
            Overlay("Uncertainty", result["entropy"].values, (0.0, 1.0), "bit"),
            Overlay("Not searched", (result["flags"].values > 0) * 1.0, colour="#4f7dd9"),
        ],
        space=Space(upright_of(result.attrs), (size[0], size[1], size[2]), projected=1),
        start=(int(start[0]), int(start[1]), int(start[2])),
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
    words = f"{len(lesions)} lesion{'s' * (len(lesions) != 1)}"
    if result.attrs["samples"] > 1:
        words += f"; the samples agree with a Dice of {dice:.2f}"
    return Verdict("good", f"{words}.", remarks)


class _Study:
    """All volumes of a result, turned upright: first head to feet, then front to back."""

    def __init__(self, result: xr.Dataset) -> None:
        self.turn: Upright = upright_of(result.attrs)
        self.size = self.turn.size(result.attrs["voxel_size_mm"])
        self.suv, self.hu, self.labels, self.probability, self.entropy, self.agreement = (
            self.turn(result[name].values)
            for name in ("suv", "hu", "label", "probability", "entropy", "agreement")
        )
        self.mask = self.turn(result["mask"].values > 0)

    def overview(self, lesions: Sequence[Lesion]) -> Section:
        """Maximum projections of PET from the front and from the side, with the mask's outline."""
        top = max([5.0, *(0.7 * lesion.suv_max for lesion in lesions)])
        panels = []
        for axis in (1, 2):
            values, mask = self.suv.max(axis), self.mask.max(axis)
            image = np.asarray(colour_scale("inverse")(np.clip(values / top, 0, 1)))[..., :3]
            image = np.where(_border(mask)[..., None], _GREEN, image)
            name = self.turn.names[axis].capitalize()
            panels.append(
                Panel(
                    f"{name} maximum projection of PET",
                    image,
                    (0.0, top),
                    "SUV",
                    "inverse",
                    pixel_mm=self._pixel(axis),
                    letters=self.turn.letters[axis],
                    note="The largest SUV along the view; black is high. Green: the mask.",
                )
            )
        return Section("The study", panels, self._sentence())

    def lesion(self, lesion: Lesion) -> list[Section]:
        """One lesion: its axial slice, and the two planes across it."""
        inside = self.labels == lesion.lesion
        places = [int(inside.sum(_others(axis)).argmax()) for axis in range(3)]
        box = [self._box(inside, axis) for axis in range(3)]
        text = (
            f"{self.slice_text(0, places[0]).capitalize()}. SUVmax {lesion.suv_max:.2f}, SUVpeak "
            f"{lesion.suv_peak:.2f}, {lesion.mtv_ml:.1f} ml."
        )
        title = f"Lesion {lesion.lesion}"
        first = Section(title, self.panels(0, places[0], box[1:], lesion.suv_max), text)
        across = []
        for axis in (1, 2):
            rows, columns = _others(axis)
            window = [box[rows], box[columns]]
            across += self.panels(axis, places[axis], window, lesion.suv_max)[:2]
        where = " and ".join(self.slice_text(axis, places[axis]) for axis in (1, 2))
        return [first, Section(f"{title} across the slices", across, f"{where.capitalize()}.")]

    def panels(self, axis: int, place: int, window: Sequence[slice], top: float) -> list[Panel]:
        """Part of a plane along an axis."""
        top = max(top, 1.0)
        letters, pixel = self.turn.letters[axis], self._pixel(axis)

        def part(volume: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(np.take(volume, place, axis)[window[0], window[1]])

        pet, mask = part(self.suv), part(self.mask)
        grey = np.clip((part(self.hu) - _WINDOW[0]) / (_WINDOW[1] - _WINDOW[0]), 0, 1)
        edge = _border(mask)[..., None]
        both = np.where(edge, _GREEN, fused(grey, np.clip(pet / top, 0, 1)))
        on_ct = np.where(edge, _GREEN, np.repeat(grey[..., None], 3, axis=-1))
        name = self.turn.names[axis]
        way = "" if axis == 0 else f", {name}"
        return [
            Panel(
                f"PET over CT{way}", both, (0, top), "SUV of the colours", "heat", pixel,
                note="Green: border of the mask.", letters=letters,
            ),
            Panel(f"PET{way}", pet, (0, top), "SUV", "inverse", pixel, letters=letters),
            Panel(
                "CT with the mask", on_ct, _WINDOW, "HU", "grey", pixel, letters=letters,
                note="Green: border of the mask.",
            ),
            Panel(
                "Probability", part(self.probability), (0, 1), "P(tumour)", "heat", pixel,
                letters=letters,
            ),
            Panel(
                "Uncertainty", part(self.entropy), (0, 1), "entropy / bit", "heat", pixel,
                note="1 bit: as likely tumour as not.", letters=letters,
            ),
            Panel(
                "Agreement", part(self.agreement), (0, 1), "share of samples", "grey", pixel,
                note="Samples that decide as the mask does.", letters=letters,
            ),
        ]  # fmt: skip

    def slice_text(self, axis: int, place: int) -> str:
        """Which plane it is, counted as in the file."""
        count = self.suv.shape[axis]
        number = self.turn.index(axis, place, count) + 1
        return f"{self.turn.names[axis]} {number} of {count}"

    def _pixel(self, axis: int) -> tuple[float, float]:
        rows, columns = _others(axis)
        return self.size[rows], self.size[columns]

    def _box(self, inside: NDArray[np.bool_], axis: int) -> slice:
        """The lesion along an axis with a margin."""
        places = np.flatnonzero(inside.any(_others(axis)))
        low, high, size = int(places.min()), int(places.max()), self.size[axis]
        half = max((high - low) / 2 + _MARGIN_MM / size, _LEAST_MM / 2 / size)
        middle = (low + high) / 2
        stop = min(inside.shape[axis], int(middle + half) + 1)
        return slice(max(0, int(middle - half)), stop)

    def _sentence(self) -> str:
        if self.turn.letters[0] is None:
            return (
                "The file does not state the orientation. Planes are named by the axes of the "
                "array, and left and right may be swapped."
            )
        return (
            "Radiological convention: in axial and coronal planes the patient's right is on the "
            "left, in sagittal planes the patient's front."
        )


def _others(axis: int) -> tuple[int, int]:
    """The two other axes: those of a plane's rows and columns."""
    rows, columns = (k for k in range(3) if k != axis)
    return rows, columns


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of the mask with a neighbour outside."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
