"""Acquisitions on the Cartesian grid, sorted into k-space.

    kspace[slice, :, kz, ky, :] = mean over averages of the readouts of that line,
    ky = kspace_encode_step_1 - centre of the encoding limits + N_ky // 2, and kz likewise

The samples of a readout lie about its centre_sample; partial echoes leave the rest 0. Readout
oversampling is taken off (`oversampling`), 3D scans become slices across the readout (`volume`). x
follows read_dir, y phase_dir; slices of 2D scans are sorted along slice_dir.

Noise acquisitions are scaled to the noise of k-space: noise power goes with 1 / dwell time and
1 / averages (noise_bandwidth is the receiver's relative bandwidth):

    noise *= sqrt(dwell_noise / (dwell * noise_bandwidth * averages))

Source: S. J. Inati et al., ISMRM Raw data format, doi.org/10.1002/mrm.26089. Lines for navigation
and feedback are left out. Lines for calibration only join the scan where they belong to it (mode
'embedded') and nothing else was measured there; in every other mode they make k-space of their own,
`calibration`, which gives the coil maps. Repetitions, contrasts, cardiac phases and sets are
images of their own (`frames`); averages are averaged. Readouts that run backwards are corrected by
the lines for phase correction (`echo_planar`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size
from sciddm.data_adapters.mri.acquisitions import (
    NOT_IMAGING,
    Plan,
    RawData,
    geometry_of,
    has,
    imaging_of,
    noise_of,
    placed,
    placed_volume,
)
from sciddm.data_adapters.mri.echo_planar import corrected, ghost_phase
from sciddm.data_adapters.mri.frames import (
    FRAME_AXES,
    Frames,
    Selection,
    frames_of,
    selected,
    with_frames,
)
from sciddm.data_adapters.mri.header import Encoding, Header, Space
from sciddm.data_adapters.mri.other_field import on_grid
from sciddm.data_adapters.mri.oversampling import Crop
from sciddm.data_adapters.mri.scan import build_scan
from sciddm.data_adapters.mri.volume import slices_across_readout
from sciddm.errors import InputError

__all__ = ["read_cartesian"]

_MOST = 64  # times fewer samples than the matrix claims: no scan is undersampled so far
_PLACE = ("slice", "kspace_encode_step_2", "kspace_encode_step_1")
_ECHOES = 32  # central lines in which the echo is looked for
_LEAST_PART = 4  # times fewer lines than another image has: it is not complete
_ECHO = 8  # times the median power, from which a peak is an echo
#: Averages differ by more than noise where their variance about DC is so many times that of most
#: samples, and their difference this part of the signal there.
_DRIFT, _DRIFT_PART = 9.0, 0.05
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class _Grid(Plan):
    """Places of the lines: `shape` is slices, coils, N_kz, N_ky, N_kx of the encoded matrix.

    Attributes:
        rows: ky of each line.
        partitions: kz of each line.
        frames: the images of one place that they belong to.
    """

    rows: NDArray[np.intp]
    partitions: NDArray[np.intp]
    frames: Frames


@dataclass(frozen=True)
class _Filled:
    """k-space of a plan without oversampling; an image is a slice of a frame.

    Attributes:
        kspace: (image, coil, kz, ky, kx).
        mask: (image, kz, ky, kx).
        averages: the usual number of them.
        drift: rms difference of averages over the signal about DC, 0 where noise explains it.
    """

    kspace: NDArray[np.complex64]
    mask: NDArray[np.bool_]
    averages: int
    drift: float


def read_cartesian(raw: RawData, form: str, select: Selection | None = None) -> xr.Dataset:
    """A 2D or 3D Cartesian scan; see `scan` for what is returned.

    Args:
        raw: the acquisitions.
        form: the attribute `format`.
        select: which repetitions, contrasts, ... to read; all if not given.

    Raises:
        InputError: unusable; several slabs, orientations, ...
    """
    header = raw.header
    if not (header.encoded.matrix[0] and header.encoded.matrix[1]):
        raise InputError(f"{raw.path}: its header states no encoded matrix: export it again")
    plan, extra = _sorted(raw, select)
    ghosts = _ghosts(raw, plan)
    filled = _filled(raw, plan, ghosts)
    kspace, mask, averages = filled.kspace, filled.mask, filled.averages
    calibration = None if extra is None else _filled(raw, extra, ghosts).kspace
    unused: list[str] = []
    if calibration is None:
        calibration, unused = _elsewhere(raw, plan)
    noise = noise_of(raw, plan, averages)
    geometry, order = geometry_of(raw, plan)
    attrs = {**header.attrs, "format": form, "averages": averages}
    remarks = [*_remarks(raw, plan, ghosts), *unused]
    if filled.drift:
        remarks.append(
            f"Averages of the same line differ by {100 * filled.drift:.0f} % of the signal, more "
            "than noise explains: the object moved or the phase drifted between them. Read one of "
            "them with --select average=0 where they are counted."
        )
    if remarks:
        attrs["scan_remarks"] = remarks
    rx, ry, rz = header.recon.matrix
    count, slices = plan.frames.count, plan.shape[0]
    if plan.shape[2] > 1:
        parts = [slices_across_readout(raw.path, k, m) for k, m in zip(kspace, mask, strict=True)]
        data = np.concatenate([p[0] for p in parts])
        shape = (len(parts[0][0]), data.shape[2], data.shape[3])
        mask = parts[0][1]
        if count > 1:
            mask = np.concatenate([np.broadcast_to(p[1], shape) for p in parts])
        attrs |= {**placed_volume(geometry, header, shape), "encoding": "3D, slices across x"}
        part = min(p[2] for p in parts)
        if part < 1:
            attrs["partial_echo"] = f"{part:.3f} of the readout measured, the rest taken as 0"
            noise = None if noise is None else noise * np.float32(math.sqrt(part))
        if ry and rz:
            attrs["image_shape"] = [ry, rz]
        if calibration is not None:
            measured = (calibration != 0).any(axis=1)
            own = slices_across_readout(raw.path, calibration[0], measured[0])[0]
            calibration = np.concatenate([own] * count)
        scan = build_scan(raw.path, data, attrs, mask=mask, noise=noise, calibration=calibration)
        return with_frames(scan, plan.frames.values, count)
    kspace, mask = kspace[:, :, 0], mask[:, 0]
    if (np.diff(order) < 0).any():
        every = (np.arange(count)[:, None] * slices + order).ravel()
        kspace, mask = kspace[every], mask[every]
    if calibration is not None:
        calibration = np.concatenate([calibration[order, :, 0]] * count)
    attrs |= placed(geometry, (slices, *kspace.shape[1:]))
    if rx and ry:
        attrs["image_shape"] = [ry, rx]
    turns = _turns(raw, plan).reshape(count, slices, -1)[:, order].reshape(count * slices, -1)
    others = {"turn": (("slice", "ky"), turns)}
    scan = build_scan(
        raw.path, kspace, attrs, mask=mask, noise=noise, calibration=calibration, others=others
    )
    return with_frames(scan, plan.frames.values, count)


def _turns(raw: RawData, plan: _Grid) -> NDArray[np.float32]:
    """When each line of an image was measured, (image, ky): 0 for the first, 1 for the next, ...;
    the mean of averages, NaN for lines that were not measured.

    Time stamps tell, then the scanner's counter, then the place in the file.
    """
    heads = raw.heads[plan.lines]
    clock = np.lexsort((plan.lines, heads["scan_counter"], heads["acquisition_time_stamp"]))
    slices = plan.shape[0]
    images = plan.frames.number * slices + plan.slices
    turns = np.full((plan.frames.count * slices, plan.shape[3]), np.nan, np.float32)
    for image in range(len(turns)):
        own = clock[images[clock] == image]
        rows = plan.rows[own]
        sums = np.bincount(rows, np.arange(len(own)), minlength=turns.shape[1])
        counts = np.bincount(rows, minlength=turns.shape[1])
        turns[image, counts > 0] = (sums / np.maximum(counts, 1))[counts > 0]
    return turns


def _sorted(raw: RawData, select: Selection | None) -> tuple[_Grid, _Grid | None]:
    """Finds the imaging lines and their places; and those for calibration, if they stay apart."""
    path, header, heads = raw.path, raw.header, raw.heads
    flags, index = heads["flags"], heads["idx"]
    imaging = imaging_of(raw)
    if imaging.any():
        wanted = selected(path, index[imaging], select)
        imaging[np.flatnonzero(imaging)[~wanted]] = False
    only_calibration = imaging & has(flags, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
    only_calibration &= ~has(flags, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    imaging &= ~only_calibration
    if header.calibration_mode in ("", "embedded"):
        place = np.stack([index[n].astype(np.int64) for n in (*FRAME_AXES, *_PLACE)], axis=1)
        taken = {tuple(row) for row in place[imaging].tolist()}
        free = np.array([tuple(row) not in taken for row in place.tolist()])
        imaging |= only_calibration & free
        only_calibration[:] = False
    lines = np.flatnonzero(imaging)
    if not len(lines):
        raise InputError(f"{path}: no imaging data among {len(heads)} acquisitions: export again")
    chosen = heads[lines]
    coils = np.unique(chosen["active_channels"])
    if len(coils) > 1:
        raise InputError(f"{path}: {coils.min()} to {coils.max()} coils in one scan: export again")
    nx, ny, nz = header.encoded.matrix
    nz = max(nz, 1)
    numbers = np.unique(chosen["idx"]["slice"])
    if nz > 1 and len(numbers) > 1:
        raise InputError(f"{path}: {len(numbers)} slabs of a 3D scan: write one file for each")
    frames = frames_of(chosen["idx"])
    longest = int(chosen["number_of_samples"].max())
    images = frames.count * len(numbers)
    if images * ny * nz > _MOST * len(lines) or nx > _MOST * longest:
        raise InputError(
            f"{path}: its header claims {images * nz} slices of {ny} lines of {nx} samples, "
            f"the file has {len(lines)} lines of up to {longest}: correct the encoded matrix"
        )
    shape = (len(numbers), int(coils[0]), nz, ny, nx)
    size = (images, *shape[1:-1], _kept(header))
    check_size(path, "k-space", size, 16 if nz > 1 else 8)
    plan = _grid(raw, lines, numbers, shape, frames)
    _check_complete(raw, plan)
    apart = only_calibration & (heads["active_channels"] == coils[0])
    apart &= np.isin(index["slice"], numbers)
    if not apart.any():
        return plan, None
    lines = np.flatnonzero(apart)
    return plan, _grid(raw, lines, numbers, shape, Frames(np.zeros(len(lines), np.intp), {}))


def _elsewhere(raw: RawData, plan: _Grid) -> tuple[NDArray[np.complex64] | None, list[str]]:
    """Calibration (slice, coil, kz, ky, kx) that a further encoding has, and what is not used.

    Lines without the flag of calibration count where the header says that calibration is separate.
    """
    heads, header = raw.heads, raw.header
    flagged = has(heads["flags"], ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
    flagged |= has(heads["flags"], ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    plain = ~np.any([has(heads["flags"], flag) for flag in NOT_IMAGING], axis=0)
    unused: list[str] = []
    for number, other in enumerate(header.others, start=1):
        own = (heads["encoding_space_ref"] == number) & plain
        if (own & flagged).any():
            own &= flagged
        elif header.calibration_mode not in ("separate", "external"):
            continue
        if not own.any():
            continue
        own &= heads["active_channels"] == plan.shape[1]
        own &= np.isin(heads["idx"]["slice"], np.unique(heads["idx"]["slice"][plan.lines]))
        reason = _unusable(plan, other, own)
        if reason is None:
            return _calibration(raw, plan, other, np.flatnonzero(own)), unused
        unused.append(f"The calibration lines of encoding {number + 1} are not used: {reason}.")
    return None, unused


def _unusable(plan: _Grid, other: Encoding, own: NDArray[np.bool_]) -> str | None:
    """Why lines of a further encoding give no calibration; None if they do."""
    if plan.shape[2] > 1:
        return "those of a 3D scan can only be read in its own encoding"
    if not own.any():
        return "they are of other slices or coils than the scan"
    if not (other.space.matrix[0] and other.space.matrix[1]):
        return "their matrix is not stated"
    if not all(math.isfinite(v) for v in other.space.fov_mm[:2]):
        return "their field of view is not stated"
    return None


def _calibration(
    raw: RawData, plan: _Grid, other: Encoding, lines: NDArray[np.intp]
) -> NDArray[np.complex64]:
    """Lines of a further encoding on the grid of the first, (slice, coil, 1, ky, kx)."""
    own = copy.copy(raw)
    own.header = replace(raw.header, encoded=other.space, recon=Space(), others=())
    nx, ny, _ = other.space.matrix
    rows = _places(
        raw.path,
        raw.heads["idx"]["kspace_encode_step_1"][lines],
        other.ky_centre,
        ny,
        "calibration lines",
    )
    numbers = np.unique(raw.heads["idx"]["slice"][plan.lines])
    slices = np.searchsorted(numbers, raw.heads["idx"]["slice"][lines]).astype(np.intp)
    none = np.zeros(len(lines), np.intp)
    shape = (plan.shape[0], plan.shape[1], 1, ny, nx)
    grid = _Grid(lines, slices, shape, rows, none, Frames(none, {}))
    filled = _filled(own, grid, {})
    kept = _kept(raw.header)
    width, height = raw.header.encoded.fov_mm[:2]
    moved = on_grid(
        filled.kspace[:, :, 0],
        np.asarray(filled.mask[:, 0].any(axis=0)),
        (height, width * kept / raw.header.encoded.matrix[0]),
        (plan.shape[3], kept),
        (other.space.fov_mm[1], other.space.fov_mm[0]),
    )
    return moved[:, :, None]


def _check_complete(raw: RawData, plan: _Grid) -> None:
    """Raises InputError where an image has far fewer lines than others, as of a scan cut short."""
    count = plan.frames.count * plan.shape[0]
    lines = np.bincount(plan.frames.number * plan.shape[0] + plan.slices, minlength=count)
    few = np.flatnonzero(lines * _LEAST_PART < lines.max())
    if not len(few) or plan.frames.count == 1:
        return
    frame = int(few[0]) // plan.shape[0]
    what = ", ".join(f"{name} {values[frame]}" for name, values in plan.frames.values.items())
    name = next(iter(plan.frames.values))
    raise InputError(
        f"{raw.path}: {what} has {lines[few[0]]} lines of a slice where others have {lines.max()}: "
        f"select the complete ones, as by --select {name}=0..2"
    )


def _grid(
    raw: RawData,
    lines: NDArray[np.intp],
    numbers: NDArray[Any],
    shape: tuple[int, ...],
    frames: Frames,
) -> _Grid:
    """The places of lines, whose slices are among ``numbers``."""
    index, header = raw.heads["idx"][lines], raw.header
    nz, ny = shape[2], shape[3]
    rows = _places(raw.path, index["kspace_encode_step_1"], header.ky_centre, ny, "lines")
    partitions = _places(
        raw.path, index["kspace_encode_step_2"], header.kz_centre, nz, "partitions"
    )
    slices = np.searchsorted(numbers, index["slice"]).astype(np.intp)
    return _Grid(lines, slices, shape, rows, partitions, frames)


def _places(
    path: Path, steps: NDArray[Any], stated: int | None, size: int, name: str
) -> NDArray[np.intp]:
    """Where encoding steps lie on the grid: DC at size // 2."""
    centre = size // 2 if stated is None else stated
    if size == 1 and stated is None and not steps.any():
        return np.zeros(len(steps), np.intp)
    # A centre of 0 is what writers leave that do not state one.
    if stated == 0 and steps.max(initial=0) > size - 1 - size // 2:
        centre = size // 2
    places = steps.astype(np.intp) - centre + size // 2
    if places.min() < 0 or places.max() >= size:
        hint = "a 3D scan whose " if size == 1 else ""
        raise InputError(
            f"{path}: {hint}{name} {steps.min()} to {steps.max()} about the centre {centre} do not "
            f"fit the encoded matrix of {size}: correct the header's matrix or encoding limits"
        )
    return places


