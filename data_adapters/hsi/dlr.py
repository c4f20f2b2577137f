"""What EnMAP and DESIS share: GeoTIFFs of spectra beside an XML file that describes their bands."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.hsi.geotiff import read_geotiff
from sciddm.errors import InputError

__all__ = ["MARK", "band_lists", "described", "metadata_of", "parsed", "product_files"]

#: In the name of the metadata, and of the spectra beside it.
MARK = "-METADATA.", "-SPECTRAL_IMAGE."
_MOST_BYTES = 64 * 2**20


def metadata_of(path: Path) -> Path | None:
    """The metadata of a product, from its own name or that of its spectra; None without any.

    Args:
        path: any file.
    """
    for mark in MARK:
        at = path.name.upper().find(mark)
        if at < 0:
            continue
        for name in (f"{path.name[:at]}{MARK[0]}{s}" for s in ("XML", "xml")):
            if path.with_name(name).is_file():
                return path.with_name(name)
    return None


def parsed(path: Path) -> ElementTree.Element:
    """The root of an XML file.

    Raises:
        InputError: too large, with entities, or damaged.
    """
    if existing_file(path).stat().st_size > _MOST_BYTES:
        raise InputError(f"{path}: too large for metadata: give the file of the product")
    text = path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:  # entities can blow up to any size
        raise InputError(f"{path}: declares XML entities: give the file of the product")
    with reading(path):
        return ElementTree.fromstring(text)


def band_lists(
    path: Path, bands: list[ElementTree.Element], names: dict[str, str]
) -> dict[str, NDArray[np.float64]]:
    """Numbers of all bands.

    Args:
        path: of the metadata, for messages.
        bands: their elements.
        names: of what is wanted, to the element that holds it.

    Returns:
        Those that all bands state.
    """
    found = {}
    with reading(path):
        for name, element in names.items():
            texts = [b.findtext(element) for b in bands]
            if texts and all(texts):
                found[name] = np.array([float(str(t).split(",")[0]) for t in texts])
    return found


def described(metadata: Path, lists: dict[str, NDArray[np.float64]], form: str) -> xr.Dataset:
    """The spectra beside the metadata, with its lists; lazily.

    Args:
        metadata: XML file of the product.
        lists: wavelength, fwhm, gain, offset, good; (band,).
        form: name of the format.

    Raises:
        InputError: the spectra are missing, or have another number of bands.
    """
    image = _image(metadata)
    held = read_geotiff(image)
    bands = held.sizes["band"]
    for name, values in lists.items():
        if len(values) != bands:
            raise InputError(
                f"{metadata}: describes {len(values)} bands, {image.name} has {bands}: download "
                "the product again"
            )
        unit = {"units": "nm"} if name in ("wavelength", "fwhm") else {}
        held = held.assign_coords({name: ("band", values != 0 if name == "good" else values, unit)})
    return held.assign_attrs(
        source=metadata.name, format=form, wavelength_units="nm", nm_per_unit=1.0
    )


def product_files(path: Path) -> list[Path]:
    """Spectra and metadata of a product, from the name of either."""
    metadata = metadata_of(path)
    return [path] if metadata is None else [_image(metadata), metadata]


def _image(metadata: Path) -> Path:
    at = metadata.name.upper().find(MARK[0])
    stem = metadata.name[:at] + MARK[1]
    options = [metadata.with_name(stem + s) for s in ("TIF", "tif", "TIFF", "tiff")]
    image = next((o for o in options if o.is_file()), None)
    if image is None:
        raise InputError(f"{metadata}: {stem}TIF is not beside it: copy both")
    return image
