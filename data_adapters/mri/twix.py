"""Siemens raw data, meas_*.dat of software VB, VD, VE and later (twix), with twixtools.

Of a file with several measurements the last is the scan; the others are adjustments, of which the
noise is used. Readouts become acquisitions with ISMRMRD's counters and flags and go the way of all
Cartesian scans (`cartesian`). What the protocol says of the encoding:

    matrix         lBaseResolution x flReadoutOSFactor, lPhaseEncodingLines, lPartitions
    field of view  dReadoutFOV x flReadoutOSFactor, dPhaseFOV x (1 + dPhaseOversamplingForDialog),
                   dThickness x (1 + dSliceOversamplingForDialog) of 3D scans
    centre         KSpaceCentreColumn, -Line and -Partition of the readouts
    place          slice position and quaternion (w, x, y, z) of the readouts: its rotation has the
                   columns phase, read, slice

Noise: the dwell time of an adjustment of its own is that of its protocol; that of noise lines
within the scan is 7.68 / N_samples ms (VD on) or 1 / (130 N_samples) s (VB), and the receiver's
noise bandwidth 0.793, as siemens_to_ismrmrd has them (github.com/ismrmrd/siemens_to_ismrmrd).
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
import xarray as xr
from ismrmrd.hdf5 import acquisition_header_dtype
from numpy.typing import NDArray

from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.mri.acquisitions import RawData
from sciddm.data_adapters.mri.cartesian import read_cartesian
from sciddm.data_adapters.mri.frames import Selection
from sciddm.data_adapters.mri.header import Header, Space
from sciddm.errors import InputError

__all__ = ["read_twix"]

_FLAGS = {
    "NOISEADJSCAN": ismrmrd.ACQ_IS_NOISE_MEASUREMENT,
    "REFLECT": ismrmrd.ACQ_IS_REVERSE,
    "PHASCOR": ismrmrd.ACQ_IS_PHASECORR_DATA,
    "RTFEEDBACK": ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
    "HPFEEDBACK": ismrmrd.ACQ_IS_HPFEEDBACK_DATA,
    "RETRO_DUMMYSCAN": ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
    "noname60": ismrmrd.ACQ_IS_NAVIGATION_DATA,  # a navigator of the free induction decay
    "REFPHASESTABSCAN": 30,
    "PHASESTABSCAN": 31,
}
_COUNTERS = {
    "kspace_encode_step_1": "Lin",
    "kspace_encode_step_2": "Par",
    "average": "Ave",
    "slice": "Sli",
    "contrast": "Eco",
    "phase": "Phs",
    "repetition": "Rep",
    "set": "Set",
    "segment": "Seg",
}
_CALIBRATION = {1: "other", 2: "embedded", 4: "separate", 8: "separate", 16: "interleaved"}
_CARTESIAN, _VOLUME = 1, 4  # ucTrajectory, ucDimension
_NOISE_BANDWIDTH = 0.793
_OVERSAMPLING = 2.0


def read_twix(source: str | Path, select: Selection | None = None) -> xr.Dataset:
    """Reads a Cartesian scan, 2D or 3D; see `scan` for what is returned.

    Args:
        source: the file.
        select: which repetitions, contrasts, ... to read; see `frames`.

    Raises:
        InputError: twixtools is not installed, or the file is unusable.
    """
    path = existing_file(source)
    try:
        import twixtools
    except ImportError as error:
        raise InputError(
            f"{path}: Siemens raw data need twixtools: pip install 'sciddm[twix]', or convert it "
            "with siemens_to_ismrmrd"
        ) from error
    with reading(path):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints
            found = twixtools.read_twix(
                str(path.resolve()),
                parse_pmu=False,
                parse_geometry=False,
                verbose=False,
                keep_syncdata=False,
            )
        if not found or not found[-1]["mdb"]:
            raise InputError(f"{path}: no measurement in it: truncated, copy or export it again")
        raw = _Blocks(path, found)
        return read_cartesian(raw, "twix", select)


class _Blocks(RawData):
    """The data blocks of a file's last measurement, and the noise of those before."""

    def __init__(self, path: Path, found: list[Any]) -> None:
        blocks, dwells = [], []
        for k, measurement in enumerate(found):
            last = k == len(found) - 1
            dwell = _dwell_us(measurement["hdr"])
            for block in measurement["mdb"]:
                noise = block.is_flag_set("NOISEADJSCAN")
                if last or noise:
                    blocks.append(block)
                    dwells.append(_own_dwell_us(block) if noise and last else dwell)
        self._blocks = blocks
        heads = np.zeros(len(blocks), acquisition_header_dtype)
        for head, block, dwell in zip(heads, blocks, dwells, strict=True):
            _fill(head, block, dwell)
        imaging = next((b.mdh for b in found[-1]["mdb"] if b.is_image_scan()), None)
        super().__init__(path, _header(path, found[-1]["hdr"], imaging), heads)

    def readouts(self, lines: NDArray[np.intp]) -> Iterator[NDArray[np.complex64]]:
        with self.path.open("rb") as file:
            for line in lines:
                block = self._blocks[int(line)]
                block.fid = file  # else it opens the file anew for every block
                yield np.array(block.data, dtype=np.complex64)