def _filled(raw: RawData, plan: _Grid, ghosts: Mapping[int, NDArray[np.complex64]]) -> _Filled:
    """All lines of a plan in their places, repeated ones averaged."""
    slices, coils, nz, ny, nx = plan.shape
    images = plan.frames.count * slices
    crop = Crop(nx, _kept(raw.header))
    kspace = np.zeros((images, coils, nz, ny, crop.kept), np.complex64)
    counts = np.zeros((images, nz, ny, crop.kept), np.int32)
    power = np.zeros((images, nz, ny, crop.kept), np.float32)
    turned = _centre_as_acquired(raw, plan)
    for k, line in enumerate(raw.readouts(plan.lines)):
        head = raw.heads[plan.lines[k]]
        first, line = _placed_samples(raw.path, head, line, nx, turned, _samples_of(raw, head))
        along, values = crop(first, line)
        s, z, y = plan.slices[k], plan.partitions[k], plan.rows[k]
        if int(s) in ghosts and has(head["flags"], ismrmrd.ACQ_IS_REVERSE):
            values = corrected(values, along, ghosts[int(s)])
        image = plan.frames.number[k] * slices + s
        kspace[image, :, z, y, along] += values
        counts[image, z, y, along] += 1
        power[image, z, y, along] += (np.abs(values) ** 2).sum(axis=0)
    mask = counts > 0
    averages = int(np.median(counts[mask])) if mask.any() else 1
    drift = 0.0
    if counts.max(initial=0) > 1:
        kspace /= np.maximum(counts, 1)[:, None]
        drift = _drift(kspace, counts, power)
    return _Filled(kspace, mask, averages, drift)


