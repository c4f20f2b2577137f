"""A scan in the form that all MRI readers return, and the checks that all of them share.

    kspace      (slice, coil, ky, kx) complex64; centred: DC at N//2; unsampled entries exactly 0
    mask        (slice, ky, kx) or (ky, kx) bool: sampled entries, where the file states them
    maps        (slice, coil, y, x) complex64: coil sensitivities, where the file has them
    noise       (coil, sample) complex64: noise of the same level as that of k-space
    calibration (slice, coil, ky, kx) complex64: lines for the coil maps alone, 0 elsewhere
    reference   (slice, y, x) float32: image of the fully sampled scan
    turn        (slice, ky) float32: when each line was measured, 0 for the first of its image, NaN
                for none; where the file tells

A scan along a trajectory has instead

    kspace      (slice, coil, shot, sample) complex64
    trajectory  (slice, shot, sample, axis) or (shot, sample, axis) float32: positions (ky, kx) in
                cycles per field of view of the image, |k| at most half its matrix `image_shape`

and maps and reference of the matrix `image_shape`, and no mask.

Several frames (repetitions, echoes, ...) lie one after the other along slice; see `frames`.

Attributes: voxel_size_mm [z, y, x] of the image that the inverse FFT of kspace gives (NaN where
unknown), affine (4 x 4, RAS, mm, of the indices (x, y, slice) of that image) and orientation_known,
field_strength_T (NaN where unknown), reference_combination where it is known, image_shape [y, x]
(matrix of the scanner's own image, to which that image is cropped about N//2), phase_encoding_axis
(ky or kx, ky if not there), scan_remarks (sentences to warn with), source, format, and
what else the file tells. Who the patient is stays out of the attributes, which all outputs show:
``encoding["dicom"]`` holds DICOM keywords of patient, study and frame of reference.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_finite
from sciddm.errors import InputError
from sciddm.geometry.affine import centred_affine

__all__ = [
    "ROOT_SUM_OF_SQUARES",
    "build_scan",
    "build_trajectory_scan",
    "checked_maps",
    "ordered",
]

#: What the attribute ``reference_combination`` says of a reference sqrt(sum_c |x_c|^2), whose air
#: is not 0 but sqrt(coils) times the noise.
ROOT_SUM_OF_SQUARES = "root sum of squares"

_DIMS = ("slice", "coil", "ky", "kx")
#: Least side of k-space that is asked where its DC lies, and how many times stronger the samples at
#: the end of an axis are than at its middle if it lies there.
_LEAST_SIDE, _END = 16, 30.0
#: Effective shares of the samples: a few tenths hold the power of images, fewer than one in a
#: hundred that of their k-space.
_SPREAD, _PEAKED = 0.05, 0.02
_IMAGES = (
    "The data look like coil images rather than k-space: their power is spread, and that of their "
    "Fourier transform lies about its middle. If they are images, transform them to k-space first."
)
_ORDER = (*_DIMS, "shot", "sample", "axis", "y", "x")


def build_scan(
    path: Path,
    kspace: NDArray[Any],
    attrs: dict[str, Any],
    *,
    mask: NDArray[Any] | None = None,
    maps: NDArray[Any] | None = None,
    noise: NDArray[Any] | None = None,
    reference: NDArray[Any] | None = None,
    calibration: NDArray[Any] | None = None,
    others: dict[str, Any] | None = None,
    on_grid: bool = True,
) -> xr.Dataset:
    """Checks the parts of a scan against each other and puts them together.

    Args:
        path: the file they are from.
        kspace: (slice, coil, ky, kx) complex.
        attrs: what is known; the rest is filled in.
        mask: (slice, ky, kx) or (ky, kx); k-space outside of it is set to 0.
        maps: (slice, coil, y, x).
        noise: (coil, sample).
        reference: (slice, y, x), of any matrix.
        calibration: (slice, coil, ky, kx), lines that were measured for coil maps alone.
        others: further variables, in the form that xarray takes.
        on_grid: the last two axes are those of a Cartesian grid, with DC at its middle.

    Raises:
        InputError: not complex, a wrong number of axes, NaN, nothing but 0, DC at an end of an
            axis, or parts that do not fit together.
    """
    if kspace.ndim != 4:
        raise InputError(
            f"{path}: k-space has {kspace.ndim} axes {kspace.shape}, not the 4 axes "
            "(slice, coil, ky, kx): reorder it"
        )
    if not np.iscomplexobj(kspace):
        raise InputError(f"{path}: k-space is {kspace.dtype}, not complex: export complex data")
    kspace = _single(path, "k-space", kspace)
    if not kspace.any():
        raise InputError(f"{path}: k-space holds nothing but 0: export it again")
    slices, coils, ny, nx = kspace.shape
    if on_grid:
        _check_centre(path, kspace)
        if _looks_like_images(kspace):
            attrs = {**attrs, "scan_remarks": [*attrs.get("scan_remarks", []), _IMAGES]}
    variables: dict[str, Any] = {"kspace": (_DIMS, kspace)}
    if mask is not None:
        sampled = _checked_mask(path, mask, (slices, ny, nx))
        outside = ~(sampled[:, None] if sampled.ndim == 3 else sampled)
        if ((kspace != 0) & outside).any():
            kspace = np.where(outside, np.zeros((), kspace.dtype), kspace)
            variables["kspace"] = (_DIMS, kspace)
            attrs = {**attrs, "samples_outside_mask": "set to 0"}
            if not kspace.any():
                raise InputError(f"{path}: the mask leaves no sample of k-space: check the mask")
        variables["mask"] = (("slice", "ky", "kx")[3 - sampled.ndim :], sampled)
    if maps is not None:
        found = checked_maps(path, maps)
        if found.shape[1] != coils or found.shape[2:] != (ny, nx):
            raise InputError(
                f"{path}: maps of shape {found.shape} do not fit k-space of shape {kspace.shape}: "
                "give maps of the same coils and matrix"
            )
        if found.shape[0] not in (1, slices):
            raise InputError(f"{path}: maps of {found.shape[0]} slices, k-space of {slices}: fit")
        found = np.ascontiguousarray(np.broadcast_to(found, (slices, coils, ny, nx)))
        variables["maps"] = (("slice", "coil", "y", "x"), found)
    if noise is not None:
        noise = _single(path, "the noise scan", noise)
        if noise.ndim != 2 or noise.shape[0] != coils:
            raise InputError(
                f"{path}: the noise scan has the shape {noise.shape}, not ({coils} coils, samples):"
                " give the noise of the same coils"
            )
        variables["noise"] = (("coil", "sample"), noise)
    if reference is not None:
        variables |= _reference(path, reference, slices, (ny, nx), has_maps=maps is not None)
    if calibration is not None:
        calibration = _single(path, "the calibration lines", calibration)
        if calibration.shape != kspace.shape:
            raise InputError(
                f"{path}: calibration lines of shape {calibration.shape} for k-space of "
                f"{kspace.shape}: give them on the same matrix"
            )
        if calibration.any():
            variables["calibration"] = (_DIMS, calibration)
    variables |= others or {}
    return xr.Dataset(variables, attrs=_filled(attrs, path, (slices, ny, nx)))


def build_trajectory_scan(
    path: Path,
    kspace: NDArray[Any],
    trajectory: NDArray[Any],
    attrs: dict[str, Any],
    *,
    maps: NDArray[Any] | None = None,
    noise: NDArray[Any] | None = None,
    reference: NDArray[Any] | None = None,
    others: dict[str, Any] | None = None,
) -> xr.Dataset:
    """Checks the parts of a scan along a trajectory and puts them together.

    Args:
        path: the file they are from.
        kspace: (slice, coil, shot, sample) complex.
        trajectory: (slice, shot, sample, 2) or (shot, sample, 2).
        attrs: what is known, ``image_shape`` [y, x] at least.
        maps, noise, reference, others: as for `build_scan`.

    Raises:
        InputError: as `build_scan`; no matrix of the image, or positions beyond it.
    """
    matrix = tuple(int(n) for n in attrs.get("image_shape", ()))
    if len(matrix) != 2 or min(matrix) < 1:
        raise InputError(f"{path}: a trajectory without the attribute image_shape [y, x]: add it")
    trajectory = np.asarray(trajectory)
    check_finite(path, "the trajectory", trajectory)
    if kspace.ndim == 4 and trajectory.ndim == 4 and len(trajectory) == 1:
        trajectory = trajectory[0]
    fits = ((*kspace.shape[2:], 2), (kspace.shape[0], *kspace.shape[2:], 2))
    if kspace.ndim != 4 or trajectory.shape not in fits:
        raise InputError(
            f"{path}: a trajectory of shape {trajectory.shape} for k-space of {kspace.shape}: give "
            "(shot, sample, 2) for (slice, coil, shot, sample)"
        )
    beyond = np.abs(trajectory).reshape(-1, 2).max(0) / (np.array(matrix) / 2)
    if beyond.max() > 1.001:
        raise InputError(
            f"{path}: the trajectory goes {beyond.max():.3g} times as far as an image of "
            f"{matrix[0]} x {matrix[1]} reaches: give it in cycles per field of view"
        )
    # Without a mask and maps the checks are those of a scan on the grid.
    shared = build_scan(path, kspace, attrs, noise=noise, on_grid=False)
    axes = ("slice", "shot", "sample", "axis")[4 - trajectory.ndim :]
    variables: dict[str, Any] = {
        "kspace": (("slice", "coil", "shot", "sample"), shared["kspace"].values),
        "trajectory": (axes, np.ascontiguousarray(trajectory, dtype=np.float32)),
    }
    if noise is not None:
        variables["noise"] = (("coil", "noise_sample"), shared["noise"].values)
    if maps is not None:
        found = checked_maps(path, maps)
        if found.shape[1:] != (kspace.shape[1], *matrix) or len(found) not in (1, len(kspace)):
            raise InputError(f"{path}: maps of shape {found.shape} do not fit the scan: fit them")
        found = np.ascontiguousarray(np.broadcast_to(found, (len(kspace), *found.shape[1:])))
        variables["maps"] = (("slice", "coil", "y", "x"), found)
    if reference is not None:
        variables |= _reference(path, reference, len(kspace), (matrix[0], matrix[1]), True)
    variables |= others or {}
    attrs = {k: v for k, v in shared.attrs.items() if k != "affine" or "affine" in attrs}
    centred = centred_affine(attrs["voxel_size_mm"], (len(kspace), *matrix))
    if "affine" not in attrs and centred is not None:
        attrs["affine"] = centred.tolist()
    return xr.Dataset(variables, attrs=attrs)


def ordered(dataset: xr.Dataset) -> xr.Dataset:
    """The data set with the axes of every variable in the order above."""
    return dataset.transpose(*_ORDER, ..., missing_dims="ignore")


def checked_maps(path: Path, maps: NDArray[Any]) -> NDArray[np.complex64]:
    """Coil sensitivities as (slice, coil, y, x) complex64, from that or (coil, y, x).

    Raises:
        InputError: a wrong number of axes, NaN, or nothing but 0.
    """
    if maps.ndim == 3:
        maps = maps[None]
    if maps.ndim != 4:
        raise InputError(
            f"{path}: maps have {maps.ndim} axes {maps.shape}, not (slice, coil, y, x): reorder"
        )
    if maps.dtype.kind not in "cfiu":
        raise InputError(f"{path}: maps are {maps.dtype}, not numbers: export complex data")
    maps = _single(path, "maps", maps)
    if not maps.any():
        raise InputError(f"{path}: maps hold nothing but 0: make them again")
    return maps


def _single(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.complex64]:
    check_finite(path, name, array)
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(array, dtype=np.complex64)
    if single.dtype != array.dtype:  # what was finite in double precision may overflow in single
        check_finite(path, f"{name} in single precision", single)
    return single


def _check_centre(path: Path, kspace: NDArray[np.complex64]) -> None:
    """Raises InputError where the strongest samples lie at an end of an axis, not at its middle."""
    sizes = kspace.shape[-2:]
    if min(sizes) < _LEAST_SIDE:
        return
    power = np.zeros(sizes)
    for one in kspace.reshape(-1, *sizes):
        power += one.real.astype(np.float64) ** 2 + one.imag.astype(np.float64) ** 2

    def level(ends: tuple[bool, bool]) -> float:
        """Mean power of the measured samples about the middle, or the end, of each axis."""
        places = [
            (np.arange(-(n // 16), n // 16 + 1) + (0 if end else n // 2)) % n
            for n, end in zip(sizes, ends, strict=True)
        ]
        box = power[np.ix_(*places)]
        return float(box[box > 0].mean()) if box.any() else 0.0

    ends = ((True, True), (True, False), (False, True))
    highest = max(ends, key=level)
    if level(highest) < _END * max(level((False, False)), float(np.median(power))):
        return
    axes = " and ".join(name for name, end in zip(("ky", "kx"), highest, strict=True) if end)
    corner = "the corner" if all(highest) else f"the end of {axes}"
    raise InputError(
        f"{path}: DC is at {corner} of k-space, not at its middle: apply fftshift along {axes}"
    )


def _looks_like_images(kspace: NDArray[np.complex64]) -> bool:
    """Whether it is the Fourier transform of the data, not the data, that has a peak at DC."""
    ny, nx = kspace.shape[-2:]
    if min(ny, nx) < _LEAST_SIDE or np.count_nonzero(kspace) < 0.9 * kspace.size:
        return False
    middle = kspace[len(kspace) // 2]
    if _share((np.abs(middle) ** 2).sum(axis=0)) < _SPREAD:
        return False
    axes = (-2, -1)
    other = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(middle, axes=axes)), axes=axes)
    power = (np.abs(other) ** 2).sum(axis=0)
    y, x = np.unravel_index(int(power.argmax()), power.shape)
    near = abs(int(y) - ny // 2) <= ny // 16 and abs(int(x) - nx // 2) <= nx // 16
    return near and _share(power) < _PEAKED


def _share(power: NDArray[np.floating]) -> float:
    """(sum p)^2 / (N sum p^2): 1 if all samples have the same power, 1 / N if one has all."""
    p = power.astype(np.float64) / max(float(power.max()), np.finfo(np.float64).tiny)
    total = float((p**2).sum())
    return float(p.sum()) ** 2 / (p.size * total) if total else 1.0


def _checked_mask(path: Path, mask: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    slices, ny, nx = shape
    if mask.shape == (1, ny, nx):
        mask = mask[0] if slices > 1 else mask
    if mask.shape not in (shape, (ny, nx)):
        raise InputError(
            f"{path}: the mask has the shape {mask.shape}, k-space needs {(ny, nx)} or {shape}: "
            "give the mask of this scan"
        )
    if mask.dtype.kind not in "bfiu":
        raise InputError(f"{path}: the mask is {mask.dtype}, not bool or 0 and 1: convert it")
    check_finite(path, "the mask", mask)
    sampled = np.ascontiguousarray(mask != 0)
    if not sampled.any():
        raise InputError(f"{path}: the mask samples nothing: give the mask of this scan")
    return sampled


def _reference(
    path: Path, reference: NDArray[Any], slices: int, matrix: tuple[int, int], has_maps: bool
) -> dict[str, Any]:
    if reference.ndim != 3 or reference.shape[0] != slices:
        raise InputError(
            f"{path}: the reference image has the shape {reference.shape}, not ({slices} slices, "
            "y, x): remove it or fit it"
        )
    check_finite(path, "the reference image", reference)
    # An image of another matrix than k-space cannot share the axes y and x with maps.
    free = reference.shape[1:] == matrix or not has_maps
    dims = ("slice", "y", "x") if free else ("slice", "y_reference", "x_reference")
    if np.iscomplexobj(reference):
        reference = np.abs(reference)
    return {"reference": (dims, np.ascontiguousarray(reference, dtype=np.float32))}


def _filled(attrs: dict[str, Any], path: Path, shape: tuple[int, int, int]) -> dict[str, Any]:
    filled: dict[str, Any] = {
        "voxel_size_mm": [math.nan] * 3,
        "field_strength_T": math.nan,
        "image_shape": list(shape[1:]),
        **attrs,
        "source": path.name,
    }
    if "affine" in filled:
        filled.setdefault("orientation_known", True)
        return filled
    filled["orientation_known"] = False
    affine = centred_affine(filled["voxel_size_mm"], shape)
    if affine is not None:
        filled["affine"] = affine.tolist()
    return filled