def _fill(head: Any, block: Any, dwell_us: float) -> None:
    """The head of one acquisition from its measurement data header."""
    mdh = block.mdh
    flags = [number for name, number in _FLAGS.items() if block.is_flag_set(name)]
    if block.is_flag_set("PATREFANDIMASCAN"):
        flags.append(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    elif block.is_flag_set("PATREFSCAN"):
        flags.append(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
    head["flags"] = sum(1 << (number - 1) for number in flags)
    for name, own in _COUNTERS.items():
        head["idx"][name] = getattr(mdh.Counter, own)
    head["number_of_samples"] = mdh.SamplesInScan
    head["active_channels"] = head["available_channels"] = mdh.UsedChannels
    head["discard_pre"], head["discard_post"] = mdh.CutOff.Pre, mdh.CutOff.Post
    head["center_sample"], head["sample_time_us"] = mdh.CenterCol, dwell_us
    place = mdh.SliceData.SlicePos
    head["position"] = place.Sag, place.Cor, place.Tra
    w, x, y, z = (float(v) for v in mdh.SliceData.Quaternion)
    head["phase_dir"] = 1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)
    head["read_dir"] = 2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)
    head["slice_dir"] = 2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)
    if not any((w, x, y, z)):  # not filled in
        head["phase_dir"] = head["read_dir"] = head["slice_dir"] = 0


