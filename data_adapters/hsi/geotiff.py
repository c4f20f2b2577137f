"""GeoTIFF through rioxarray, with the wavelengths that it would lose.

Wavelengths are read from each band's tags (`wavelength`, `wavelength_units`, `fwhm`; or GDAL's
CENTRAL_WAVELENGTH_UM and FWHM_UM of the domain IMAGERY), else from its description where that is
"865.3 nm" or the like, and written as tags and in that domain. A cube whose bands state none has
none. All other attributes lie as JSON in the tag `sciddm_attrs`.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from threading import Lock
from typing import Any

import dask.array as da
import numpy as np
import rasterio
import rasterio.shutil
import rioxarray
import xarray as xr
from dask.base import tokenize
from rasterio.dtypes import dtype_rev
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from sciddm.data_adapters.attributes import decode, encode
from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.gate.tiff import check_tiff
from sciddm.data_adapters.hdf5 import ATTRS
from sciddm.data_adapters.hsi.cube import VALID, build_cube, corner, lazy_cube, per_unit
from sciddm.data_adapters.hsi.georeference import moved, parse_crs
from sciddm.data_adapters.hsi.tiff_tags import (
    band_tags,
    creation_options,
    domains,
    own_tags,
    structure,
    write_tags,
)
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.library_path import library_path
from sciddm.data_adapters.read_back import incomplete
from sciddm.errors import InputError, OutputError

__all__ = ["read_geotiff", "read_raster", "write_geotiff"]

_LENGTH = re.compile(r"([\d.]+)\s*\(?(nanometers|nm|micrometers|microns|um|µm)\b", re.IGNORECASE)
_IN_FILE = (
    *("source", "format", "crs", "transform", "description", "tags", "compress"),
    *("domains", "tiff", "area_or_point"),
)
_DRIVER = "GTiff"  # GDAL would read other formats under this name, some of which name other files
_SMALLEST, _TILE = 256, 512  # pixels of the last overview, and of a tile
_WIDER = {np.dtype(np.float16): np.dtype(np.float32)}


def read_geotiff(source: str | Path) -> xr.Dataset:
    """Opens a GeoTIFF lazily; see `cube` for what is returned.

    Raises:
        InputError: damaged, or complex.
    """
    path = existing_file(source)
    with reading(path):
        check_tiff(path)
    return read_raster(path, _DRIVER, "geotiff")


def read_raster(path: Path, driver: str, form: str) -> xr.Dataset:
    """Opens a file that passed its gate by one of GDAL's drivers, lazily.

    Args:
        path: of the file.
        driver: GDAL's name of it.
        form: name of the format.

    Raises:
        InputError: damaged, or complex.
    """
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # not every cube is
        with rasterio.open(library_path(path), driver=driver) as file:
            tags = [file.tags(i) for i in file.indexes]
            imagery = [file.tags(i, ns="IMAGERY") for i in file.indexes]
            names = file.descriptions
            own, about = own_tags(file), file.tags()
            further = band_tags(file)
            held_tiff = structure(file) if driver == _DRIVER else {}
            held_domains = domains(file)
            profile = dict(file.profile)
            packing = {"gain": file.scales, "offset": file.offsets}
            packed = any(s != 1 for s in file.scales) or any(o != 0 for o in file.offsets)
            # Of its own, not one that follows from nodata or from transparency.
            masked = all(flags == [MaskFlags.per_dataset] for flags in file.mask_flag_enums)
            mask = file.dataset_mask() != 0 if masked else None
            shape = (file.count, file.height, file.width)
            stored = _Raster(path, shape, np.result_type(*file.dtypes), driver)
        opened = rioxarray.open_rasterio(library_path(path), mask_and_scale=False, driver=driver)
        assert isinstance(opened, xr.DataArray)
        wavelength, fwhm, units = _wavelengths(tags, imagery, names)
        crs = opened.rio.crs
        georeferenced = crs is not None or not opened.rio.transform().is_identity
        coords: dict[str, Any] = {}
        if any(names):
            coords["name"] = ("band", np.asarray([n or "" for n in names]))
        if further is not None:
            coords["band_tags"] = ("band", np.asarray(further))
        for key in ("gain", "offset"):
            if packed:
                coords[key] = ("band", np.asarray(packing[key], np.float64))
            elif all(key in t for t in tags):
                coords[key] = ("band", np.asarray([float(t[key]) for t in tags]))
        kept = decode(about.get(ATTRS, "{}"))
        description = about.get("TIFFTAG_IMAGEDESCRIPTION")
        nodata = kept.get("nodata") if profile["nodata"] is None else float(profile["nodata"])
        order = {"pixel": "bip", "line": "bil"}.get(profile.get("interleave", ""), "bsq")
        held = build_cube(
            path,
            stored.lazy(),
            form=form,
            wavelength=wavelength,
            units=units,
            fwhm=fwhm,
            good=_good(tags),
            coords=coords,
            attrs={
                **kept,
                "nodata": nodata,
                "description": description,
                "crs": None if crs is None else crs.to_wkt(),
                "transform": [*opened.rio.transform()][:6] if georeferenced else None,
                "interleave": kept.get("interleave", order),
                "compress": profile.get("compress"),
                "tags": own or None,
                "domains": held_domains or None,
                "tiff": held_tiff if any(held_tiff.values()) else None,
                "area_or_point": about.get("AREA_OR_POINT"),
            },
        )
        return held if mask is None else held.assign({VALID: (("y", "x"), mask)})


class _Raster:
    """The bands of a file as an array (band, y, x) that opens it whenever it is indexed."""

    ndim = 3

    def __init__(
        self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], driver: str
    ) -> None:
        self.path, self.shape, self.dtype = path.resolve(), shape, dtype
        self.driver = driver

    def lazy(self) -> da.Array:
        """As a dask array in blocks of whole lines."""
        return lazy_cube(self, "tif-" + tokenize(self))

    @isolated
    def __getitem__(self, index: tuple[slice, slice, slice]) -> Any:
        bands, lines, samples = (range(n)[i] for n, i in zip(self.shape, index, strict=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(self.path, driver=self.driver) as file:
                window = Window.from_slices(
                    (lines.start, lines.start + len(lines)),
                    (samples.start, samples.start + len(samples)),
                )
                values = file.read([b + 1 for b in bands], window=window)
        return values[:, :: lines.step, :: samples.step]

    def __dask_tokenize__(self) -> Any:
        status = self.path.stat()
        return str(self.path), status.st_mtime_ns, status.st_size


def write_geotiff(dataset: xr.Dataset, path: Path) -> None:
    """Writes a cube block by block.

    Raises:
        OutputError: a data type that GeoTIFF cannot hold.
        OSError: the disk refuses.
    """
    cube = dataset["cube"]
    dtype = _WIDER.get(cube.dtype, cube.dtype).newbyteorder("=")
    if dtype.name not in dtype_rev:
        raise OutputError(f"{path}: GeoTIFF cannot hold {dtype}: convert to float32")
    line, sample = corner(dataset)
    # Without a name: that of the dask array would become the bands' description.
    bare = xr.DataArray(cube.astype(dtype).data, dims=cube.dims).rename(None)
    crs, transform = dataset.attrs.get("crs"), dataset.attrs.get("transform")
    if crs:
        bare = bare.rio.write_crs(parse_crs(path, str(crs)))
    if transform is not None:
        bare = bare.rio.write_transform(rasterio.Affine(*moved(transform, line, sample)))
    nodata = dataset.attrs.get("nodata")
    if nodata is not None and _holds(dtype, nodata):
        bare = bare.rio.write_nodata(nodata if dtype.kind == "f" else int(nodata))
    pixelwise = str(dataset.attrs.get("interleave", "bsq")).lower() == "bip"
    options: dict[str, Any] = {
        "driver": "GTiff",
        "BIGTIFF": "IF_SAFER",
        "INTERLEAVE": "PIXEL" if pixelwise else "BAND",
    }
    options |= creation_options(dataset.attrs, dtype)
    held = dict(dataset.attrs.get("tiff") or {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        bare.rio.to_raster(path, lock=Lock(), **options)
        _describe(dataset, path)
        if held.get("cog"):
            _optimise(path, dataset.attrs.get("compress"), held)
        elif held.get("overviews"):
            with rasterio.open(path, "r+") as file:
                file.build_overviews(held["overviews"], Resampling.average)
    _check_whole(path)


def _check_whole(path: Path) -> None:
    """GDAL says nothing where the disk refuses what it writes when it closes a file."""
    try:
        check_tiff(path)
        with rasterio.open(path, driver="GTiff") as file:
            whole = ATTRS in file.tags()
    except (InputError, RasterioError):
        whole = False
    if not whole:
        raise incomplete(path)


def _optimise(path: Path, compress: str | None, held: dict[str, Any]) -> None:
    """Rewrites a file as a cloud optimised one, block by block."""
    plain = path.with_name(f"{path.name}.plain")
    path.rename(plain)
    try:
        with rasterio.open(plain, "r+") as file:
            halves = [2**k for k in range(1, 12) if max(file.shape) / 2**k >= _SMALLEST]
            levels = held.get("overviews") or halves
            if levels:
                file.build_overviews(levels, Resampling.average)
        options: dict[str, Any] = {"compress": compress or "DEFLATE", "tiled": True}
        for key in ("blockxsize", "blockysize"):
            options[key] = held.get(key, _TILE)
        rasterio.shutil.copy(
            plain,
            path,
            driver=_DRIVER,
            copy_src_overviews=True,
            copy_src_mdd="YES",  # tags of all domains
            BIGTIFF="IF_SAFER",
            **options,
        )
    finally:
        plain.unlink()


def _describe(dataset: xr.Dataset, path: Path) -> None:
    """Adds all metadata but the georeference to a written file."""
    with rasterio.open(path, "r+") as file:
        own = dict(dataset.attrs.get("tags") or {})
        if dataset.attrs.get("area_or_point"):
            own["AREA_OR_POINT"] = dataset.attrs["area_or_point"]
        own[ATTRS] = encode({k: v for k, v in dataset.attrs.items() if k not in _IN_FILE})
        if dataset.attrs.get("description"):
            own["TIFFTAG_IMAGEDESCRIPTION"] = dataset.attrs["description"]
        file.update_tags(**own)
        write_tags(dataset, file)
        for key, name in (("scales", "gain"), ("offsets", "offset")):
            if name in dataset.coords:
                setattr(file, key, [float(v) for v in dataset[name].values])
        if VALID in dataset:
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
                file.write_mask(np.asarray(dataset[VALID].values, bool))
        scale = per_unit(dataset)
        units = dataset.attrs.get("wavelength_units", "Nanometers")
        for index in range(file.count):
            band = dataset.isel(band=index)
            tags: dict[str, str] = {}
            if "wavelength" in band.coords:
                tags["wavelength"] = f"{float(band['wavelength']) / scale:.15g}"
                tags["wavelength_units"] = str(units)
                imagery = {"CENTRAL_WAVELENGTH_UM": f"{float(band['wavelength']) / 1e3:.9g}"}
                if "fwhm" in band.coords:
                    imagery["FWHM_UM"] = f"{float(band['fwhm']) / 1e3:.9g}"
                file.update_tags(index + 1, ns="IMAGERY", **imagery)
            if "fwhm" in band.coords:
                tags["fwhm"] = f"{float(band['fwhm']) / scale:.15g}"
            if "good" in band.coords:
                tags["good"] = tags["bbl"] = str(int(band["good"]))
            for key in ("gain", "offset"):
                if key in band.coords:
                    tags[key] = f"{float(band[key]):.15g}"
            file.update_tags(index + 1, **tags)
            if "name" in band.coords and str(band["name"].values):
                file.set_band_description(index + 1, str(band["name"].values))


def _good(tags: list[dict[str, str]]) -> list[int] | None:
    """The bad band list, where all bands state it."""
    for key in ("good", "bbl"):
        if all(key in t for t in tags):
            return [int(t[key].strip().lower() not in ("0", "false", "")) for t in tags]
    return None


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    """Whether the value can occur in a cube of that type: else GDAL refuses it as nodata."""
    if dtype.kind == "f":
        return True
    return float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def _wavelengths(
    tags: list[dict[str, str]], imagery: list[dict[str, str]], names: tuple[str | None, ...]
) -> tuple[list[float] | None, list[float] | None, str | None]:
    """(wavelengths, fwhm, units) where all bands state them."""
    if all("wavelength" in t for t in tags):
        fwhm = [float(t["fwhm"]) for t in tags] if all("fwhm" in t for t in tags) else None
        return [float(t["wavelength"]) for t in tags], fwhm, tags[0].get("wavelength_units")
    if all("CENTRAL_WAVELENGTH_UM" in t for t in imagery):
        widths = None
        if all("FWHM_UM" in t for t in imagery):
            widths = [float(t["FWHM_UM"]) for t in imagery]
        return [float(t["CENTRAL_WAVELENGTH_UM"]) for t in imagery], widths, "um"
    found = [_LENGTH.search(n or "") for n in names]
    if all(found):
        units = {m[2].lower() for m in found if m}
        if len(units) == 1:
            return [float(m[1]) for m in found if m], None, units.pop()
    return None, None, None