def _drift(
    kspace: NDArray[np.complex64], counts: NDArray[np.int32], power: NDArray[np.float32]
) -> float:
    """Rms difference of averages over the signal about DC; 0 where noise explains it.

    Noise differs by as much at all samples, an object that moves by more where the signal is.

    Args:
        kspace: (image, coil, kz, ky, kx), mean of the averages.
        counts: (image, kz, ky, kx), averages of each sample.
        power: likewise, the sum over averages and coils of |k|^2.
    """
    several = counts > 1
    signal = (np.abs(kspace) ** 2).sum(axis=1)
    n = np.maximum(counts, 2)
    variance = np.maximum(power / n - signal, 0) * n / (n - 1)
    middle = np.zeros(counts.shape[1:], bool)
    middle[tuple(slice(m // 2 - m // 16, m // 2 + m // 16 + 1) for m in counts.shape[1:])] = True
    near, all_ = several & middle, several
    if not near.any():
        return 0.0
    there, everywhere = float(variance[near].mean()), float(np.median(variance[all_]))
    part = math.sqrt(there / max(float(signal[near].mean()), _TINY))
    return part if there > _DRIFT * everywhere and part > _DRIFT_PART else 0.0


def _ghosts(raw: RawData, plan: _Grid) -> dict[int, NDArray[np.complex64]]:
    """For each slice what its reversed readouts are multiplied by; empty where none is needed."""
    heads = raw.heads
    if not has(heads["flags"][plan.lines], ismrmrd.ACQ_IS_REVERSE).any():
        return {}
    chosen = has(heads["flags"], ismrmrd.ACQ_IS_PHASECORR_DATA)
    chosen &= (heads["encoding_space_ref"] == 0) & (heads["active_channels"] == plan.shape[1])
    lines = np.flatnonzero(chosen)
    nx = plan.shape[-1]
    crop, turned = Crop(nx, _kept(raw.header)), _centre_as_acquired(raw, plan)
    numbers = np.unique(heads["idx"]["slice"][plan.lines])
    sums: dict[tuple[int, bool], list[NDArray[np.complex64]]] = {}
    for line, values in zip(lines, raw.readouts(lines), strict=True):
        first, values = _placed_samples(raw.path, heads[line], values, nx, turned)
        along, values = crop(first, values)
        whole = np.zeros((len(values), crop.kept), np.complex64)
        whole[:, along] = values
        place = int(np.searchsorted(numbers, heads["idx"]["slice"][line]))
        reversed_ = bool(has(heads["flags"][line], ismrmrd.ACQ_IS_REVERSE))
        sums.setdefault((place, reversed_), []).append(whole)
    found = {}
    for place in range(plan.shape[0]):
        ahead, back = sums.get((place, False)), sums.get((place, True))
        if ahead and back:
            found[place] = ghost_phase(np.mean(ahead, axis=0), np.mean(back, axis=0))
    if found and len(found) < plan.shape[0]:
        raise InputError(
            f"{raw.path}: lines for phase correction of {len(found)} of {plan.shape[0]} slices: "
            "export it again with all of them"
        )
    return found


def _remarks(raw: RawData, plan: _Grid, ghosts: Mapping[int, NDArray[np.complex64]]) -> list[str]:
    """Sentences for the result's warnings.

    Raises:
        InputError: an echo-planar scan without lines for phase correction.
    """
    back = has(raw.heads["flags"][plan.lines], ismrmrd.ACQ_IS_REVERSE)
    if ghosts or not back.any() or back.all():
        return []
    if raw.header.trajectory == "epi":
        raise InputError(
            f"{raw.path}: an echo-planar scan without lines for phase correction "
            "(ACQ_IS_PHASECORR_DATA), so its ghost cannot be taken off: export it again with them"
        )
    return [
        "Readouts run in both directions and the file has no lines for phase correction: if they "
        "differ in delay or phase, a ghost lies half a field of view away."
    ]


def _centre_as_acquired(raw: RawData, plan: _Grid) -> bool:
    """Whether center_sample of reversed partial readouts counts samples as they were acquired.

    The format does not say, and both are in use: the echo, where the signal is strongest, tells.
    """
    heads, nx = raw.heads[plan.lines], plan.shape[-1]
    total = heads["number_of_samples"].astype(np.intp)
    centre = heads["center_sample"].astype(np.intp)
    chosen = has(heads["flags"], ismrmrd.ACQ_IS_REVERSE) & (total != nx)
    chosen &= 2 * centre + 1 != total
    if not chosen.any():
        return True
    middle = np.abs(plan.rows - plan.shape[3] // 2) + np.abs(plan.partitions - plan.shape[2] // 2)
    lines = np.flatnonzero(chosen)
    lines = np.sort(lines[np.argsort(middle[lines], kind="stable")[:_ECHOES]])
    votes = 0.0
    for k, values in zip(lines, raw.readouts(plan.lines[lines]), strict=True):
        power = (np.abs(values) ** 2).sum(axis=0)
        peak = int(power.argmax())
        nearer = abs(peak - (total[k] - 1 - centre[k])) - abs(peak - centre[k])
        if power[peak] > _ECHO * np.median(power):  # else it may be anywhere
            votes += float(power[peak]) * float(np.sign(nearer))
    return votes >= 0


def _placed_samples(
    path: Path,
    head: Any,
    line: NDArray[np.complex64],
    nx: int,
    as_acquired: bool,
    whole: int | None = None,
) -> tuple[int, NDArray[np.complex64]]:
    """(first sample of the encoded matrix, samples) of a readout; one of ``whole`` samples is not
    partial, by default one of the matrix."""
    total, centre = line.shape[1], int(head["center_sample"])
    before, after = int(head["discard_pre"]), int(head["discard_post"])
    # A whole readout fits in one way only; many files leave its centre at 0.
    if total == (nx if whole is None else whole):
        centre = total // 2
    elif has(head["flags"], ismrmrd.ACQ_IS_REVERSE) and as_acquired:
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


def _samples_of(raw: RawData, head: Any) -> int:
    """Samples of a whole readout of the encoding that an acquisition belongs to."""
    number = int(head["encoding_space_ref"])
    others = raw.header.others
    space = others[number - 1].space if 0 < number <= len(others) else raw.header.encoded
    return space.matrix[0]


def _kept(header: Header) -> int:
    """Samples of a readout without oversampling: N times the ratio of the fields of view."""
    nx = header.encoded.matrix[0]
    encoded, recon = header.encoded.fov_mm[0], header.recon.fov_mm[0]
    if math.isfinite(encoded) and math.isfinite(recon):
        kept = round(nx * recon / encoded)
    else:
        kept = header.recon.matrix[0] or nx
    return kept if 0 < kept < nx else nx
