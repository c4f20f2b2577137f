"""Acquisitions on the Cartesian grid, sorted into k-space.

    kspace[slice, :, kz, ky, :] = mean over averages and repetitions of the readouts of that line,
    ky = kspace_encode_step_1 - centre of the encoding limits + N_ky // 2, and kz likewise

The samples of a readout lie about its centre_sample; partial echoes leave the rest 0. Readout
oversampling is taken off (`oversampling`), 3D scans become slices across the readout (`volume`). x
follows read_dir, y phase_dir; slices of 2D scans are sorted along slice_dir.

Noise acquisitions are scaled to the noise of k-space: noise power goes with 1 / dwell time and
1 / averages (noise_bandwidth is the receiver's relative bandwidth):

    noise *= sqrt(dwell_noise / (dwell * noise_bandwidth * averages))

Source: S. J. Inati et al., ISMRM Raw data format, doi.org/10.1002/mrm.26089. Lines for navigation,
phase correction and feedback are left out; lines for calibration only are used where they belong to
the scan (calibration mode 'embedded') and nothing else was measured there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size
from sciddm.data_adapters.mri.acquisitions import (
    SINGLE,
    Plan,
    RawData,
    geometry_of,
    has,
    imaging_of,
    noise_of,
    placed,
    placed_volume,
)
from sciddm.data_adapters.mri.header import Header
from sciddm.data_adapters.mri.oversampling import Crop
from sciddm.data_adapters.mri.scan import build_scan
from sciddm.data_adapters.mri.volume import slices_across_readout
from sciddm.errors import InputError

__all__ = ["read_cartesian"]

_MOST = 64  # times fewer samples than the matrix claims: no scan is undersampled so far


@dataclass(frozen=True)
class _Grid(Plan):
    """Places of the lines: `shape` is slices, coils, N_kz, N_ky, N_kx of the encoded matrix."""

    rows: NDArray[np.intp]
    partitions: NDArray[np.intp]


def read_cartesian(raw: RawData, form: str) -> xr.Dataset:
    """A 2D or 3D Cartesian scan; see `scan` for what is returned.

    Args:
        raw: the acquisitions.
        form: the attribute `format`.

    Raises:
        InputError: unusable; several contrasts, slabs, orientations, ...
    """
    header = raw.header
    if not (header.encoded.matrix[0] and header.encoded.matrix[1]):
        raise InputError(f"{raw.path}: its header states no encoded matrix: export it again")
    plan = _sorted(raw)
    kspace, mask, averages = _filled(raw, plan)
    noise = noise_of(raw, plan, averages)
    geometry, order = geometry_of(raw, plan)
    attrs = {**header.attrs, "format": form, "averages": averages}
    rx, ry, rz = header.recon.matrix
    if plan.shape[2] > 1:
        data, mask, part = slices_across_readout(raw.path, kspace[0], mask[0])
        shape = (data.shape[0], data.shape[2], data.shape[3])
        attrs |= {**placed_volume(geometry, header, shape), "encoding": "3D, slices across x"}
        if part < 1:
            attrs["partial_echo"] = f"{part:.3f} of the readout measured, the rest taken as 0"
            noise = None if noise is None else noise * np.float32(math.sqrt(part))
        if ry and rz:
            attrs["image_shape"] = [ry, rz]
        return build_scan(raw.path, data, attrs, mask=mask, noise=noise)
    kspace, mask = kspace[:, :, 0], mask[:, 0]
    if (np.diff(order) < 0).any():
        kspace, mask = kspace[order], mask[order]
    attrs |= placed(geometry, kspace.shape)
    if rx and ry:
        attrs["image_shape"] = [ry, rx]
    return build_scan(raw.path, kspace, attrs, mask=mask, noise=noise)


def _sorted(raw: RawData) -> _Grid:
    """Finds the imaging lines and their places."""
    path, header, heads = raw.path, raw.header, raw.heads
    flags, index = heads["flags"], heads["idx"]
    imaging = imaging_of(raw)
    only_calibration = has(flags, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION) & ~has(
        flags, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING
    )
    if header.calibration_mode not in ("", "embedded"):
        imaging &= ~only_calibration
    else:
        place = (
            index["slice"].astype(np.int64) << 32
            | index["kspace_encode_step_2"].astype(np.int64) << 16
            | index["kspace_encode_step_1"]
        )
        taken = np.isin(place, place[imaging & ~only_calibration])
        imaging &= ~(only_calibration & taken)
    lines = np.flatnonzero(imaging)
    if not len(lines):
        raise InputError(f"{path}: no imaging data among {len(heads)} acquisitions: export again")
    chosen, index = heads[lines], index[lines]
    for axis in SINGLE:
        values = np.unique(index[axis])
        if len(values) > 1:
            raise InputError(
                f"{path}: {len(values)} values of '{axis}' in one file: write one file for each"
            )
    coils = np.unique(chosen["active_channels"])
    if len(coils) > 1:
        raise InputError(f"{path}: {coils.min()} to {coils.max()} coils in one scan: export again")
    nx, ny, nz = header.encoded.matrix
    nz = max(nz, 1)
    rows = _places(path, index["kspace_encode_step_1"], header.ky_centre, ny, "lines")
    partitions = _places(path, index["kspace_encode_step_2"], header.kz_centre, nz, "partitions")
    numbers, slices = np.unique(index["slice"], return_inverse=True)
    if nz > 1 and len(numbers) > 1:
        raise InputError(f"{path}: {len(numbers)} slabs of a 3D scan: write one file for each")
    longest = int(chosen["number_of_samples"].max())
    if len(numbers) * ny * nz > _MOST * len(lines) or nx > _MOST * longest:
        raise InputError(
            f"{path}: its header claims {len(numbers) * nz} slices of {ny} lines of {nx} samples, "
            f"the file has {len(lines)} lines of up to {longest}: correct the encoded matrix"
        )
    shape = (len(numbers), int(coils[0]), nz, ny, nx)
    check_size(path, "k-space", (*shape[:-1], _kept(header)), 16 if nz > 1 else 8)
    return _Grid(lines, slices.reshape(-1), shape, rows, partitions)


def _places(
    path: Path, steps: NDArray[Any], stated: int | None, size: int, name: str
) -> NDArray[np.intp]:
    """Where encoding steps lie on the grid: DC at size // 2."""
    centre = size // 2 if stated is None else stated
    if size == 1 and stated is None and not steps.any():
        return np.zeros(len(steps), np.intp)
    places = steps.astype(np.intp) - centre + size // 2
    if places.min() < 0 or places.max() >= size:
        hint = "a 3D scan whose " if size == 1 else ""
        raise InputError(
            f"{path}: {hint}{name} {steps.min()} to {steps.max()} about the centre {centre} do not "
            f"fit the encoded matrix of {size}: correct the header's matrix or encoding limits"
        )
    return places


