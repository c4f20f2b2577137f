"""The page of a denoised scene: colours before and after, single bands, spectra, noise per band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.hsi.ortho import has_lookup, orthorectified
from sciddm.data_adapters.hsi.part import taken
from sciddm.physics.spectral.flags import MEANINGS, Flag
from sciddm.pipelines.engine.report.page import (
    Chart,
    Curve,
    FlagMarks,
    Layer,
    Overlay,
    Panel,
    Report,
    Section,
    Spectra,
    Table,
    Verdict,
    Viewer,
)
from sciddm.pipelines.engine.report.spectra import sampling_step
from sciddm.pipelines.engine.summary import jsonable, warnings_of
from sciddm.pipelines.hsi.describe import band_names, facts, per_band
from sciddm.pipelines.hsi.statements import statements

__all__ = ["hsi_page", "verdict"]

_RUN_KEYS = (
    "model", "weights_sha256", "method", "quality", "sampler", "steps", "samples", "nfe", "nvjp",
    "rank", "tiles", "scale", "seed", "seconds",
)  # fmt: skip
_LABELS = {"weights_sha256": "weights' SHA-256", "nfe": "NFE per sample", "nvjp": "VJPs per sample"}
#: Names of colour composites and the wavelengths, in nm, shown as red, green and blue.
_COMPOSITES = {
    "True colour": (650.0, 550.0, 470.0),
    "Colour infrared": (860.0, 650.0, 550.0),
    "Short-wave infrared": (1620.0, 1240.0, 1050.0),
}
_NEAR_NM = 40.0  # a band further away does not show that colour
_SIDE = 640  # pixels of a picture's longer side, at most
_SPECTRA = 4
#: Half the width of a 90 % interval in standard deviations.
_INTERVAL = 1.645
#: Of the marks of flags, in the order of the flags.
_MARKS = ("#ff6b6b", "#ffd166", "#7fc8a9", "#d98ca8", "#9bb8ff", "#c9b26d", "#b48ead", "#8fbcbb")
_VIEWED = 16  # bands to go through


def hsi_page(original: xr.Dataset, result: xr.Dataset) -> Report:
    """The page for one scene.

    Args:
        original: `cube` (band, y, x) as it was; of a part, the whole or the part.
        result: `cube` and `flags`, and `std` where there is one, with the attributes of the run.
    """
    request = result.attrs.get("request") or {}
    original = taken(original, **{n: request.get(n) for n in ("bands", "window", "mask")})
    if has_lookup(original) and not has_lookup(result):
        original = orthorectified(original)
    attrs = result.attrs
    pixels = [(int(y), int(x)) for y, x in attrs.get("shown_pixels", ())]
    known = {fact.key: fact for fact in facts(result)}
    run = [[_LABELS.get(k, k), str(attrs[k])] for k in _RUN_KEYS if attrs.get(k) not in (None, "")]
    own = {*attrs.get("scene_attributes", ()), "scene_attributes"} - {"source"}
    everything = [
        [str(k), str(jsonable(v))[:400]] for k, v in sorted(attrs.items()) if k not in own
    ]
    measured = [[f.label, f.text] for f in known.values() if f.key not in (*_RUN_KEYS, "method")]
    flag_table = _flag_table(original, attrs)
    return Report(
        title="Hyperspectral denoising",
        subtitle=f"{attrs.get('source', '')}: {known['matrix'].text}, {known['method'].text}",
        verdict=verdict(attrs),
        sections=_sections(original, result, attrs, pixels),
        tables=[
            Table("Scene", measured),
            Table("Run", run),
            *([flag_table] if flag_table is not None else []),
            Table("All attributes of the result", everything, folded=True),
        ],
        methods=list(statements(attrs)),
        command=str(attrs["command"]),
        caution="A denoised cube is an estimate: look at its uncertainty before using a spectrum.",
    )


def verdict(attrs: Mapping[str, Any]) -> Verdict:
    """What to think of a result, from its consistency and warnings."""
    remarks = warnings_of(attrs)
    level = f" (residual {float(attrs['consistency']):.2f} times the noise)"
    if attrs.get("contradicts"):
        headline = f"The estimate contradicts the measurement{level}. Do not trust its details."
        return Verdict(
            "contradiction", headline, [r for r in remarks if "contradicts the data" not in r]
        )
    if remarks:
        return Verdict("doubtful", "Read these remarks before using the cube.", remarks)
    return Verdict(
        "good",
        f"The estimate agrees with the measured data within their noise{level}.",
        ["Look at what was taken away: structure in it was lost in the result."],
    )


def _sections(
    original: xr.Dataset,
    result: xr.Dataset,
    attrs: Mapping[str, Any],
    pixels: Sequence[tuple[int, int]],
) -> list[Section]:
    noise = per_band(attrs, "noise_std")
    used = np.flatnonzero(np.isfinite(noise))
    shape = original.sizes["y"], original.sizes["x"]
    step = max(1, -(-max(shape) // _SIDE))
    before, after = _Preview(original, "cube", step), _Preview(result, "cube", step)
    sections = []
    for name, bands in _composites(original, used).items():
        old, new = before(bands), after(bands)
        low, high = _stretch(new)
        text = _which(original, bands) + _thinned(step)
        sections.append(
            Section(
                name,
                [
                    Panel("Before", _rgb(old, low, high), (0, 1), note="As it was read."),
                    Panel("After", _rgb(new, low, high), (0, 1), note="On the same scale."),
                ],
                text,
            )
        )
    signal = np.abs(per_band(attrs, "mean"))
    relative = noise[used] / signal[used] if signal.size > 1 else noise[used]
    noisiest = int(used[np.nanargmax(relative)])
    middle = int(used[np.argsort(noise[used])[len(used) // 2]])
    for title, band in (("Noisiest band", noisiest), ("A band of middling noise", middle)):
        sections.append(_band(title, band, original, result, (before, after), noise[band], step))
    chosen = [*pixels, *_chosen(after(_spread_bands(used)), step)][: max(_SPECTRA, len(pixels))]
    sections.append(_spectra(original, result, chosen, used))
    composite = next(iter(_composites(original, used).values()))
    scene = after(composite)
    explored = _explored(original, result, _rgb(scene, *_stretch(scene)))
    viewer = _viewer(original, result, (before, after), used, step)
    sections.append(Section("Bands", [], viewers=[viewer], spectra=[explored]))
    sections.append(_noise(original, attrs, noise, used))
    sections.append(_quality(original, result, step))
    return sections


def _quality(original: xr.Dataset, result: xr.Dataset, step: int) -> Section:
    """Where entries were replaced, kept or left without a value: all bands on one map each."""
    total = xr.DataArray(result["flags"].data, dims=("band", "y", "x"))
    bands = total.sizes["band"]
    panels = []
    for flag in MEANINGS:
        share = _share(total, int(flag), step)
        if flag is Flag.OUTSIDE or not share.any():
            continue
        name = str(flag.name).lower()
        panels.append(
            Panel(
                name.capitalize(),
                share,
                (0, float(share.max())),
                f"share of {bands} bands",
                "heat",
                note=MEANINGS[flag].capitalize() + ".",
            )
        )
    text = "" if panels else "No entry has a flag: all are measurements that were denoised."
    return Section("Quality layer", panels, text + _thinned(step))


def _share(flags: xr.DataArray, bit: int, step: int) -> NDArray[np.float64]:
    """Share of the bands that have a flag; of a thinned map the largest of the pixels."""
    rows = []
    height, width = flags.sizes["y"], flags.sizes["x"]
    for top in range(0, height, step):
        part = flags[:, top : top + step].data
        values = np.asarray(part.compute(scheduler="threads") if hasattr(part, "compute") else part)
        share = ((values & bit) != 0).mean(axis=0).max(axis=0)
        share = np.pad(share, (0, -width % step))
        rows.append(share.reshape(-1, step).max(axis=1))
    return np.array(rows)


def _flag_table(dataset: xr.Dataset, attrs: Mapping[str, Any]) -> Table | None:
    """Entries of each band with each flag; bands without any are left out."""
    flagged = {k: v for k, v in dict(attrs.get("flagged", {})).items() if k != "outside"}
    if not flagged:
        return None
    names = band_names(dataset)
    rows = [
        [names[b], *(str(int(v[b])) for v in flagged.values())]
        for b in range(len(names))
        if any(v[b] for v in flagged.values())
    ]
    return Table("Flagged entries of each band", rows, ["band", *flagged], folded=True)


def _marks(result: xr.Dataset, flags: NDArray[Any]) -> list[FlagMarks]:
    """The flags that are set anywhere, each with its colour."""
    colours = zip(MEANINGS, _MARKS * len(MEANINGS), strict=False)
    return [
        FlagMarks(str(flag.name).lower(), int(flag), colour)
        for flag, colour in colours
        if flag is not Flag.OUTSIDE and bool(((flags & int(flag)) != 0).any())
    ]


def _explored(original: xr.Dataset, result: xr.Dataset, picture: NDArray[np.float64]) -> Spectra:
    """Spectra of a grid of pixels, to look at under the cursor."""
    height, width = (original.sizes[k] for k in ("y", "x"))
    step = sampling_step(height, width)
    lines, samples = (np.arange(step // 2, n, step) for n in (height, width))
    grid = {"y": lines, "x": samples}
    before, after = original.isel(grid), result.isel(grid)
    bands = list(range(original.sizes["band"]))
    deviation = None
    if "std" in result:
        deviation = _Preview(after.assign_attrs(nodata=None), "std", 1)(bands)
    flags = np.asarray(after["flags"].data).astype(np.uint8)
    x, label = _axis(original)
    return Spectra(
        "Spectra under the cursor",
        picture,
        lines,
        samples,
        (height, width),
        _Preview(before, "cube", 1)(bands),
        _Preview(after, "cube", 1)(bands),
        x,
        label,
        _quantity(original),
        deviation,
        flags,
        _marks(result, flags),
    )


def _viewer(
    original: xr.Dataset,
    result: xr.Dataset,
    previews: tuple[_Preview, _Preview],
    used: NDArray[np.intp],
    step: int,
) -> Viewer:
    """Bands spread over those that hold something, before and after on one scale."""
    places = np.unique(np.linspace(0, len(used) - 1, _VIEWED).round().astype(int))
    bands = [int(used[k]) for k in places]
    before, after = (preview(bands) for preview in previews)
    finite = after[np.isfinite(after)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    reach = float(high - low) or 1.0
    return Viewer(
        "Explore the bands",
        [Layer("Before", before), Layer("After", after)],
        (float(low), float(low) + reach),
        _unit(original),
        plane="band",
        total=original.sizes["band"],
        labels=[_which(original, [band]).rstrip(".") for band in bands],
        presets={"Wide": (float(low) - reach / 2, float(high) + reach / 2)},
        overlays=_overlays(original, result, bands, step),
    )


def _overlays(
    original: xr.Dataset, result: xr.Dataset, bands: Sequence[int], step: int
) -> list[Overlay]:
    """Standard deviation, and the quality layer with a colour for each flag."""
    overlays = []
    if "std" in result:
        std = _Preview(result.assign_attrs(nodata=None), "std", step)(bands)
        if np.isfinite(std).any():
            top = float(np.nanpercentile(std, 99.5)) or 1.0
            overlays.append(Overlay("Standard deviation", std, (0.0, top), _unit(original)))
    flags = np.asarray(result["flags"][list(bands), ::step, ::step].data).astype(np.uint8)
    for mark in _marks(result, flags):
        layer = ((flags & mark.bit) != 0).astype(np.float64)
        overlays.append(Overlay(f"Flag: {mark.title}", layer, colour=mark.colour))
    return overlays


class _Preview:
    """Every so many pixels of single bands, NaN where nothing is known."""

    def __init__(self, dataset: xr.Dataset, name: str, step: int) -> None:
        self._cube = dataset[name]
        self._step = step
        nodata = dataset.attrs.get("nodata")
        self._nodata = float("nan") if nodata is None else float(nodata)

    def __call__(self, bands: Sequence[int]) -> NDArray[np.float64]:
        part = self._cube[list(bands), :: self._step, :: self._step].data
        values = np.asarray(part.compute(scheduler="threads") if hasattr(part, "compute") else part)
        values = values.astype(np.float64)
        return np.where(np.isfinite(values) & (values != self._nodata), values, np.nan)


def _composites(dataset: xr.Dataset, used: NDArray[np.intp]) -> dict[str, list[int]]:
    """Bands for red, green and blue."""
    if "wavelength" not in dataset.coords:
        return {"False colour": _spread_bands(used)}
    wavelength = np.asarray(dataset["wavelength"].values, np.float64)
    found = {}
    for name, wanted in _COMPOSITES.items():
        bands = [int(used[np.argmin(np.abs(wavelength[used] - w))]) for w in wanted]
        if all(abs(wavelength[b] - w) <= _NEAR_NM for b, w in zip(bands, wanted, strict=True)):
            found[name] = bands
    return found or {"False colour": _spread_bands(used)}


def _spread_bands(used: NDArray[np.intp]) -> list[int]:
    """Three bands spread over those that hold something, the last first: red is longest."""
    return [int(used[round((len(used) - 1) * part)]) for part in (5 / 6, 1 / 2, 1 / 6)]


def _stretch(image: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ends of the scale of each colour: all but the darkest and brightest 2 %."""
    low, high = np.full(3, 0.0), np.full(3, 1.0)
    for i, channel in enumerate(image):
        finite = channel[np.isfinite(channel)]
        if finite.size:
            low[i], high[i] = np.percentile(finite, (2, 98))
    return low, np.where(high > low, high, low + 1)


