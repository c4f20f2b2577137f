"""What `estimate-noise` finds: the noise, the defects and the verdict of every band."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import sciddm
from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.hsi.envi_header import write_header
from sciddm.data_adapters.hsi.part import taken
from sciddm.errors import InputError, OutputError
from sciddm.physics.spectral.flags import Flag, counts
from sciddm.pipelines.engine.summary import Fact, jsonable
from sciddm.pipelines.hsi.describe import damage, median_fact, significant
from sciddm.pipelines.hsi.survey import Scene, survey
from sciddm.progress import Progress
from sciddm.storage import csv_text

__all__ = [
    "listing",
    "noise_facts",
    "noise_table",
    "stated_noise",
    "write_bad_bands",
    "write_table",
]

_COLUMNS = ("noise_std", "signal_to_noise", "dead_share", "striped_columns")
#: A band is bad where its noise is this share of its mean, and of what the scene varies in it,
_NOISY = 0.5
#: or where this share of its entries tell nothing.
_LOST = 0.5


def stated_noise(
    stated: float | str | Path | list[float | None] | None, bands: int
) -> float | NDArray[np.float64] | None:
    """The noise a user states: numbers, or a .json file that `estimate-noise` wrote.

    Raises:
        InputError: none of these, or for another number of bands.
    """
    if stated is None or isinstance(stated, float | int):
        return stated
    if isinstance(stated, str | Path):
        try:
            return float(str(stated))
        except ValueError:
            path = existing_file(stated)
        with reading(path):
            entries = json.loads(path.read_text(encoding="utf-8"))["noise_std"]
    else:
        entries = stated
    values = np.asarray([np.nan if v is None else float(v) for v in entries])
    if len(values) != bands:
        raise InputError(f"noise of {len(values)} bands, but the cube has {bands}: give one each")
    return values


def noise_table(
    data: xr.Dataset,
    progress: Progress | None = None,
    *,
    bands: str | None = None,
    window: str | None = None,
    mask: Path | None = None,
) -> xr.Dataset:
    """The noise of a scene, band by band.

    Args:
        data: in the form of `data_adapters.hsi.cube`.
        progress: told of every block.
        bands, window, mask: the part that counts; see `data_adapters.hsi.part.taken`.

    Returns:
        (band,) noise_std in the cube's unit, signal_to_noise (mean over noise), dead_share,
        striped_columns, all NaN for bands that hold nothing; good (bool); reason, why a band is
        bad; and the number of entries with each flag.

    Raises:
        InputError: an unusable scene.
    """
    data = taken(data, bands=bands, window=window, mask=mask)
    scene = Scene(data)
    known = survey(scene, progress=progress)
    pixels = max(1, known.moments.count)
    sigma = known.noise.sigma
    mean = known.moments.mean * known.scale
    variance = np.diag(known.moments.covariance) * known.scale**2
    varied = np.sqrt(np.maximum(variance - sigma**2, 0))
    found: dict[str, NDArray[Any]] = {
        "noise_std": sigma,
        "signal_to_noise": mean / np.maximum(sigma, np.finfo(np.float64).tiny),
        "dead_share": known.dead / pixels,
        "striped_columns": (known.noise.stripes != 0).sum(axis=1).astype(float),
    }
    reason = np.full(scene.bands, "holds no value", dtype=object)
    told = np.full(len(sigma), "", dtype=object)
    noisy = (sigma > _NOISY * np.abs(mean)) & (sigma > _NOISY * varied)
    told[noisy] = "noise about as large as the signal"
    told[found["dead_share"] > _LOST] = "most entries are defects"
    reason[known.used] = told
    table = xr.Dataset(
        {name: ("band", _of_all(values, known.used)) for name, values in found.items()},
        coords={k: v for k, v in data.coords.items() if v.dims == ("band",)},
        attrs={
            "source": scene.name,
            "scale": known.scale,
            "size": list(scene.cube.shape),
            "noise_shared": round(known.noise.shared, 3),
        },
    )
    for name in ("envi_header", "envi_comments"):
        if name in data.attrs:
            table.attrs[name] = data.attrs[name]
    warnings = [*(data.attrs.get("remarks") or ()), *filter(None, [known.doubt])]
    if warnings:
        table.attrs["warnings"] = json.dumps(warnings)
    table["good"] = ("band", reason == "")
    table["reason"] = ("band", reason.astype(str))
    total = _flag_counts(scene, known.flags)
    for name, number in total.items():
        if number.any():
            table[f"{name}_entries"] = ("band", _of_all(number.astype(float), known.used))
    return table


def write_table(table: xr.Dataset, path: Path, at: Mapping[Path, Path]) -> None:
    """Writes a noise table as .json or .csv, or the header of its ENVI cube with the bad bands.

    Args:
        table: see `noise_table`.
        path: the suffix chooses the format.
        at: where the file is written for the time being.
    """
    if path.suffix.lower() == ".hdr":
        write_bad_bands(table, path, at[path])
        return
    at[path].write_text(_text(table, path.suffix.lower()), encoding="utf-8")


def _text(table: xr.Dataset, suffix: str) -> str:
    numbers = _numbers(table)
    if suffix != ".csv":
        return json.dumps(jsonable(numbers), indent=2) + "\n"
    lists = {k: v for k, v in numbers.items() if isinstance(v, list) and k != "bad_bands"}
    rows = enumerate(zip(*lists.values(), strict=True), start=1)
    return csv_text([["band", *lists], *([number, *row] for number, row in rows)], digits=9)


def write_bad_bands(table: xr.Dataset, path: Path, at: Path) -> None:
    """Writes the ENVI header of the cube with the bad band list in it.

    Args:
        table: of an ENVI cube.
        path: of the header, for messages.
        at: where it is written now.

    Raises:
        OutputError: the cube is of another format, or a part.
    """
    header = table.attrs.get("envi_header")
    if not header or str(header.get("bands")) != str(table.sizes["band"]):
        raise OutputError(f"{path}: the input is no whole ENVI cube: write .json, which holds bbl")
    entries = {**header, "bbl": [str(int(g)) for g in table["good"].values]}
    write_header(at, entries, list(table.attrs.get("envi_comments") or ()))


def noise_facts(table: xr.Dataset) -> Iterator[Fact]:
    """What is worth telling of a noise table."""
    sigma = table["noise_std"].values
    bands, lines, samples = table.attrs["size"]
    yield Fact("matrix", "matrix", [lines, samples, bands], f"{lines} x {samples}, {bands} bands")
    yield median_fact("noise_std_median", "noise (median band)", sigma)
    largest, where = float(np.nanmax(sigma)), int(np.nanargmax(sigma))
    text = f"{significant(largest)} in band {where + 1}"
    yield Fact("noise_std_largest", "largest noise", largest, text)
    dead = float(np.nanmean(table["dead_share"].values))
    striped = int(np.nansum(table["striped_columns"].values))
    yield from damage(dead, striped, np.flatnonzero(np.isnan(sigma)).tolist())
    bad = np.flatnonzero(~table["good"].values)
    yield Fact("bad_bands", "bad bands", [int(b) for b in bad], ranges(bad + 1) or "none")
    for key, value in _numbers(table).items():
        if key not in ("bad_bands", "source", "sciddm_version"):
            yield Fact(key, key, value, "")


def ranges(numbers: NDArray[np.integer[Any]]) -> str:
    """Numbers in order as "3, 7-12"."""
    parts: list[str] = []
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
        if len(run):
            parts.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ", ".join(parts)


def listing(table: xr.Dataset) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table that is printed: one row per band."""
    wavelength = table["wavelength"].values if "wavelength" in table.coords else None
    header = ["band", *(["nm"] if wavelength is not None else [])]
    header += ["noise", "SNR", "dead / %", "stripes", "bad"]
    rows = []
    for b in range(table.sizes["band"]):
        row = [str(b + 1)] + ([f"{wavelength[b]:.1f}"] if wavelength is not None else [])
        sigma, ratio, dead, stripes = (float(table[c].values[b]) for c in _COLUMNS)
        if np.isnan(sigma):
            row += ["empty", "", "", ""]
        else:
            row += [significant(sigma), f"{ratio:.1f}", f"{100 * dead:.2f}", f"{stripes:.0f}"]
        rows.append([*row, str(table["reason"].values[b])])
    return header, rows


