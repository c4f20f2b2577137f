"""The arrays of files, and of a JSON document, with a hash and a summary of each.

Files are read with the libraries of their formats rather than with the project's adapters, where
there is one, so that a hash speaks of what was written. Texts, dates and identifiers are left out.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Named", "Print", "arrays_of", "fingerprint", "numbers_of"]

Print = dict[str, Any]
Named = Iterator[tuple[str, NDArray[Any]]]
_NO_RESULTS = ("seconds", "done", "skipped", "failed")
_DIGITS = 6


def fingerprint(array: NDArray[Any]) -> Print:
    """Hash and summary of an array of numbers.

    Returns:
        ``sha256`` of dtype, shape and bytes (little-endian, row by row); dtype; shape; mean, std,
        min and max of the finite values to 6 significant digits. Of complex arrays these are taken
        over the real and imaginary parts together.
    """
    values = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    head = f"{values.dtype.str} {values.shape}".encode()
    result: Print = {
        "sha256": hashlib.sha256(head + values.tobytes()).hexdigest(),
        "dtype": values.dtype.str,
        "shape": list(values.shape),
    }
    parts = [values.real, values.imag] if np.iscomplexobj(values) else [values]
    real = np.concatenate([p.ravel().astype(np.float64) for p in parts])
    finite = real[np.isfinite(real)]
    if finite.size:
        summary = {"mean": finite.mean(), "std": finite.std()}
        summary |= {"min": finite.min(), "max": finite.max()}
        result |= {k: float(f"{v:.{_DIGITS}g}") for k, v in summary.items()}
    return result


def arrays_of(folder: Path) -> Named:
    """(name, array) of everything below a folder, sorted: FILE or FILE/VARIABLE."""
    series = {p.parent for p in folder.rglob("*.dcm") if p.parent != folder}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path in series:
            yield name, np.stack([_pixels(p) for p in sorted(path.glob("*.dcm"))])
        elif path.is_file() and path.parent not in series:
            for part, array in _read(path):
                yield f"{name}/{part}" if part else name, array


def numbers_of(document: str) -> Named:
    """(key, 0-d float64) of every number of a JSON document; times and counts are left out."""
    for key, value in _flat(json.loads(document)):
        yield f"json/{key}", np.asarray(value, np.float64)


def _flat(value: Any, at: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key not in _NO_RESULTS:
                yield from _flat(part, f"{at}.{key}" if at else str(key))
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from _flat(part, f"{at}[{i}]")
    elif isinstance(value, float | int) and not isinstance(value, bool):
        yield at, value


def _read(path: Path) -> Named:
    """Of one file; of formats that hold no arrays, nothing."""
    suffix = path.suffix.lower()
    if path.name.lower().endswith((".nii", ".nii.gz")):
        import nibabel

        image = nibabel.Nifti1Image.from_filename(path)
        yield "voxels", np.asanyarray(image.dataobj)
        yield "affine", np.asarray(image.affine)
    elif suffix in (".h5", ".nc"):
        yield from _hdf5(path)
    elif suffix == ".npz":
        with np.load(path) as file:
            yield from ((k, file[k]) for k in sorted(file.files) if file[k].dtype.kind in "biufc")
    elif suffix in (".wav", ".flac"):
        import soundfile

        yield "", soundfile.read(path, dtype="float64", always_2d=True)[0]
    elif suffix == ".png":
        import imageio.v3 as iio

        yield "", np.asarray(iio.imread(path))
    elif suffix == ".hdr":
        from sciddm.data_adapters import open_cube

        cube = open_cube(path)
        for name in sorted(map(str, cube.variables)):
            if cube[name].dtype.kind in "biuf":
                yield name, np.asarray(cube[name].values)
    elif suffix == ".dcm":
        yield from _dicom_object(path)
    elif suffix == ".csv":
        yield from _columns(path)


def _hdf5(path: Path) -> Named:
    import h5py

    with h5py.File(path) as file:
        names: list[str] = []
        file.visit(names.append)
        for name in sorted(names):
            node = file[name]
            # netCDF keeps dimensions without coordinates as data sets of nothing.
            empty = b"not a netCDF variable" in node.attrs.get("NAME", b"")
            if isinstance(node, h5py.Dataset) and node.dtype.kind in "biufc" and not empty:
                yield name, np.asarray(node[()])


def _pixels(path: Path) -> NDArray[np.float64]:
    import pydicom

    image = pydicom.dcmread(path)
    slope, intercept = (float(image.get(f"Rescale{k}", d)) for k, d in _RESCALE)
    return np.asarray(image.pixel_array, np.float64) * slope + intercept


_RESCALE = (("Slope", 1.0), ("Intercept", 0.0))


def _dicom_object(path: Path) -> Named:
    """Pixels, or the points of all contours."""
    import pydicom

    item = pydicom.dcmread(path)
    if "PixelData" in item:
        yield "pixels", np.asarray(item.pixel_array)
    contours = [c for roi in item.get("ROIContourSequence", ()) for c in roi.ContourSequence]
    if contours:
        yield "contours", np.array([float(v) for c in contours for v in c.ContourData])


def _columns(path: Path) -> Named:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for key in rows[0] if rows else ():
        try:
            yield key, np.array([float(row[key] or "nan") for row in rows])
        except ValueError:
            continue  # a column of words