def _header(path: Path, protocol: Mapping[str, Any], imaging: Any) -> Header:
    """What the protocol says of the whole scan.

    Args:
        path: of the file.
        protocol: its parsed parts.
        imaging: the header of an imaging readout.
    """
    told = protocol.get("MeasYaps", {})
    kspace = told.get("sKSpace", {})
    slices = told.get("sSliceArray", {}).get("asSlice", [])
    first = slices[0] if slices and isinstance(slices[0], dict) else {}
    base, lines = _number(kspace, "lBaseResolution"), _number(kspace, "lPhaseEncodingLines")
    if imaging is None or not base > 0 or not lines > 0:
        raise InputError(f"{path}: no imaging protocol in it: give the scan itself (meas_*.dat)")
    if _number(kspace, "ucTrajectory", _CARTESIAN) != _CARTESIAN:
        raise InputError(
            f"{path}: not a Cartesian scan: convert it with siemens_to_ismrmrd and write the "
            "trajectory with it"
        )
    if _first(protocol.get("Meas", {}).get("alRegridMode")) > 1:
        raise InputError(
            f"{path}: its readouts were sampled on gradient ramps (EPI): convert it with "
            "siemens_to_ismrmrd and regrid it"
        )
    volume = _number(kspace, "ucDimension", 2) == _VOLUME
    partitions = int(_number(kspace, "lPartitions", 1)) if volume else 1
    factor = _anywhere(protocol, "flReadoutOSFactor", _OVERSAMPLING)
    fov = [_number(first, k) for k in ("dReadoutFOV", "dPhaseFOV", "dThickness")]
    over = _number(kspace, "dPhaseOversamplingForDialog", 0.0)
    deeper = _number(kspace, "dSliceOversamplingForDialog", 0.0) if volume else 0.0
    image_lines = round(base * fov[1] / fov[0]) if fov[0] > 0 and fov[1] > 0 else int(lines)
    patterns = told.get("sPat", {})
    accelerated = _number(patterns, "ucPATMode", 1) != 1
    mode = _CALIBRATION.get(int(_number(patterns, "ucRefScanMode", 0)), "interleaved")
    attrs: dict[str, Any] = {
        "field_strength_T": _anywhere(protocol, "flMagneticFieldStrength", math.nan)
    }
    for name, key, unit in (
        ("repetition_time_ms", "alTR", 1e-3),
        ("echo_time_ms", "alTE", 1e-3),
        ("inversion_time_ms", "alTI", 1e-3),
        ("flip_angle_deg", "adFlipAngleDegree", 1.0),
    ):
        value = _first(told.get(key))
        if value > 0:
            attrs[name] = value * unit
    vendor = _anywhere_text(protocol, "Manufacturer")
    model = _anywhere_text(protocol, "ManufacturersModelName")
    if vendor or model:
        attrs["scanner"] = " ".join(filter(None, (vendor, model)))
    name = _anywhere_text(protocol, "tProtocolName")
    if name:
        attrs["protocol"] = name
    return Header(
        encoded=Space(
            (round(base * factor), int(lines), partitions),
            (fov[0] * factor, fov[1] * (1 + over), fov[2] * (1 + deeper)),
        ),
        recon=Space(
            (int(base), image_lines, partitions),
            (fov[0], fov[1], fov[2]),
        ),
        trajectory="cartesian",
        ky_centre=int(imaging.CenterLin),
        kz_centre=int(imaging.CenterPar) if volume else None,
        calibration_mode=mode if accelerated else "",
        noise_bandwidth=_NOISE_BANDWIDTH,
        attrs=attrs,
    )


def _dwell_us(protocol: Mapping[str, Any]) -> float:
    """Dwell time of a measurement, 0 where it is not stated."""
    told = protocol.get("MeasYaps", {}).get("sRXSPEC", {})
    value = _first(told.get("alDwellTime"))
    return value * 1e-3 if value > 0 else 0.0


def _own_dwell_us(block: Any) -> float:
    """Dwell time of a noise line within the scan."""
    samples = int(block.mdh.SamplesInScan)
    if block.version_is_ve:
        return math.floor(76800 / samples) / 10
    return 1e6 / samples / 130


def _first(values: Any) -> float:
    """The first number of a list, NaN without one."""
    if isinstance(values, list):
        values = values[0] if values else None
    return float(values) if isinstance(values, int | float) else math.nan


def _number(told: Mapping[str, Any], key: str, default: float = math.nan) -> float:
    value = told.get(key)
    return float(value) if isinstance(value, int | float) else default


def _anywhere(protocol: Mapping[str, Any], key: str, default: float) -> float:
    """A number that one of the protocol's parts has."""
    for part in protocol.values():
        if isinstance(part, dict) and isinstance(part.get(key), int | float):
            return float(part[key])
    return default


def _anywhere_text(protocol: Mapping[str, Any], key: str) -> str:
    for part in protocol.values():
        if isinstance(part, dict) and isinstance(part.get(key), str):
            return str(part[key]).strip(' "')
    return ""
