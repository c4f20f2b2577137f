"""Siemens raw data, written with twixtools from the k-space of a point at a known place."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from point_scans import CENTRE, GAP, VOXEL, frame, image_of, ramp

from sciddm.data_adapters import open_kspace
from sciddm.errors import InputError

twixtools = pytest.importorskip("twixtools")

from twixtools.mdb import Mdb_local  # noqa: E402

ANGLES = (0.4, -0.3)
COILS = np.array([1.0, 0.5j, -0.3])
BASE, LINES = 12, 10


def protocol(**changes: Any) -> bytes:
    """The header of a measurement: one buffer, with what the reader asks for."""
    values: dict[str, Any] = {
        "sKSpace.lBaseResolution": BASE,
        "sKSpace.lPhaseEncodingLines": LINES,
        "sKSpace.lPartitions": 1,
        "sKSpace.ucDimension": "0x2",
        "sKSpace.ucTrajectory": "0x1",
        "sSliceArray.asSlice[0].dReadoutFOV": BASE * VOXEL[0],
        "sSliceArray.asSlice[0].dPhaseFOV": LINES * VOXEL[1],
        "sSliceArray.asSlice[0].dThickness": VOXEL[2],
        "sRXSPEC.alDwellTime[0]": 5000,
        "alTR[0]": 500000,
        "alTE[0]": 20000,
        "sProtConsistencyInfo.flMagneticFieldStrength": 2.9,
        "flMagneticFieldStrength": 2.9,
        **changes,
    }
    lines = "".join(f"{k} = {v}\n" for k, v in values.items())
    text = f"### ASCCONV BEGIN ###\n{lines}\n### ASCCONV END ###\n".encode("latin1")
    body = b"MeasYaps\x00" + struct.pack("<I", len(text)) + text
    length = -(-(8 + len(body) + 48) // 32) * 32
    return (struct.pack("<II", length, 1) + body).ljust(length, b"\x00")


def quaternion(axes: NDArray[np.float64]) -> tuple[float, ...]:
    """(w, x, y, z) of the rotation with the columns phase, read, slice."""
    read, phase, normal = axes
    m = np.stack([phase, read, normal], axis=1)
    w = np.sqrt(1 + np.trace(m)) / 2
    return (
        float(w),
        float((m[2, 1] - m[1, 2]) / (4 * w)),
        float((m[0, 2] - m[2, 0]) / (4 * w)),
        float((m[1, 0] - m[0, 1]) / (4 * w)),
    )


def axes_of_scan() -> NDArray[np.float64]:
    """Read, phase, slice, of which phase, read, slice is right-handed, as the scanner has it."""
    read, phase, normal = frame(ANGLES)
    return np.stack([read, phase, -normal])


def block(data: NDArray[Any], flags: tuple[str, ...] = (), vb: bool = False, **head: Any) -> Any:
    found = Mdb_local(np.ascontiguousarray(data, np.complex64), version_is_ve=not vb)
    for name in flags:
        found.add_flag(name)
    axes = axes_of_scan()
    counters = {k: head.pop(k) for k in list(head) if k in ("Lin", "Par", "Sli", "Ave", "Eco")}
    for name, value in counters.items():
        setattr(found.mdh.Counter, name, value)
    place = CENTRE + counters.get("Sli", 0) * GAP * axes[2]
    position = found.mdh.SliceData.SlicePos
    position.Sag, position.Cor, position.Tra = (float(v) for v in place)
    found.mdh.SliceData.Quaternion[:] = quaternion(axes)
    for name, value in head.items():
        setattr(found.mdh, name, value)
    return found


def write(path: Path, measurements: list[tuple[bytes, list[Any]]]) -> Path:
    scans = [
        {"hdr_str": np.frombuffer(head, dtype="S1"), "mdb": blocks} for head, blocks in measurements
    ]
    twixtools.write_twix(scans, str(path))
    return path


def write_vb(path: Path, head: bytes, blocks: list[Any]) -> Path:
    """A file of software VB, which twixtools reads but does not write: every channel of a readout
    has the whole header, and the file begins with the protocol."""
    end = Mdb_local(version_is_ve=False)
    end.add_flag("ACQEND")
    with path.open("wb") as file:
        file.write(struct.pack("<I", 10240) + head[4:].ljust(10236, b"\x00"))
        for one in blocks:
            for channel in one.data:
                file.write(bytearray(one.mdh) + channel.tobytes())
        file.write(bytearray(end.mdh) + bytes(256))
    return path


def noise(samples: int, seed: int) -> NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((2, 3, samples))
    return (values[0] + 1j * values[1]).astype(np.complex64)


def test_a_point_comes_out_where_it_is(tmp_path: Path) -> None:
    """Oversampled partial echoes, every second one reversed, partial Fourier, three slices."""
    n, missing, start, (x, y, z) = 2 * BASE, 5, 2, (3, 7, 1)
    signal = np.einsum("y,x->yx", ramp(LINES, y), ramp(BASE, x, n))[start:, missing:]
    blocks = []
    for s in (2, 0, 1):
        for ky, line in enumerate(signal):
            data = (1.0 if s == z else 0.1) * COILS[:, None] * line
            centre, flags = n // 2 - missing, ()
            if ky % 2:
                data, flags = data[:, ::-1], ("REFLECT",)
                centre = data.shape[1] - 1 - centre
            head = {"CenterCol": centre, "CenterLin": LINES // 2 - start}
            blocks.append(block(data, flags, Lin=ky, Sli=s, **head))
        blocks.append(block(noise(n, s), ("PHASCOR",), Lin=4, Sli=s))
    scan = open_kspace(write(tmp_path / "meas.dat", [(protocol(), blocks)]))
    k = scan["kspace"].values
    assert k.shape == (3, 3, LINES, BASE)
    image = image_of(k[:, 0])
    found = np.unravel_index(image.argmax(), image.shape)
    assert found[1:] == (y, x)
    axes = axes_of_scan()
    place = CENTRE + [(x - BASE // 2) * VOXEL[0], (y - LINES // 2) * VOXEL[1], z * GAP] @ axes
    affine = np.array(scan.attrs["affine"])
    np.testing.assert_allclose(affine @ [*found[::-1], 1], [*(place * [-1, -1, 1]), 1], atol=1e-3)
    assert scan.attrs["voxel_size_mm"] == pytest.approx([GAP, VOXEL[1], VOXEL[0]], rel=1e-5)
    np.testing.assert_allclose(k[:, 1], 0.5j * k[:, 0], atol=1e-5)
    assert not scan["mask"].values[:, :start].any()
    assert scan.attrs["format"] == "twix"
    assert scan.attrs["field_strength_T"] == 2.9
    assert (scan.attrs["repetition_time_ms"], scan.attrs["echo_time_ms"]) == (500, 20)


def test_a_volume(tmp_path: Path) -> None:
    n, nz, (x, y, z) = 2 * BASE, 6, (8, 2, 4)
    signal = np.einsum("z,y,x->zyx", ramp(nz, z), ramp(LINES, y), ramp(BASE, x, n))
    kept = np.random.default_rng(0).random((nz, LINES)) < 0.7
    kept[nz // 2, LINES // 2] = True
    head = {"CenterCol": BASE, "CenterLin": LINES // 2, "CenterPar": nz // 2}
    blocks = [
        block(COILS[:, None] * signal[kz, ky], Lin=int(ky), Par=int(kz), **head)
        for kz, ky in np.argwhere(kept)
    ]
    changes = {
        "sKSpace.lPartitions": nz,
        "sKSpace.ucDimension": "0x4",
        "sKSpace.dSliceOversamplingForDialog": 0.5,
        "sSliceArray.asSlice[0].dThickness": nz * VOXEL[2] / 1.5,
    }
    scan = open_kspace(write(tmp_path / "meas.dat", [(protocol(**changes), blocks)]))
    assert scan["kspace"].shape == (BASE, 3, LINES, nz)
    np.testing.assert_array_equal(scan["mask"].values, kept.T)
    image = image_of(scan["kspace"].values[:, 0])
    assert np.unravel_index(image.argmax(), image.shape) == (x, y, z)
    assert scan.attrs["voxel_size_mm"] == pytest.approx(list(VOXEL), rel=1e-5)
    place = (
        CENTRE + ((np.array([x, y, z]) - [BASE // 2, LINES // 2, nz // 2]) * VOXEL) @ axes_of_scan()
    )
    affine = np.array(scan.attrs["affine"])
    np.testing.assert_allclose(affine @ [z, y, x, 1], [*(place * [-1, -1, 1]), 1], atol=1e-3)


def test_software_vb(tmp_path: Path) -> None:
    n, (x, y) = 2 * BASE, (9, 3)
    signal = np.einsum("y,x->yx", ramp(LINES, y), ramp(BASE, x, n))
    adjustment = noise(n, 1)
    head = {"CenterCol": BASE, "CenterLin": LINES // 2}
    blocks = [block(adjustment, ("NOISEADJSCAN",), vb=True)]
    blocks += [
        block(COILS[:, None] * line, vb=True, Lin=ky, **head) for ky, line in enumerate(signal)
    ]
    scan = open_kspace(write_vb(tmp_path / "meas.dat", protocol(), blocks))
    image = image_of(scan["kspace"].values[:, 0])
    assert np.unravel_index(image.argmax(), image.shape) == (0, y, x)
    axes = axes_of_scan()
    place = CENTRE + [(x - BASE // 2) * VOXEL[0], (y - LINES // 2) * VOXEL[1], 0] @ axes
    affine = np.array(scan.attrs["affine"])
    np.testing.assert_allclose(affine @ [x, y, 0, 1], [*(place * [-1, -1, 1]), 1], atol=1e-3)
    scale = np.sqrt(1e6 / 130 / n / 5 / 0.793)
    np.testing.assert_allclose(scan["noise"].values, adjustment * scale, rtol=1e-5)


def test_noise_of_an_adjustment_and_of_the_scan(tmp_path: Path) -> None:
    """Power goes with the dwell times: 10 and 320 us against the scan's 5 us."""
    own, within = noise(40, 1), noise(24, 2)
    adjustment = [block(own, ("NOISEADJSCAN",))]
    lines = [block(noise(2 * BASE, 3 + ky), Lin=ky, CenterLin=LINES // 2) for ky in range(LINES)]
    scan = open_kspace(
        write(
            tmp_path / "meas.dat",
            [
                (protocol(**{"sRXSPEC.alDwellTime[0]": 10000}), adjustment),
                (protocol(), [block(within, ("NOISEADJSCAN",)), *lines]),
            ],
        )
    )
    found = scan["noise"].values
    np.testing.assert_allclose(found[:, :40], own * np.sqrt(2 / 0.793), rtol=1e-5)
    np.testing.assert_allclose(found[:, 40:], within * np.sqrt(320 / 5 / 0.793), rtol=1e-5)


def test_calibration_lines_of_a_parallel_scan(tmp_path: Path) -> None:
    blocks = []
    for ky in range(LINES):
        flags = () if ky % 2 == 0 else ("PATREFSCAN",)
        if ky == 4:
            flags = ("PATREFSCAN", "PATREFANDIMASCAN")
        if ky % 2 == 0 or 3 <= ky <= 6:
            blocks.append(block(noise(2 * BASE, ky), flags, Lin=ky, CenterLin=LINES // 2))
    for mode, lines in (("0x2", [0, 2, 3, 4, 5, 6, 8]), ("0x4", [0, 2, 4, 6, 8])):
        changes = {"sPat.ucPATMode": "0x2", "sPat.ucRefScanMode": mode}
        path = write(tmp_path / f"meas{mode}.dat", [(protocol(**changes), blocks)])
        mask = open_kspace(path)["mask"].values
        assert np.flatnonzero(mask[0, :, 0]).tolist() == lines


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sKSpace.lBaseResolution": 0}, "no imaging protocol"),
        ({"sKSpace.ucTrajectory": "0x2"}, "not a Cartesian scan"),
        ({"sKSpace.lPhaseEncodingLines": 4}, "do not fit"),
    ],
)
def test_protocols_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    lines = [block(noise(2 * BASE, ky), Lin=ky, CenterLin=LINES // 2) for ky in range(LINES)]
    path = write(tmp_path / "meas.dat", [(protocol(**changes), lines)])
    with pytest.raises(InputError, match=words) as error:
        open_kspace(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_cut_short(tmp_path: Path) -> None:
    lines = [block(noise(2 * BASE, ky), Lin=ky, CenterLin=LINES // 2) for ky in range(LINES)]
    path = write(tmp_path / "meas.dat", [(protocol(), lines)])
    path.write_bytes(path.read_bytes()[:10400])
    with pytest.raises(InputError, match=r"meas\.dat"):
        open_kspace(path)
