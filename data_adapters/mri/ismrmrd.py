"""ISMRMRD HDF5 files: one readout after the other, to be sorted into k-space.

    kspace[slice, :, ky, :] = mean over averages and repetitions of the readouts of that line,
    ky = kspace_encode_step_1 - centre of the encoding limits + N_ky // 2

The samples of a readout lie about its centre_sample; partial echoes leave the rest 0. Oversampling
along the readout is taken off: where the encoded field of view along x is larger than that of the
image, the profile is cropped to the latter (an orthonormal FFT there and back, which keeps the
noise level). x follows read_dir, y phase_dir; slices are sorted along slice_dir.

Noise acquisitions are scaled to the noise of k-space: noise power goes with 1 / dwell time and
1 / averages (noise_bandwidth is the receiver's relative bandwidth):

    noise *= sqrt(dwell_noise / (dwell * noise_bandwidth * averages))

Source: S. J. Inati et al., ISMRM Raw data format, doi.org/10.1002/mrm.26089. Lines for navigation,
phase correction and feedback are left out; lines for calibration only are used where they belong to
the scan (calibration mode 'embedded') and nothing else was measured there.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size, existing_file, reading
from sciddm.data_adapters.hdf5 import names_in, open_hdf5, text_of
from sciddm.data_adapters.mri.acquisitions import (
    NOT_IMAGING,
    SINGLE,
    Plan,
    geometry_of,
    has,
    noise_of,
    placed,
    readouts_of,
)
from sciddm.data_adapters.mri.header import Header, parse_header
from sciddm.data_adapters.mri.ismrmrd_trajectory import read_trajectory_scan
from sciddm.data_adapters.mri.scan import build_scan
from sciddm.errors import InputError

__all__ = ["find_group", "read_ismrmrd"]

_MOST = 64  # times fewer samples than the matrix claims: no scan is undersampled so far


def find_group(file: h5py.File) -> str | None:
    """Name of the group that holds an ISMRMRD data set: `dataset`, or the only one there is."""
    found = [
        name
        for name, node in file.items()
        if isinstance(node, h5py.Group) and "xml" in node and "data" in node
    ]
    return "dataset" if "dataset" in found else (found[0] if len(found) == 1 else None)


def read_ismrmrd(source: str | Path) -> xr.Dataset:
    """Reads a 2D scan, Cartesian or along trajectories; see `scan` for what is returned.

    Raises:
        InputError: unusable; 3D, several contrasts, ...
    """
    path = existing_file(source)
    with reading(path), open_hdf5(path) as file:
        name = find_group(file)
        if name is None:
            raise InputError(
                f"{path}: no ISMRMRD data set in it, only {names_in(file)}: give raw data"
            )
        group = file[name]
        header = parse_header(text_of(group["xml"][()]), path)
        on_grid = header.trajectory in ("", "cartesian")
        if on_grid:
            _check_encoding(path, header)
        table = group["data"]
        names = table.dtype.names or ()
        if not {"head", "data"} <= set(names):
            raise InputError(f"{path}: {name}/data holds no acquisitions: export it again")
        check_size(path, "the list of acquisitions", table.shape, table.dtype.itemsize)
        heads = table.fields("head")[()]
        if not on_grid:
            return read_trajectory_scan(path, table, heads, header)
        plan = _sorted(path, header, heads)
        kspace, mask, averages = _filled(path, table, heads, plan)
        noise = noise_of(path, table, heads, header, plan, averages)
    geometry, order = geometry_of(path, header, heads, plan)
    kspace, mask = _without_oversampling(kspace[order], mask[order], header)
    attrs = {
        **header.attrs,
        **placed(geometry, kspace.shape),
        "format": "ismrmrd",
        "averages": averages,
    }
    if header.recon.matrix[0] and header.recon.matrix[1]:
        attrs["image_shape"] = [header.recon.matrix[1], header.recon.matrix[0]]
    return build_scan(path, kspace, attrs, mask=mask, noise=noise)


def _check_encoding(path: Path, header: Header) -> None:
    nx, ny, nz = header.encoded.matrix
    if nz > 1:
        raise InputError(
            f"{path}: a 3D scan, {nz} encodings along z, only 2D scans can be read: transform it "
            "along z and write each partition as a slice"
        )
    if not (nx and ny):
        raise InputError(f"{path}: its header states no encoded matrix: export it again")


def _sorted(path: Path, header: Header, heads: NDArray[Any]) -> Plan:
    """Finds the imaging lines and their places."""
    flags, index = heads["flags"], heads["idx"]
    imaging = ~np.any([has(flags, f) for f in NOT_IMAGING], axis=0)
    imaging &= heads["encoding_space_ref"] == 0
    only_calibration = has(flags, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION) & ~has(
        flags, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING
    )
    if header.calibration_mode not in ("", "embedded"):
        imaging &= ~only_calibration
    else:
        place = index["slice"].astype(np.int64) << 32 | index["kspace_encode_step_1"]
        taken = np.isin(place, place[imaging & ~only_calibration])
        imaging &= ~(only_calibration & taken)
    lines = np.flatnonzero(imaging)
    if not len(lines):
        raise InputError(f"{path}: no imaging data among {len(heads)} acquisitions: export again")
    chosen, index = heads[lines], index[lines]
    if index["kspace_encode_step_2"].any():
        raise InputError(
            f"{path}: a 3D scan, encoded along z, only 2D scans can be read: transform it along z "
            "and write each partition as a slice"
        )
    for axis in SINGLE:
        values = np.unique(index[axis])
        if len(values) > 1:
            raise InputError(
                f"{path}: {len(values)} values of '{axis}' in one file: write one file for each"
            )
    coils = np.unique(chosen["active_channels"])
    if len(coils) > 1:
        raise InputError(f"{path}: {coils.min()} to {coils.max()} coils in one scan: export again")
    nx, ny, _ = header.encoded.matrix
    centre = ny // 2 if header.ky_centre is None else header.ky_centre
    rows = index["kspace_encode_step_1"].astype(np.int64) - centre + ny // 2
    if rows.min() < 0 or rows.max() >= ny:
        steps = index["kspace_encode_step_1"]
        raise InputError(
            f"{path}: lines {steps.min()} to {steps.max()} about the centre {centre} do not fit "
            f"the encoded matrix of {ny}: correct the header's matrix or encoding limits"
        )
    numbers, slices = np.unique(index["slice"], return_inverse=True)
    longest = int(chosen["number_of_samples"].max())
    if len(numbers) * ny > _MOST * len(lines) or nx > _MOST * longest:
        raise InputError(
            f"{path}: its header claims {len(numbers)} slices of {ny} lines of {nx} samples, the "
            f"file has {len(lines)} lines of up to {longest}: correct the encoded matrix"
        )
    shape = (len(numbers), int(coils[0]), ny, nx)
    check_size(path, "k-space", shape)
    return Plan(lines, slices.reshape(-1), rows, shape)


def _filled(
    path: Path, table: h5py.Dataset, heads: NDArray[Any], plan: Plan
) -> tuple[NDArray[np.complex64], NDArray[np.bool_], int]:
    """k-space (slice, coil, ky, kx), its mask (slice, ky, kx), the usual number of averages."""
    slices, _, ny, nx = plan.shape
    kspace = np.zeros(plan.shape, np.complex64)
    counts = np.zeros((slices, ny, nx), np.int32)
    for k, line in enumerate(readouts_of(path, table, heads, plan.lines)):
        head = heads[plan.lines[k]]
        first, line = _placed_samples(path, head, line, nx)
        along = slice(first, first + line.shape[1])
        kspace[plan.slices[k], :, plan.rows[k], along] += line
        counts[plan.slices[k], plan.rows[k], along] += 1
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


def _without_oversampling(
    kspace: NDArray[np.complex64], mask: NDArray[np.bool_], header: Header
) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """k-space and mask of the readout's field of view in the image."""
    nx = kspace.shape[-1]
    encoded, recon = header.encoded.fov_mm[0], header.recon.fov_mm[0]
    if math.isfinite(encoded) and math.isfinite(recon):
        kept = round(nx * recon / encoded)
    else:
        kept = header.recon.matrix[0] or nx
    if not 0 < kept < nx:
        return kspace, mask
    first = nx // 2 - kept // 2
    cropped = np.empty((*kspace.shape[:-1], kept), np.complex64)
    for s, lines in enumerate(kspace):
        profiles = _centred(scipy.fft.ifft, lines)[..., first : first + kept]
        cropped[s] = _centred(scipy.fft.fft, profiles)
    nearest = np.round((np.arange(kept) - kept // 2) * nx / kept).astype(int) + nx // 2
    sampled = mask[..., np.clip(nearest, 0, nx - 1)]
    return cropped * sampled[:, None], sampled


def _centred(transform: Any, lines: NDArray[Any]) -> NDArray[Any]:
    moved = scipy.fft.ifftshift(lines, axes=-1)
    return np.asarray(scipy.fft.fftshift(transform(moved, axis=-1, norm="ortho"), axes=-1))
