"""BART's files: NAME.hdr, the dimensions as text, and NAME.cfl, complex64 in Fortran order.

    dimension   0   1   2   3      4           13
    meaning     x   y   z   coil   map sets    slice

Here kx is x, ky is y; of k-space with a single x, (1, y, z, coil), as BART's tutorials have it, ky
is y and kx is z; of (x, 1, z, coil) ky is z. Echoes (5), cardiac phases (9) and times (10) are
frames, read one after the other (`frames`). Slices of 2D k-space are dimension 13; z is a second
phase encoding, kz, and a 3D scan becomes slices across x (`volume`). Slices of images and maps are
z. BART's FFT is centred as ours is; its scale drops out.

Source: M. Uecker et al., BART Toolbox for Computational MRI, doi.org/10.5281/zenodo.592960.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.attributes import read_sidecar
from sciddm.data_adapters.checks import check_finite, check_size, existing_file, reading
from sciddm.data_adapters.image_format import ImageFormat
from sciddm.data_adapters.mri.frames import Selection, with_frames
from sciddm.data_adapters.mri.scan import build_scan
from sciddm.data_adapters.mri.volume import slices_across_readout
from sciddm.errors import InputError

__all__ = [
    "IMAGE",
    "cfl_pair",
    "read_bart_image",
    "read_bart_kspace",
    "read_bart_maps",
    "read_cfl",
    "write_bart_image",
    "write_bart_kspace",
    "write_cfl",
]

_NDIM = 16
_X, _Y, _Z, _COIL, _MAPS, _SLICE = 0, 1, 2, 3, 4, 13
_MEANING = (
    *("x", "y", "z", "coil", "map set", "echo", "coefficient", "coefficient", "iteration"),
    *("cardiac phase", "time", "time", "level", "slice", "average", "batch"),
)
_LONGEST_HEADER = 2**20
#: Dimensions along which every entry is an image of its own, and what they count.
_FRAMES = {5: "contrast", 9: "phase", 10: "repetition"}
#: Power of the strongest line over the median line's, from which k-space has a centre there.
_PEAK = 8.0


def cfl_pair(path: str | Path) -> tuple[Path, Path]:
    """(NAME.cfl, NAME.hdr) of either of them or of NAME."""
    path = Path(path)
    base = path.name[:-4] if path.suffix.lower() in (".cfl", ".hdr") else path.name
    return path.with_name(base + ".cfl"), path.with_name(base + ".hdr")


def read_cfl(path: str | Path) -> NDArray[np.complex64]:
    """Reads an array with all of its 16 dimensions.

    Raises:
        InputError: a file of the pair is missing, the header states no or absurd dimensions, or the
            data has another size than the header says.
    """
    data, header = cfl_pair(path)
    for needed, other in ((data, header), (header, data)):
        if not needed.exists() and other.exists():
            raise InputError(f"{needed}: missing beside {other.name}: BART's files come in pairs")
    data, header = existing_file(data), existing_file(header)
    with reading(header):
        if header.stat().st_size > _LONGEST_HEADER:
            raise InputError(f"{header}: too long for a BART header: check the name")
        dims = _dimensions(header)
        check_size(header, "the array", dims)
        needed_bytes, found_bytes = 8 * math.prod(dims), data.stat().st_size
        if needed_bytes != found_bytes:
            raise InputError(
                f"{data}: holds {found_bytes} bytes, but {header.name} says "
                f"{' x '.join(str(n) for n in dims if n > 1)}, {needed_bytes} bytes: truncated, or "
                "the header of another file: copy both again"
            )
        return np.fromfile(data, dtype="<c8").reshape(dims, order="F").astype(np.complex64)


def write_cfl(path: str | Path, array: NDArray[Any]) -> None:
    """Writes an array of up to 16 dimensions as NAME.cfl and NAME.hdr."""
    data, header = cfl_pair(path)
    dims = [*array.shape, *[1] * (_NDIM - array.ndim)]
    header.write_text("# Dimensions\n" + " ".join(map(str, dims)) + "\n", encoding="ascii")
    with data.open("wb") as file:
        file.write(np.asarray(array, dtype="<c8").tobytes(order="F"))


def read_bart_kspace(path: str | Path, select: Selection | None = None) -> xr.Dataset:
    """Reads 2D or 3D Cartesian k-space; see `scan` for what is returned.

    Geometry is taken from NAME.json where `write_bart_kspace`'s caller left one.

    Args:
        path: either file, or their common name.
        select: which contrasts, phases or repetitions to read; see `frames`.

    Raises:
        InputError: unusable; non-Cartesian, or with dimensions that have no place here.
    """
    data, _ = cfl_pair(path)
    array = read_cfl(path)
    for axis in _FRAMES:  # kept open until all are counted
        array = np.take(array, _values(data, array.shape[axis], _FRAMES[axis], select), axis=axis)
    counts = {name: array.shape[axis] for axis, name in _FRAMES.items()}
    frames = int(np.prod(list(counts.values())))
    if frames == 1:
        return _one_frame(data, array)
    order = [axis for axis in _FRAMES if array.shape[axis] > 1]
    moved = np.moveaxis(array, order, range(len(order)))
    stack = moved.reshape(frames, *(1 if i in order else n for i, n in enumerate(array.shape)))
    scans = [_one_frame(data, one) for one in stack]
    grid = np.meshgrid(
        *(_values(data, read, _FRAMES[axis], select) for axis, read in _sizes(path, order)),
        indexing="ij",
    )
    values = {_FRAMES[axis]: g.ravel() for axis, g in zip(order, grid, strict=True)}
    return with_frames(_joined(scans), values, frames)


def _sizes(path: str | Path, axes: Sequence[int]) -> list[tuple[int, int]]:
    """(axis, its size in the file)."""
    dims = _dimensions(cfl_pair(path)[1])
    return [(axis, dims[axis]) for axis in axes]


def _joined(scans: Sequence[xr.Dataset]) -> xr.Dataset:
    """Frames one after the other along ``slice``."""
    if all("mask" in scan for scan in scans):
        scans = [scan.assign(mask=_per_slice(scan)) for scan in scans]
    return xr.concat(scans, dim="slice", combine_attrs="override", coords="minimal")


def _per_slice(scan: xr.Dataset) -> xr.DataArray:
    mask = scan["mask"]
    return mask if "slice" in mask.dims else mask.expand_dims(slice=scan.sizes["slice"])


def _values(path: Path, size: int, name: str, select: Selection | None) -> NDArray[np.intp]:
    """The numbers along a dimension that are to be read."""
    wanted = np.arange(size) if name not in (select or {}) else np.array((select or {})[name])
    if not len(wanted) or wanted.min() < 0 or wanted.max() >= size:
        raise InputError(f"{path}: no such {name} in it: it has 0 to {size - 1}")
    return wanted.astype(np.intp)


def _one_frame(data: Path, array: NDArray[np.complex64]) -> xr.Dataset:
    """A scan without further frames."""
    attrs = {**read_sidecar(data.with_suffix(".json"), "kspace"), "format": "bart"}
    if array.shape[_X] == 1:
        axes = (_Y, _Z, _COIL, _SLICE)
        _only(data, array.shape, axes)
        planes = array.reshape([array.shape[i] for i in axes], order="F")
        plane = planes.transpose(3, 2, 0, 1)
        if array.shape[_Z] == 1 or not _peaked(plane):
            raise InputError(
                f"{data}: no samples along x, as non-Cartesian data has it: grid it first"
            )
        return build_scan(data, plane, attrs)
    if array.shape[_Y] == 1 and array.shape[_Z] > 1:  # a plane of x and z
        array = np.moveaxis(array, _Z, _Y)
    if array.shape[_Z] > 1:
        return _volume(data, array)
    _only(data, array.shape, (_X, _Y, _COIL, _SLICE))
    kspace = array.reshape([array.shape[i] for i in (_X, _Y, _COIL, _SLICE)], order="F")
    return build_scan(data, kspace.transpose(3, 2, 1, 0), attrs)


def _peaked(kspace: NDArray[np.complex64]) -> bool:
    """Whether power falls off along both of the last axes, as about the centre of a grid.

    Spokes and spirals, (sample, shot), all pass the centre: their power is the same for all shots.
    """
    power = (np.abs(kspace) ** 2).sum(axis=(0, 1))
    return all(
        float(line.max()) > _PEAK * float(np.median(line[line > 0]))
        for line in (power.sum(axis=0), power.sum(axis=1))
        if line.any()
    )


def _volume(path: Path, array: NDArray[np.complex64]) -> xr.Dataset:
    """A 3D scan; what is 0 in all coils was not measured."""
    if array.shape[_SLICE] > 1:
        raise InputError(f"{path}: several slabs of a 3D scan: take one (bart slice 13 0 IN OUT)")
    axes = (_X, _Y, _Z, _COIL)
    _only(path, array.shape, axes)
    kspace = array.reshape([array.shape[i] for i in axes], order="F").transpose(3, 2, 1, 0)
    found = (kspace != 0).any(axis=0)
    # A sample within a readout may be 0 by chance; if many are, the readout is undersampled.
    span = np.maximum.accumulate(found, -1) & np.maximum.accumulate(found[..., ::-1], -1)[..., ::-1]
    mask = span if found.sum() > 0.9 * span.sum() else found
    slices, mask, part = slices_across_readout(path, kspace, mask)
    attrs: dict[str, Any] = {"format": "bart", "encoding": "3D, slices across x"}
    if part < 1:
        attrs["partial_echo"] = f"{part:.3f} of the readout measured, the rest taken as 0"
    return build_scan(path, slices, attrs, mask=mask)


def write_bart_kspace(kspace: NDArray[Any], path: str | Path) -> None:
    """Writes k-space (slice, coil, ky, kx)."""
    slices, coils, ny, nx = kspace.shape
    between = [1] * (_SLICE - _COIL - 1)
    write_cfl(path, kspace.transpose(3, 2, 1, 0).reshape(nx, ny, 1, coils, *between, slices))


def read_bart_maps(path: str | Path) -> NDArray[np.complex64]:
    """Coil sensitivities (slice, coil, y, x); of several sets of maps the first.

    Raises:
        InputError: dimensions that have no place here.
    """
    data, _ = cfl_pair(path)
    array = read_cfl(path)
    array = np.take(array, [0], axis=_MAPS)
    return _sliced(data, array, (_X, _Y, _COIL)).transpose(3, 2, 1, 0)


def read_bart_image(path: str | Path) -> NDArray[np.complex64]:
    """An image (slice, y, x).

    Raises:
        InputError: dimensions that have no place here, or NaN.
    """
    data, _ = cfl_pair(path)
    image = _sliced(data, read_cfl(path), (_X, _Y)).transpose(2, 1, 0)
    check_finite(data, "the image", image)
    return image


def write_bart_image(image: NDArray[Any], path: str | Path) -> None:
    """Writes an image (slice, y, x)."""
    write_cfl(path, image.transpose(2, 1, 0))


def _sliced(path: Path, array: NDArray[Any], keep: tuple[int, ...]) -> NDArray[Any]:
    """The kept dimensions, then the slices, be they z or dimension 13."""
    _only(path, array.shape, (*keep, _Z, _SLICE))
    if array.shape[_Z] > 1 and array.shape[_SLICE] > 1:
        raise InputError(f"{path}: has both z and slices: keep one of them (bart slice)")
    slices = array.shape[_Z] * array.shape[_SLICE]
    last = np.moveaxis(array, _Z, _NDIM - 1)
    return last.reshape([*(array.shape[i] for i in keep), slices], order="F")


def _only(path: Path, shape: tuple[int, ...], allowed: tuple[int, ...]) -> None:
    for i, n in enumerate(shape):
        if n > 1 and i not in allowed:
            raise InputError(
                f"{path}: {n} entries along dimension {i} ({_MEANING[i]}), which has no place "
                f"here: take one (bart slice {i} 0 IN OUT)"
            )


def _dimensions(header: Path) -> list[int]:
    lines = header.read_text(encoding="utf-8", errors="replace").splitlines()
    for mark, line in pairwise(lines):
        if mark.strip() == "# Dimensions":
            words = line.split()
            if not words or not all(w.isdecimal() for w in words) or len(words) > _NDIM:
                break
            return [*map(int, words), *[1] * (_NDIM - len(words))]
    raise InputError(f"{header}: states no dimensions: not a BART header, or damaged")


def _write_image(image: NDArray[Any], path: Path, attrs: Mapping[Any, Any]) -> None:
    write_bart_image(image, path)


def _read_image(path: Path, series: bool) -> tuple[NDArray[Any], Mapping[str, Any]]:
    """The magnitude; of a real image its values, which may be negative."""
    image = read_bart_image(path)
    values = np.abs(image) if image.imag.any() else image.real
    return np.ascontiguousarray(values), {"source": path.name}


#: Results as complex64.
IMAGE = ImageFormat(_write_image, _read_image, headers=(".hdr",))