def _numbers(table: xr.Dataset) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "source": table.attrs["source"],
        "sciddm_version": sciddm.__version__,
    }
    if "wavelength" in table.coords:
        numbers["wavelength_nm"] = [float(w) for w in table["wavelength"].values]
    for name in _COLUMNS:
        numbers[name] = [float(v) for v in table[name].values]
    for variable in map(str, table.data_vars):
        if variable.endswith("_entries"):
            numbers[variable] = [float(v) for v in table[variable].values]
    good = table["good"].values
    numbers["bbl"] = [int(g) for g in good]
    numbers["reason"] = [str(r) for r in table["reason"].values]
    numbers["bad_bands"] = [int(b) + 1 for b in np.flatnonzero(~good)]
    return numbers


def _of_all(values: NDArray[Any], used: NDArray[np.bool_]) -> NDArray[np.float64]:
    whole = np.full(len(used), np.nan)
    whole[used] = values
    return whole


def _flag_counts(scene: Scene, flags: Any) -> dict[str, NDArray[np.int64]]:
    total: dict[str, NDArray[np.int64]] = {}
    for block in scene.blocks():
        for name, number in counts(flags[:, block]).items():
            if name != str(Flag.OUTSIDE.name).lower():
                total[name] = total.get(name, 0 * number) + number
    return total