def _rgb(
    image: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    shown = (image - low[:, None, None]) / (high - low)[:, None, None]
    return np.moveaxis(np.clip(shown, 0, 1), 0, -1)


def _unit(dataset: xr.Dataset) -> str:
    """The unit of the values; empty where the file does not state it."""
    return str(dataset["cube"].attrs.get("units") or "")


def _quantity(dataset: xr.Dataset) -> str:
    """What the values are, with their unit."""
    attrs, unit = dataset["cube"].attrs, _unit(dataset)
    name = str(attrs.get("long_name") or attrs.get("standard_name") or "value").replace("_", " ")
    if unit in ("1", "dimensionless"):
        return name
    return f"{name} / {unit}" if unit else f"{name}, unit of the file"


def _band(
    title: str,
    band: int,
    original: xr.Dataset,
    result: xr.Dataset,
    previews: tuple[_Preview, _Preview],
    sigma: float,
    step: int,
) -> Section:
    [old], [new] = (preview([band]) for preview in previews)
    finite = new[np.isfinite(new)]
    window = tuple(np.percentile(finite, (1, 99))) if finite.size else (0.0, 1.0)
    window = window if window[1] > window[0] else (window[0], window[0] + 1)
    away, unit = old - new, _quantity(original)
    reach = 4 * float(sigma) or 1.0
    panels = [
        Panel("Before", old, window, unit, note="As it was read."),
        Panel("After", new, window, unit, note="The estimate."),
        Panel(
            "Taken away",
            away,
            (-reach, reach),
            unit,
            "signed",
            note="Before − after, four times the noise to either side. Shapes of the scene in it "
            "were lost.",
        ),
    ]
    if "std" in result:
        [std] = _Preview(result.assign_attrs(nodata=None), "std", step)([band])
        top = float(np.nanpercentile(std, 99.5)) if np.isfinite(std).any() else 1.0
        note = "Posterior uncertainty of every pixel."
        panels.append(Panel("Standard deviation", std, (0, top or 1.0), unit, "heat", note=note))
    text = f"{_which(original, [band])} Estimated noise {sigma:.3g}.{_thinned(step)}"
    return Section(title, panels, text)


def _chosen(image: NDArray[np.float64], step: int) -> list[tuple[int, int]]:
    """Pixels that differ most from each other, away from the border (farthest point first)."""
    bands, rows, columns = image.shape
    flat = image.reshape(bands, -1).T
    inner = np.zeros((rows, columns), bool)
    edge = min(2, (min(rows, columns) - 1) // 2)
    inner[edge : rows - edge, edge : columns - edge] = True
    candidates = np.flatnonzero(np.isfinite(flat).all(axis=1) & inner.ravel())
    if not len(candidates):
        return []
    points = flat[candidates]
    # Without the extremes, which are often single odd pixels.
    low, high = np.percentile(points, (2, 98), axis=0)
    usual = ((points >= low) & (points <= high)).all(axis=1)
    if usual.any():
        candidates, points = candidates[usual], points[usual]
    points = points / np.maximum(points.std(axis=0), 1e-30)
    distance = ((points - np.median(points, axis=0)) ** 2).sum(axis=1)
    picked = [int(np.argmin(distance))]
    nearest = ((points - points[picked[0]]) ** 2).sum(axis=1)
    while len(picked) < _SPECTRA and nearest.max() > 0:
        picked.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, ((points - points[picked[-1]]) ** 2).sum(axis=1))
    places = [divmod(int(candidates[i]), columns) for i in picked]
    return [(y * step, x * step) for y, x in places]


def _spectra(
    original: xr.Dataset,
    result: xr.Dataset,
    places: Sequence[tuple[int, int]],
    used: NDArray[np.intp],
) -> Section:
    x, label = _axis(original)
    shown = np.full(len(x), np.nan)
    shown[used] = x[used]
    charts = []
    for line, sample in places:
        old, new = (
            np.asarray(d["cube"][:, line, sample].values, np.float64) for d in (original, result)
        )
        curves = [Curve("before", shown, old), Curve("after", shown, new)]
        if "std" in result:
            std = np.asarray(result["std"][:, line, sample].values, np.float64)
            half = _INTERVAL * std
            curves.append(Curve("90 % interval", shown, new - half, new + half))
        charts.append(Chart(f"Line {line}, sample {sample}", curves, label, _quantity(original)))
    return Section(
        "Spectra", charts, "Pixels that differ most from each other; counted from 0. One after the "
        "other before and after: a shift of a whole spectrum would be a bias."
    )  # fmt: skip


def _noise(
    original: xr.Dataset,
    attrs: Mapping[str, Any],
    noise: NDArray[np.float64],
    used: NDArray[np.intp],
) -> Section:
    x, label = _axis(original)
    taken, left = per_band(attrs, "taken_rms"), per_band(attrs, "std_rms")
    estimated = "estimated" if attrs.get("noise_estimated", 1) else "given"
    curves = [
        Curve(f"noise ({estimated})", x[used], noise[used]),
        Curve("taken away (rms)", x[used], taken[used]),
    ]
    if left.size > 1:
        curves.append(Curve("uncertainty left (rms)", x[used], left[used]))
    residual = per_band(attrs, "residual")
    charts = [
        Chart(
            "Noise of every band",
            curves,
            label,
            _quantity(original),
            note="What was taken away should not exceed the noise.",
            from_zero=True,
        ),
        Chart(
            "Residual",
            [Curve("residual / noise", x[used], residual[used])],
            label,
            "times the noise",
            note="Near 1 where the estimate explains the data; well above 1 it contradicts them.",
            from_zero=True,
        ),
    ]
    return Section("Noise", charts)


def _axis(dataset: xr.Dataset) -> tuple[NDArray[np.float64], str]:
    if "wavelength" in dataset.coords:
        return np.asarray(dataset["wavelength"].values, np.float64), "wavelength / nm"
    return np.arange(1.0, dataset.sizes["band"] + 1), "band"


def _which(dataset: xr.Dataset, bands: Sequence[int]) -> str:
    numbers = ", ".join(str(b + 1) for b in bands)
    text = f"Band{'s' * (len(bands) > 1)} {numbers}"
    if "wavelength" in dataset.coords:
        nm = ", ".join(f"{float(dataset['wavelength'][b]):.0f}" for b in bands)
        text += f" ({nm} nm)"
    return text + (" as red, green and blue." if len(bands) == 3 else ".")


def _thinned(step: int) -> str:
    return f" One pixel of {step} in each direction." if step > 1 else ""
