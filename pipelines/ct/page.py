"""The reports of CT: images at the windows they are read at, what was taken away, its texture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.errors import InputError
from sciddm.geometry.display import upright_of, view_of
from sciddm.metrics.noise_power import noise_power
from sciddm.metrics.texture import (
    body_mask,
    mean_frequency,
    noise_texture,
    patches,
    uniform_tissue,
)
from sciddm.pipelines.ct.describe import (
    SHIFT_HU,
    denoising_facts,
    number,
    pixel_mm,
    probed,
    reconstruction_facts,
)
from sciddm.pipelines.ct.statements import statements
from sciddm.pipelines.engine.report.page import (
    Axis,
    Chart,
    Curve,
    Layer,
    Overlay,
    Panel,
    Report,
    Section,
    Space,
    Table,
    Verdict,
    Viewer,
    oriented,
)
from sciddm.pipelines.engine.summary import Fact, jsonable, warnings_of

__all__ = ["WINDOWS", "denoising_page", "denoising_verdict", "reconstruction_page"]

#: Window -> (low, high) in HU: centre and width 40 / 400, -600 / 1500, 400 / 1800.
WINDOWS = {
    "Soft tissue": (-160.0, 240.0),
    "Lung": (-1350.0, 150.0),
    "Bone": (-500.0, 1300.0),
}
_CAUTION = "Denoised images are estimates; not for clinical use."
_RUN_KEYS = (
    "model", "weights_sha256", "method", "quality", "sampler", "steps", "samples", "strength",
    "window", "nfe", "nvjp", "seed", "seconds",
)  # fmt: skip
_LABELS = {"weights_sha256": "weights' SHA-256", "nfe": "NFE per slice", "nvjp": "VJPs per slice"}
_MOST_SHOWN = 3
_MANY_SLICES = 12  # from which planes across the slices show something
_PATCHES = (32, 24, 16)  # pixels: the largest that fits is taken
_UNIFORM_SD = 40.0  # HU: noisy images are looked at too


def denoising_page(volume: object, result: xr.Dataset) -> Report:
    """The page for a denoised volume.

    Args:
        volume: the input; the result holds it as `noisy`.
        result: denoised, noisy and, where there is one, std (z, y, x), HU; of its attributes
            `input` and `command` say what it was made of and how.
    """
    known = {fact.key: fact for fact in denoising_facts(result)}
    before = ("Input", "noisy", "As it was read.")
    after = ("Denoised", "denoised", "What the method leaves.")
    return _report(
        "CT denoising",
        result,
        known,
        denoising_verdict(result, known),
        (before, after, "Taken away", "Input − denoised; anatomy in it was lost."),
    )


def reconstruction_page(sinogram: object, result: xr.Dataset) -> Report:
    """The page for a reconstruction.

    Args:
        sinogram: the input; the page shows its filtered back-projection.
        result: reconstruction, fbp and, where there is one, std (z, y, x), HU; attributes as of a
            denoised volume.
    """
    before = ("Filtered back-projection", "fbp", "What the projections give without a prior.")
    after = ("Reconstruction", "reconstruction", "The estimate.")
    return _report(
        "CT reconstruction",
        result,
        {fact.key: fact for fact in reconstruction_facts(result)},
        _reconstruction_verdict(result),
        (before, after, "Difference", "Filtered back-projection − reconstruction."),
    )


def denoising_verdict(result: xr.Dataset, known: Mapping[str, Fact]) -> Verdict:
    """What to think of a denoised volume, from its warnings and the shift of uniform tissue."""
    remarks = warnings_of(result.attrs)
    shift = known["hu_shift"].value if "hu_shift" in known else None
    if shift is not None and abs(shift) > SHIFT_HU:
        remarks.append(
            f"Uniform tissue is shifted by {shift:+.1f} HU: do not measure densities in this image."
        )
    if remarks:
        return Verdict("doubtful", "Read these remarks before using the image.", remarks)
    if shift is None:
        return Verdict("doubtful", "No uniform tissue was found to check the CT numbers in.")
    return Verdict(
        "good",
        f"Uniform tissue keeps its CT numbers (shift {shift:+.2f} HU).",
        ["Look at what was taken away: edges or vessels in it were lost in the image."],
    )


def _reconstruction_verdict(result: xr.Dataset) -> Verdict:
    remarks = warnings_of(result.attrs)
    ratio = number(result.attrs, "consistency")
    level = "" if ratio is None else f" (residual {ratio:.2f} times the noise)"
    if result.attrs.get("contradicts"):
        headline = f"The image contradicts the projections{level}. Do not trust its details."
        return Verdict("contradiction", headline, remarks)
    if remarks:
        return Verdict("doubtful", "Read these remarks before using the image.", remarks)
    if ratio is None:
        return Verdict("doubtful", "Whether the image agrees with the data was not measured.")
    return Verdict("good", f"The image agrees with the projections within their noise{level}.")


Shown = tuple[tuple[str, str, str], tuple[str, str, str], str, str]


def _report(
    title: str,
    result: xr.Dataset,
    known: Mapping[str, Fact],
    verdict: Verdict,
    shown: Shown,
) -> Report:
    attrs = result.attrs
    source = attrs.get("input") or attrs.get("source") or "the data"
    run = [[_LABELS.get(k, k), str(attrs[k])] for k in _RUN_KEYS if attrs.get(k) not in (None, "")]
    everything = [[str(k), str(jsonable(v))[:400]] for k, v in sorted(attrs.items())]
    measured = [[f.label, f.text] for f in known.values() if f.key not in (*_RUN_KEYS, "method")]
    return Report(
        title=title,
        subtitle=f"{source}: {known['matrix'].text}, {known['method'].text}",
        verdict=verdict,
        sections=_sections(result, shown),
        tables=[
            Table("Scan and image", [*measured, *_acquisition(attrs)]),
            Table("Run", run),
            Table("All attributes of the result", everything, folded=True),
        ],
        methods=list(statements(attrs)),
        command=str(attrs.get("command", "")),
        caution=_CAUTION,
    )


def _sections(result: xr.Dataset, shown: Shown) -> Sequence[Section]:
    slices = result.sizes["z"]
    middle, how = slices // 2, view_of(result.attrs)
    chosen = [middle]
    if slices > 2:
        chosen += [z for z in (slices // 4, (3 * slices) // 4) if z != middle]
    sections = []
    for z in chosen[:_MOST_SHOWN]:
        where = f", slice {z + 1} of {slices}" if slices > 1 else ""
        low, high = WINDOWS["Soft tissue"]
        text = f"Window from {low:g} to {high:g} HU. {how.sentence}"
        soft = [oriented(panel, how) for panel in _soft_tissue(result, z, shown)]
        sections.append(Section(f"Soft tissue{where}", soft, text))
        if z == middle:
            panels, words = [], []
            for name in ("Lung", "Bone"):
                window = WINDOWS[name]
                panels += [
                    oriented(_panel(result, z, window, f"{name}: {title.lower()}", *rest), how)
                    for title, *rest in shown[:2]
                ]
                words.append(f"{name}: from {window[0]:g} to {window[1]:g} HU.")
            sections.append(Section(f"Lung and bone{where}", panels, " ".join(words)))
    sections.append(Section("Explore", [], viewers=[_viewer(result, shown)]))
    texture = _texture(result, shown)
    return [*sections, *([texture] if texture is not None else [])]


def _soft_tissue(result: xr.Dataset, z: int, shown: Shown) -> list[Panel]:
    (_, before, _), (_, after, _), title, note = shown
    panels = [_panel(result, z, WINDOWS["Soft tissue"], *which) for which in shown[:2]]
    difference = _slice(result, before, z) - _slice(result, after, z)
    reach, size = _reach(difference), pixel_mm(result.attrs)
    panels.append(
        Panel(title, difference, (-reach, reach), "HU", "signed", pixel_mm=size, note=note)
    )
    if "std" in result:
        std = _slice(result, "std", z)
        top = float(np.percentile(std, 99.5)) or 1.0
        told = "Where the draws disagree."
        panels.append(
            Panel("Standard deviation", std, (0, top), "HU", "heat", pixel_mm=size, note=told)
        )
    return panels


def _viewer(result: xr.Dataset, shown: Shown) -> Viewer:
    """Before and after; planes of all three directions where there are slices enough."""
    volumes = {
        name: result[name].transpose("z", "y", "x").values
        for name in (*(name for _, name, _ in shown[:2]), "std")
        if name in result
    }
    before, after = (volumes[name] for _, name, _ in shown[:2])
    overlays = [Overlay("Taken away", np.abs(before - after), (0.0, _reach(before - after)), "HU")]
    if "std" in volumes:
        top = float(np.percentile(volumes["std"], 99.5)) or 1.0
        overlays.append(Overlay("Standard deviation", volumes["std"], (0.0, top), "HU"))
    y, x = pixel_mm(result.attrs)
    size = [float(v) for v in result.attrs.get("voxel_size_mm", [])] or [np.nan, y, x]
    space = None
    if len(before) >= _MANY_SLICES:
        space = Space(upright_of(result.attrs), (size[0], y, x))
    return Viewer(
        "Explore the slices" if len(before) > 1 else "Explore the image",
        [Layer(title, volumes[name]) for title, name, _ in shown[:2]],
        WINDOWS["Soft tissue"],
        "HU",
        presets=WINDOWS,
        pixel_mm=(y, x),
        view=view_of(result.attrs),
        overlays=overlays,
        space=space,
    )


def _panel(
    result: xr.Dataset, z: int, window: tuple[float, float], title: str, name: str, note: str
) -> Panel:
    image = _slice(result, name, z)
    return Panel(title, image, window, "HU", pixel_mm=pixel_mm(result.attrs), note=note)


def _texture(result: xr.Dataset, shown: Shown) -> Section | None:
    """The spectrum of the noise in uniform tissue before and after, and of what was taken away."""
    (title, before, _), (after_title, after, _), difference_title, _ = shown
    size = pixel_mm(result.attrs)
    if not (np.isfinite(size).all() and abs(size[0] - size[1]) < 1e-3 * size[0]):
        return None
    levels = probed(result.sizes["z"])
    old, new = (result[k].isel(z=levels).values for k in (before, after))
    inside = body_mask(new)
    uniform = uniform_tissue(new, size[1], _UNIFORM_SD)
    curves, taken = [], old - new
    for patch in _PATCHES:
        try:
            for label, image in ((title, old), (after_title, new)):
                f, power = noise_texture(image, uniform, size[1], patch)
                curves.append(Curve(label, f, power))
            break
        except InputError:
            continue
    for patch in _PATCHES:
        regions = patches(taken, inside, patch)
        if len(regions):
            break
    else:
        return None
    f, power = noise_texture(taken, inside, size[1], patch)
    curves.append(Curve(difference_title, f, power))
    plane, fy, fx = noise_power(regions, size[1], 1)
    panels: list[Panel | Chart] = [
        Chart(
            "Noise power",
            curves,
            "spatial frequency / (1/mm)",
            "HU² mm²",
            note="In uniform tissue; the difference over the whole body. A peak that moves to the "
            "left means coarser, blotchy noise.",
            from_zero=True,
        ),
        Panel(
            f"Spectrum of: {difference_title.lower()}",
            plane[::-1],
            (0, float(plane.max()) or 1.0),
            "HU² mm²",
            "heat",
            scales=(
                Axis("fy / (1/mm)", float(fy[0]), float(fy[-1])),
                Axis("fx / (1/mm)", float(fx[0]), float(fx[-1])),
            ),
            note="Noise fills a ring; anatomy that was taken away lies near the middle.",
        ),
    ]
    words = [f"{c.label} {mean_frequency(c.x, c.y):.2f}/mm" for c in curves if c.y.sum() > 0]
    return Section("Noise texture", panels, f"Mean frequency: {', '.join(words)}.")


def _slice(result: xr.Dataset, name: str, z: int) -> NDArray[np.float32]:
    return np.asarray(result[name].isel(z=z).values)


def _reach(difference: NDArray[Any]) -> float:
    """A round number that nearly all of a difference lies below."""
    top = float(np.percentile(np.abs(difference), 99.5))
    out: float = max(5.0, 5.0 * np.ceil(top / 5.0))
    return out


def _acquisition(attrs: Mapping[Any, Any]) -> list[list[str]]:
    rows = []
    for key, label, form in (
        ("tube_voltage_kV", "tube voltage", "{:g} kV"),
        ("tube_current_mA", "tube current", "{:g} mA"),
        ("exposure_mAs", "exposure", "{:g} mAs"),
        ("slice_thickness_mm", "slice thickness", "{:g} mm"),
    ):
        value = number(attrs, key)
        if value is not None:
            rows.append([label, form.format(value)])
    for key in ("kernel", "scanner", "body_part", "format"):
        if attrs.get(key):
            rows.append([key.replace("_", " "), str(attrs[key])])
    return rows
