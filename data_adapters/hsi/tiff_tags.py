"""What a GeoTIFF holds beside its bands: domains of tags, tiling, compression, overviews.

All of it comes back in the file that is written: tags of other domains as the attribute ``domains``
and the coordinate ``band_tags``, the file's structure as the attribute ``tiff``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from rasterio.io import DatasetWriter

from sciddm.data_adapters.hdf5 import ATTRS

__all__ = ["band_tags", "creation_options", "domains", "own_tags", "structure", "write_tags"]

#: Domains that GDAL makes itself.
_MADE = ("IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "TIFF", "COLOR_PROFILE")
#: Tags of a band that have a place of their own.
_PLACED = {"wavelength", "wavelength_units", "fwhm", "good", "bbl", "gain", "offset"}
_PLACED_IMAGERY = {"CENTRAL_WAVELENGTH_UM", "FWHM_UM"}
_OWN = {"AREA_OR_POINT", ATTRS, "TIFFTAG_IMAGEDESCRIPTION"}


def domains(file: rasterio.DatasetReader) -> dict[str, dict[str, str]]:
    """Tags of the file in named domains, such as ENVI or RPC."""
    names = [n for n in file.tag_namespaces() if n not in _MADE and not n.startswith("xml:")]
    return {n: dict(file.tags(ns=n)) for n in names if file.tags(ns=n)}


def band_tags(file: rasterio.DatasetReader) -> list[str] | None:
    """All further tags of each band as JSON, by domain; None where there are none."""
    found = []
    for index in file.indexes:
        held = {"": {k: v for k, v in file.tags(index).items() if k not in _PLACED}}
        for name in file.tag_namespaces(index):
            if name not in _MADE and not name.startswith("xml:"):
                tags = file.tags(index, ns=name)
                held[name] = {
                    k: v for k, v in tags.items() if name != "IMAGERY" or k not in _PLACED_IMAGERY
                }
        found.append(json.dumps({k: v for k, v in held.items() if v}))
    return found if any(v != "{}" for v in found) else None


def structure(file: rasterio.DatasetReader) -> dict[str, Any]:
    """How the file is laid out."""
    image = file.tags(ns="IMAGE_STRUCTURE")
    found: dict[str, Any] = {"cog": image.get("LAYOUT") == "COG"}
    height, width = file.block_shapes[0]
    if file.profile.get("tiled"):
        found |= {"tiled": True, "blockxsize": width, "blockysize": height}
    if image.get("PREDICTOR", "1") != "1":
        found["predictor"] = int(image["PREDICTOR"])
    if file.overviews(1):
        found["overviews"] = [int(v) for v in file.overviews(1)]
    return found


def creation_options(attrs: dict[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Options of GDAL for a file that is laid out as the one that was read."""
    held = dict(attrs.get("tiff") or {})
    options = {k: held[k] for k in ("tiled", "blockxsize", "blockysize") if k in held}
    if attrs.get("compress"):
        options["compress"] = attrs["compress"]
        # Horizontal differences (2) are of integers, those of floating point (3) of floats.
        if "predictor" in held:
            options["predictor"] = 3 if dtype.kind == "f" else 2
    return options


def write_tags(dataset: xr.Dataset, file: DatasetWriter) -> None:
    """Adds the tags of all domains to an open file."""
    for name, tags in (dataset.attrs.get("domains") or {}).items():
        file.update_tags(ns=str(name), **{str(k): str(v) for k, v in tags.items()})
    if "band_tags" in dataset.coords:
        for index, text in enumerate(dataset["band_tags"].values, start=1):
            for name, tags in json.loads(str(text)).items():
                space = {"ns": name} if name else {}
                file.update_tags(index, **space, **tags)


def own_tags(file: rasterio.DatasetReader) -> dict[str, str]:
    """Tags of the file that have no place of their own."""
    return {k: v for k, v in file.tags().items() if k not in _OWN}