def _filled(raw: RawData, plan: _Grid) -> tuple[NDArray[np.complex64], NDArray[np.bool_], int]:
    """k-space (slice, coil, kz, ky, kx) without oversampling, its mask (slice, kz, ky, kx), the
    usual number of averages."""
    slices, coils, nz, ny, nx = plan.shape
    crop = Crop(nx, _kept(raw.header))
    kspace = np.zeros((slices, coils, nz, ny, crop.kept), np.complex64)
    counts = np.zeros((slices, nz, ny, crop.kept), np.int32)
    for k, line in enumerate(raw.readouts(plan.lines)):
        first, line = _placed_samples(raw.path, raw.heads[plan.lines[k]], line, nx)
        along, values = crop(first, line)
        s, z, y = plan.slices[k], plan.partitions[k], plan.rows[k]
        kspace[s, :, z, y, along] += values
        counts[s, z, y, along] += 1
    mask = counts > 0
    averages = int(np.median(counts[mask])) if mask.any() else 1
    if counts.max(initial=0) > 1:
        kspace /= np.maximum(counts, 1)[:, None]
    return kspace, mask, averages


def _placed_samples(
    path: Path, head: Any, line: NDArray[np.complex64], nx: int
) -> tuple[int, NDArray[np.complex64]]:
    """(first sample of the encoded matrix, samples) of a readout."""
    total, centre = line.shape[1], int(head["center_sample"])
    before, after = int(head["discard_pre"]), int(head["discard_post"])
    if total == nx:  # a whole readout fits in one way only; many files leave its centre at 0
        centre = nx // 2
    elif has(head["flags"], ismrmrd.ACQ_IS_REVERSE):
        centre = total - 1 - centre
    if has(head["flags"], ismrmrd.ACQ_IS_REVERSE):
        line, before, after = line[:, ::-1], after, before
    line = line[:, before : total - after]
    first = nx // 2 - centre + before
    if line.shape[1] < 1 or first < 0 or first + line.shape[1] > nx:
        raise InputError(
            f"{path}: a readout of {total} samples about sample {centre} does not fit the encoded "
            f"matrix of {nx}: correct the header's encoded matrix"
        )
    return first, line


def _kept(header: Header) -> int:
    """Samples of a readout without oversampling: N times the ratio of the fields of view."""
    nx = header.encoded.matrix[0]
    encoded, recon = header.encoded.fov_mm[0], header.recon.fov_mm[0]
    if math.isfinite(encoded) and math.isfinite(recon):
        kept = round(nx * recon / encoded)
    else:
        kept = header.recon.matrix[0] or nx
    return kept if 0 < kept < nx else nx
