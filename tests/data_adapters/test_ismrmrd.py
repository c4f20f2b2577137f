"""ISMRMRD files, written with the ismrmrd package from known k-space."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
import pytest
from numpy.typing import NDArray

from sciddm.data_adapters import open_kspace
from sciddm.errors import InputError

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <acquisitionSystemInformation>
  <systemFieldStrength_T>1.5</systemFieldStrength_T>
  <relativeReceiverNoiseBandwidth>{bandwidth}</relativeReceiverNoiseBandwidth>
 </acquisitionSystemInformation>
 <experimentalConditions><H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz>
 </experimentalConditions>
 <encoding>
  <encodedSpace>
   <matrixSize><x>{nx}</x><y>{ny}</y><z>{nz}</z></matrixSize>
   <fieldOfView_mm><x>{fov_x}</x><y>{fov_y}</y><z>5</z></fieldOfView_mm>
  </encodedSpace>
  <reconSpace>
   <matrixSize><x>{rx}</x><y>{ry}</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>{recon_fov_x}</x><y>{fov_y}</y><z>5</z></fieldOfView_mm>
  </reconSpace>
  <encodingLimits>{limits}</encodingLimits>
  <trajectory>{trajectory}</trajectory>
  <parallelImaging><accelerationFactor>
   <kspace_encoding_step_1>1</kspace_encoding_step_1>
   <kspace_encoding_step_2>1</kspace_encoding_step_2></accelerationFactor>
   <calibrationMode>{calibration}</calibrationMode></parallelImaging>
 </encoding>
</ismrmrdHeader>
"""


def header(**changes: Any) -> str:
    values: dict[str, Any] = {
        "nx": 8,
        "ny": 6,
        "nz": 1,
        "rx": 8,
        "ry": 6,
        "fov_x": 240,
        "fov_y": 150,
        "recon_fov_x": 240,
        "limits": "",
        "trajectory": "cartesian",
        "calibration": "embedded",
        "bandwidth": 1,
    }
    return HEADER.format(**(values | changes))


def limits(centre: int, most: int) -> str:
    return (
        f"<kspace_encoding_step_1><minimum>0</minimum><maximum>{most}</maximum>"
        f"<center>{centre}</center></kspace_encoding_step_1>"
    )


@dataclass
class Readout:
    """One acquisition: samples (coil, sample), its counters, flags and head."""

    data: NDArray[np.complex64]
    step: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    flags: tuple[int, ...] = ()
    head: dict[str, Any] = field(default_factory=dict)


def write(path: Path, xml: str, readouts: list[Readout], group: str = "dataset") -> Path:
    with ismrmrd.Dataset(str(path), group, create_if_needed=True) as file:
        file.write_xml_header(xml.encode())
        for r in readouts:
            acquisition = ismrmrd.Acquisition.from_array(np.ascontiguousarray(r.data))
            acquisition.sample_time_us = 5.0
            acquisition.center_sample = r.data.shape[1] // 2
            acquisition.read_dir[:] = (1, 0, 0)
            acquisition.phase_dir[:] = (0, 1, 0)
            acquisition.slice_dir[:] = (0, 0, 1)
            acquisition.idx.kspace_encode_step_1 = r.step
            for name, value in r.counters.items():
                setattr(acquisition.idx, name, value)
            for flag in r.flags:
                acquisition.setFlag(flag)
            for name, value in r.head.items():
                if isinstance(value, tuple):
                    getattr(acquisition, name)[:] = value
                else:
                    setattr(acquisition, name, value)
            file.append_acquisition(acquisition)
    return path


def complex_noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def lines_of(kspace: NDArray[np.complex64], steps: Any = None) -> list[Readout]:
    """All lines of kspace (slice, coil, ky, kx), last first, so that sorting has work to do."""
    found = []
    for s in range(kspace.shape[0]):
        head = {"position": (0.0, 0.0, 7.0 * s)}
        for y in range(kspace.shape[2]) if steps is None else steps:
            found.append(Readout(kspace[s, :, y], y, {"slice": s}, head=head))
    return found[::-1]


def centred(transform: Any, k: NDArray[Any], axis: int = -1) -> NDArray[Any]:
    return np.fft.fftshift(
        transform(np.fft.ifftshift(k, axes=axis), axis=axis, norm="ortho"), axes=axis
    )


def test_lines_are_sorted(tmp_path: Path) -> None:
    k = complex_noise((3, 2, 6, 8))
    scan = open_kspace(write(tmp_path / "a.h5", header(), lines_of(k)))
    np.testing.assert_array_equal(scan["kspace"].values, k)
    assert scan["mask"].dims == ("slice", "ky", "kx")
    assert scan["mask"].values.all()
    assert "noise" not in scan
    assert scan.attrs["format"] == "ismrmrd"
    assert scan.attrs["field_strength_T"] == 1.5
    assert scan.attrs["image_shape"] == [6, 8]


@pytest.mark.parametrize("clock", ["acquisition_time_stamp", "scan_counter", "file"])
def test_the_order_of_acquisition(tmp_path: Path, clock: str) -> None:
    k = complex_noise((2, 2, 6, 8))
    steps = (0, 2, 3, 5)
    readouts = lines_of(k, steps)
    when = [3, 0, 7, 5, 6, 1, 4, 2] if clock != "file" else list(range(8))
    if clock != "file":
        for readout, time in zip(readouts, when, strict=True):
            readout.head = readout.head | {clock: time}
    scan = open_kspace(write(tmp_path / "a.h5", header(), readouts))
    expected = np.full((2, 6), np.nan)
    for s in range(2):
        own = sorted(
            (w, r.step) for w, r in zip(when, readouts, strict=True) if r.counters["slice"] == s
        )
        for turn, (_, row) in enumerate(own):
            expected[s, row] = turn
    np.testing.assert_array_equal(scan["turn"].values, expected)


def test_geometry(tmp_path: Path) -> None:
    """Oblique slices 7 mm apart, 5 mm thick, written in reverse order in space."""
    angle = np.deg2rad(30)
    read, phase = (1.0, 0.0, 0.0), (0.0, np.cos(angle), np.sin(angle))
    normal = np.cross(read, phase)
    k = complex_noise((3, 2, 6, 8))
    readouts = lines_of(k)
    for r in readouts:
        place = tuple(
            float(v) for v in np.array([4.0, -3.0, 2.0]) - 7 * r.counters["slice"] * normal
        )
        r.head = {
            "position": place,
            "read_dir": read,
            "phase_dir": phase,
            "slice_dir": tuple(float(v) for v in normal),
        }
    scan = open_kspace(write(tmp_path / "a.h5", header(), readouts))
    np.testing.assert_array_equal(scan["kspace"].values, k[::-1])
    assert scan.attrs["voxel_size_mm"] == pytest.approx([7, 25, 30], rel=1e-5)
    assert scan.attrs["slice_thickness_mm"] == 5
    assert scan.attrs["orientation_known"]
    affine = np.array(scan.attrs["affine"])
    np.testing.assert_allclose(affine @ [4, 3, 2, 1], [-4, 3, 2, 1], atol=1e-4)
    lps = np.diag([-1, -1, 1, 1]) @ affine
    np.testing.assert_allclose(lps[:3, 0], 30 * np.array(read), atol=1e-4)
    np.testing.assert_allclose(lps[:3, 1], 25 * np.array(phase), atol=1e-4)
    np.testing.assert_allclose(lps[:3, 2], 7 * normal, atol=1e-4)


def test_directions_left_at_zero(tmp_path: Path) -> None:
    readouts = lines_of(complex_noise((1, 2, 6, 8)))
    for r in readouts:
        r.head = dict.fromkeys(("read_dir", "phase_dir", "slice_dir"), (0.0, 0.0, 0.0))
    scan = open_kspace(write(tmp_path / "a.h5", header(), readouts))
    assert not scan.attrs["orientation_known"]
    assert scan.attrs["voxel_size_mm"] == [5, 25, 30]
    np.testing.assert_allclose(np.array(scan.attrs["affine"]) @ [4, 3, 0, 1], [0, 0, 0, 1])


def test_undersampled_with_limits(tmp_path: Path) -> None:
    """4 steps about step 1 go to the lines about line 3."""
    k = complex_noise((1, 2, 4, 8))
    xml = header(limits=limits(1, 3))
    scan = open_kspace(write(tmp_path / "a.h5", xml, lines_of(k, steps=[0, 1, 3])))
    wanted = np.zeros((1, 2, 6, 8), np.complex64)
    wanted[:, :, [2, 3, 5]] = k[:, :, [0, 1, 3]]
    np.testing.assert_array_equal(scan["kspace"].values, wanted)
    np.testing.assert_array_equal(scan["mask"].values, (wanted != 0).any(1))


def frames_file(path: Path, k: NDArray[np.complex64], counters: list[dict[str, int]]) -> Path:
    """One file of several whole scans (frame, slice, coil, ky, kx), interleaved line by line."""
    readouts = []
    for frame, own in zip(k, counters, strict=True):
        for r in lines_of(frame):
            r.counters = r.counters | own
            readouts.append(r)
    return write(path, header(), readouts[::2] + readouts[1::2])


def test_averages_are_averaged_and_can_be_chosen(tmp_path: Path) -> None:
    k = complex_noise((2, 1, 2, 6, 8))
    path = frames_file(tmp_path / "a.h5", k, [{"average": 0}, {"average": 1}])
    scan = open_kspace(path)
    np.testing.assert_allclose(scan["kspace"].values, k.mean(0), atol=1e-6)
    assert scan.attrs["averages"] == 2
    second = open_kspace(path, select={"average": [1]})
    np.testing.assert_array_equal(second["kspace"].values, k[1])


@pytest.mark.parametrize("axis", ["repetition", "contrast", "phase", "set"])
def test_every_frame_is_an_image_of_its_own(tmp_path: Path, axis: str) -> None:
    k = complex_noise((3, 2, 2, 6, 8))
    path = frames_file(tmp_path / "a.h5", k, [{axis: n} for n in (0, 1, 4)])
    scan = open_kspace(path)
    np.testing.assert_array_equal(scan["kspace"].values, k.reshape(6, 2, 6, 8))
    assert scan[axis].values.tolist() == [0, 0, 1, 1, 4, 4]
    assert scan.attrs["slices_per_frame"] == 2
    one = open_kspace(path, select={axis: [4]})
    np.testing.assert_array_equal(one["kspace"].values, k[2])
    assert "slices_per_frame" not in one.attrs
    two = open_kspace(path, select={axis: [1, 4], "slice": [1]})
    np.testing.assert_array_equal(two["kspace"].values, k[1:, 1])
    for wrong, words in (({axis: [2]}, f"no {axis} 2"), ({"echo": [0]}, "'echo'")):
        with pytest.raises(InputError, match=words):
            open_kspace(path, select=wrong)


def test_two_counters_change(tmp_path: Path) -> None:
    k = complex_noise((4, 1, 2, 6, 8))
    counters = [{"repetition": r, "contrast": c} for r in (0, 1) for c in (0, 1)]
    scan = open_kspace(frames_file(tmp_path / "a.h5", k, counters))
    np.testing.assert_array_equal(scan["kspace"].values, k[:, 0])
    assert scan["repetition"].values.tolist() == [0, 0, 1, 1]
    assert scan["contrast"].values.tolist() == [0, 1, 0, 1]


def test_a_repetition_that_was_cut_short_is_named(tmp_path: Path) -> None:
    readouts = lines_of(complex_noise((1, 2, 6, 8)))
    readouts.append(Readout(complex_noise((2, 8)), 0, {"repetition": 1}))
    path = write(tmp_path / "a.h5", header(), readouts)
    with pytest.raises(InputError, match="repetition 1 has 1 lines"):
        open_kspace(path)
    assert open_kspace(path, select={"repetition": [0]}).sizes["slice"] == 1


def test_partial_and_reversed_echoes(tmp_path: Path) -> None:
    """Samples 3 to 7 of 8, DC at 4: the centre is sample 1; reversed, it is sample 3."""
    k = complex_noise((1, 2, 6, 8))
    readouts = lines_of(k)
    for r in readouts:
        r.data, r.head = r.data[:, 3:], {"center_sample": 1}
        if r.step % 2:
            r.data, r.head = r.data[:, ::-1], {"center_sample": 3}
            r.flags = (ismrmrd.ACQ_IS_REVERSE,)
    scan = open_kspace(write(tmp_path / "a.h5", header(), readouts))
    wanted = k.copy()
    wanted[..., :3] = 0
    np.testing.assert_array_equal(scan["kspace"].values, wanted)
    np.testing.assert_array_equal(scan["mask"].values[0, 0], np.arange(8) >= 3)


def test_discarded_samples(tmp_path: Path) -> None:
    k = complex_noise((1, 2, 6, 8))
    readouts = lines_of(k)
    for r in readouts:
        r.head = {"discard_pre": 1, "discard_post": 2}
    scan = open_kspace(write(tmp_path / "a.h5", header(), readouts))
    wanted = k.copy()
    wanted[..., [0, 6, 7]] = 0
    np.testing.assert_array_equal(scan["kspace"].values, wanted)


@pytest.mark.parametrize(("nx", "kept"), [(8, 4), (12, 6), (10, 5), (14, 10)])
def test_oversampling_is_taken_off(tmp_path: Path, nx: int, kept: int) -> None:
    """The image within the smaller field of view stays as it is, voxel for voxel."""
    image = complex_noise((1, 2, 6, nx))
    k = centred(np.fft.fft, image).astype(np.complex64)
    xml = header(nx=nx, rx=kept, fov_x=30 * nx, recon_fov_x=30 * kept)
    scan = open_kspace(write(tmp_path / "a.h5", xml, lines_of(k)))
    first = nx // 2 - kept // 2
    wanted = image[..., first : first + kept]
    np.testing.assert_allclose(centred(np.fft.ifft, scan["kspace"].values), wanted, atol=1e-5)
    assert scan["mask"].values.all()
    assert scan.attrs["voxel_size_mm"] == pytest.approx([5, 25, 30])
    np.testing.assert_allclose(
        np.array(scan.attrs["affine"]) @ [kept // 2, 3, 0, 1], [0, 0, 0, 1], atol=1e-6
    )


def test_interpolated_image_takes_nothing_off(tmp_path: Path) -> None:
    """A larger matrix of the image over half the field of view: still 2-fold oversampled."""
    k = complex_noise((1, 2, 6, 8))
    xml = header(nx=8, rx=16, fov_x=480, recon_fov_x=240)
    scan = open_kspace(write(tmp_path / "a.h5", xml, lines_of(k)))
    assert scan["kspace"].shape == (1, 2, 6, 4)
    assert scan.attrs["image_shape"] == [6, 16]
    xml = header(nx=8, rx=4)
    scan = open_kspace(write(tmp_path / "b.h5", xml, lines_of(k)))
    np.testing.assert_array_equal(scan["kspace"].values, k)


def test_noise_scan_has_the_level_of_kspace(tmp_path: Path) -> None:
    """Noise of twice the dwell time, 0.5 bandwidth, 2 averages: power 2 / (0.5 * 2) = 2 times."""
    noise = complex_noise((2, 40), seed=5)
    k = complex_noise((1, 2, 6, 8))
    readouts = [
        Readout(part, flags=(ismrmrd.ACQ_IS_NOISE_MEASUREMENT,), head={"sample_time_us": 10.0})
        for part in (noise[:, :16], noise[:, 16:])
    ]
    xml = header(bandwidth=0.5)
    for i in range(2):
        for r in lines_of(k):
            r.counters = {"average": i}
            readouts.append(r)
    scan = open_kspace(write(tmp_path / "a.h5", xml, readouts))
    assert scan["noise"].dims == ("coil", "sample")
    np.testing.assert_allclose(scan["noise"].values, np.sqrt(2) * noise, rtol=1e-5)
    np.testing.assert_allclose(scan["kspace"].values, k, rtol=1e-6)


def test_noise_level_survives_the_oversampling(tmp_path: Path) -> None:
    """Orthonormal there and back: white noise keeps its power per sample."""
    k = complex_noise((1, 4, 64, 64), seed=9)
    xml = header(nx=64, ny=64, rx=32, ry=64, fov_x=480, recon_fov_x=240)
    scan = open_kspace(write(tmp_path / "a.h5", xml, lines_of(k)))
    power = float((np.abs(scan["kspace"].values) ** 2).mean())
    assert power == pytest.approx(2.0, rel=0.05)  # 8192 samples: standard error 1.1 %


@pytest.mark.parametrize(
    "flag",
    [
        ismrmrd.ACQ_IS_NAVIGATION_DATA,
        ismrmrd.ACQ_IS_PHASECORR_DATA,
        ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
        ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
        ismrmrd.ACQ_IS_HPFEEDBACK_DATA,
    ],
)
def test_other_lines_are_left_out(tmp_path: Path, flag: int) -> None:
    k = complex_noise((1, 2, 6, 8))
    extra = [Readout(complex_noise((2, 8), 7), 3, flags=(flag,))]
    scan = open_kspace(write(tmp_path / "a.h5", header(), extra + lines_of(k)))
    np.testing.assert_array_equal(scan["kspace"].values, k)


@pytest.mark.parametrize("mode", ["embedded", "separate", "external", "other", "interleaved"])
def test_calibration_lines(tmp_path: Path, mode: str) -> None:
    """They join a scan that they belong to where nothing else was measured, else stay apart."""
    k = complex_noise((1, 2, 6, 8))
    readouts = lines_of(k, steps=[0, 2, 4])
    flags = (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,)
    readouts.append(Readout(k[0, :, 3], 3, flags=flags))
    other = complex_noise((2, 8), 8)
    readouts.append(Readout(other, 2, flags=flags))
    both = (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    readouts.append(Readout(k[0, :, 5], 5, flags=both))
    scan = open_kspace(write(tmp_path / "a.h5", header(calibration=mode), readouts))
    joined = mode == "embedded"
    kept = [0, 2, 3, 4, 5] if joined else [0, 2, 4, 5]
    wanted = np.zeros_like(k)
    wanted[:, :, kept] = k[:, :, kept]
    np.testing.assert_array_equal(scan["kspace"].values, wanted)
    assert ("calibration" in scan) is not joined
    if not joined:
        wanted = np.zeros_like(k)
        wanted[:, :, 3], wanted[0, :, 2] = k[:, :, 3], other
        np.testing.assert_array_equal(scan["calibration"].values, wanted)


def two_encodings(**changes: Any) -> str:
    """A header whose second encoding is that of external calibration."""
    first = header(calibration="external")
    stop = first.index("</encoding>") + len("</encoding>")
    second = header(**changes)
    second = second[second.index("<encoding>") : second.index("</encoding>") + len("</encoding>")]
    return first[:stop] + second + first[stop:]


@pytest.mark.parametrize("flags", [(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,), ()])
def test_calibration_lines_of_another_encoding_of_the_same_field(
    tmp_path: Path, flags: tuple[int, ...]
) -> None:
    """A smaller matrix of the same field of view: its samples lie on the grid of the scan."""
    k = complex_noise((1, 2, 6, 8))
    lines = complex_noise((4, 2, 4), 5)
    readouts = lines_of(k, steps=[0, 2, 4])
    head = {"encoding_space_ref": 1}
    readouts += [Readout(line, n, flags=flags, head=head) for n, line in enumerate(lines)]
    scan = open_kspace(write(tmp_path / "a.h5", two_encodings(nx=4, ny=4), readouts))
    wanted = np.zeros_like(k)
    wanted[0, :, 1:5, 2:6] = lines.transpose(1, 0, 2)  # about (3, 4)
    np.testing.assert_allclose(scan["calibration"].values, wanted, atol=1e-5)


def test_calibration_lines_of_another_field_of_view(tmp_path: Path) -> None:
    """A field twice as wide shows the same object at the same place: half of its samples are on
    the grid of the scan."""
    ny, nx = 6, 8
    rng = np.random.default_rng(0)
    image = np.zeros((1, 2, 2 * ny, 2 * nx), np.complex64)
    image[..., ny // 2 : ny // 2 + ny, nx // 2 : nx // 2 + nx] = rng.random((2, ny, nx))
    wide = centred(np.fft.fft, centred(np.fft.fft, image), -2)
    inner = image[..., ny // 2 : ny // 2 + ny, nx // 2 : nx // 2 + nx]
    k = centred(np.fft.fft, centred(np.fft.fft, inner), -2).astype(np.complex64)
    head = {"encoding_space_ref": 1}
    flags = (ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,)
    readouts = lines_of(k, steps=[0, 2, 4])
    readouts += [
        Readout(wide[0, :, y].astype(np.complex64), y, flags=flags, head=head)
        for y in range(2 * ny)
    ]
    xml = two_encodings(nx=2 * nx, ny=2 * ny, fov_x=480, recon_fov_x=480, fov_y=300)
    found = open_kspace(write(tmp_path / "a.h5", xml, readouts))["calibration"].values
    factor = (found[0, 0, 3, 4] / k[0, 0, 3, 4]).real
    np.testing.assert_allclose(found, factor * k, atol=1e-4)


def test_calibration_lines_that_are_not_used_are_named(tmp_path: Path) -> None:
    k = complex_noise((1, 2, 6, 8))
    lines = complex_noise((4, 3, 4), 5)  # of three coils
    head = {"encoding_space_ref": 1}
    readouts = lines_of(k) + [
        Readout(line, n, flags=(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION,), head=head)
        for n, line in enumerate(lines)
    ]
    scan = open_kspace(write(tmp_path / "a.h5", two_encodings(nx=4, ny=4), readouts))
    assert "calibration" not in scan
    assert "encoding 2 are not used" in scan.attrs["scan_remarks"][0]


def test_averages_of_an_object_that_moves_are_named(tmp_path: Path) -> None:
    """The second average is of an object that lies elsewhere; of one that stays nothing is said."""
    n = 32
    image = np.zeros((n, n))
    image[8:24, 10:22] = 1
    for name, moved, told in (("still", 0, False), ("moved", 4, True)):
        readouts = []
        for average, shift in enumerate((0, moved)):
            profile = centred(np.fft.fft, np.roll(image, shift, axis=0), -2)
            k = centred(np.fft.fft, profile) + 0.05 * complex_noise((n, n), average)
            readouts += [
                Readout(k[None, y].astype(np.complex64), y, {"average": average}) for y in range(n)
            ]
        path = write(tmp_path / f"{name}.h5", header(nx=n, ny=n, rx=n, ry=n), readouts)
        remarks = open_kspace(path).attrs.get("scan_remarks", [])
        assert any("Averages of the same line differ" in r for r in remarks) is told
        assert "scan_remarks" not in open_kspace(path, select={"average": [0]}).attrs


def test_repetitions_of_a_volume(tmp_path: Path) -> None:
    """Slices across the readout of the first repetition, then of the second, each with its mask."""
    k = complex_noise((2, 4, 3, 6, 8))  # repetition, kz, coil, ky, kx
    kept = [(r, z, y) for r in range(2) for z in range(4) for y in range(6) if (z + y + r) % 3]
    readouts = [
        Readout(k[r, z, :, y], y, {"repetition": r, "kspace_encode_step_2": z}) for r, z, y in kept
    ]
    scan = open_kspace(write(tmp_path / "a.h5", header(nz=4), readouts))
    assert scan["repetition"].values.tolist() == [0] * 8 + [1] * 8
    wanted = np.zeros((2, 6, 4), bool)
    for r, z, y in kept:
        wanted[r, y, z] = True
    np.testing.assert_array_equal(scan["mask"].values[[0, 7, 8, 15]], wanted[[0, 0, 1, 1]])
    back = centred(np.fft.ifft, k[1, 1, :, 0])
    np.testing.assert_allclose(scan["kspace"].values[8:, :, 0, 1].T, back, atol=1e-5)


def ghosted(k: NDArray[np.complex64], offset: float, turn: float) -> list[Readout]:
    """Every other line run backwards, its samples ``offset`` pixels late and turned by ``turn``."""
    n = k.shape[-1]
    ramp = np.exp(-1j * (turn + 2 * np.pi * offset * (np.arange(n) - n // 2) / n))

    def back(line: NDArray[np.complex64]) -> NDArray[np.complex64]:
        profile = centred(np.fft.ifft, line) * ramp
        return np.ascontiguousarray(centred(np.fft.fft, profile)[:, ::-1], np.complex64)

    reverse = (ismrmrd.ACQ_IS_REVERSE,)
    correction = (ismrmrd.ACQ_IS_PHASECORR_DATA,)
    readouts = lines_of(k)
    for r in readouts[1::2]:
        r.data, r.flags = back(r.data), reverse
    middle = k[0, :, k.shape[2] // 2]
    navigator = [
        Readout(middle, 0, flags=correction),
        Readout(back(middle), 0, flags=(*correction, *reverse)),
        Readout(middle, 0, flags=correction),
    ]
    return navigator + readouts


@pytest.mark.parametrize("trajectory", ["cartesian", "epi"])
def test_readouts_in_both_directions_are_corrected_by_the_navigator(
    tmp_path: Path, trajectory: str
) -> None:
    k = complex_noise((1, 2, 6, 16))
    profile = np.zeros((1, 2, 6, 16), np.complex64)
    profile[..., 4:12] = complex_noise((1, 2, 6, 8), 3)  # with air at both ends
    k = centred(np.fft.fft, profile).astype(np.complex64)
    xml = header(trajectory=trajectory, nx=16, rx=16)
    path = write(tmp_path / "a.h5", xml, ghosted(k, 0.6, 0.8))
    scan = open_kspace(path)
    np.testing.assert_allclose(scan["kspace"].values, k, atol=1e-4)
    assert "scan_remarks" not in scan.attrs
    with_navigator = ghosted(k, 0.6, 0.8)
    bare = write(tmp_path / "b.h5", xml, with_navigator[3:])
    if trajectory == "epi":
        with pytest.raises(InputError, match="without lines for phase correction"):
            open_kspace(bare)
    else:
        assert "both directions" in open_kspace(bare).attrs["scan_remarks"][0]


def test_ramp_sampled_readouts_are_refused_with_the_reason(tmp_path: Path) -> None:
    ramps = (
        "<trajectory>epi</trajectory><trajectoryDescription><identifier>ConventionalEPI</identifier>"
        "<userParameterLong><name>rampUpTime</name><value>100</value></userParameterLong>"
        "<userParameterLong><name>acqDelayTime</name><value>20</value></userParameterLong>"
        "</trajectoryDescription>"
    )
    xml = header(trajectory="epi").replace("<trajectory>epi</trajectory>", ramps)
    path = write(tmp_path / "a.h5", xml, lines_of(complex_noise((1, 2, 6, 8))))
    with pytest.raises(InputError, match="ramps"):
        open_kspace(path)


@pytest.mark.parametrize("as_acquired", [True, False])
def test_the_centre_of_reversed_partial_echoes_in_both_conventions(
    tmp_path: Path, as_acquired: bool
) -> None:
    k = np.zeros((1, 2, 6, 8), np.complex64)
    k[..., 1:] = complex_noise((1, 2, 6, 7))
    k[..., 4] *= 20  # the echo
    readouts = lines_of(k)
    for r in readouts:
        r.data, r.head = np.ascontiguousarray(r.data[:, 1:]), {"center_sample": 3}
    for r in readouts[::2]:
        r.data, r.flags = np.ascontiguousarray(r.data[:, ::-1]), (ismrmrd.ACQ_IS_REVERSE,)
    for r in readouts:
        r.data = np.ascontiguousarray(r.data[:, :6] if r.flags else r.data[:, 1:])
        # Samples 2 to 7 are left: the echo is the third of them, the fourth as acquired.
        r.head = {"center_sample": 3 if r.flags and as_acquired else 2}
    wanted = k.copy()
    wanted[..., :2] = 0
    scan = open_kspace(write(tmp_path / "a.h5", header(), readouts))
    np.testing.assert_array_equal(scan["kspace"].values, wanted)


def test_a_centre_of_0_is_one_that_was_not_stated(tmp_path: Path) -> None:
    k = complex_noise((1, 2, 6, 8))
    scan = open_kspace(write(tmp_path / "a.h5", header(limits=limits(0, 5)), lines_of(k)))
    np.testing.assert_array_equal(scan["kspace"].values, k)


def test_many_lines_and_another_group(tmp_path: Path) -> None:
    k = complex_noise((2, 1, 150, 8))
    xml = header(ny=150, ry=150)
    scan = open_kspace(write(tmp_path / "a.mrd", xml, lines_of(k), group="scan_2"))
    np.testing.assert_array_equal(scan["kspace"].values, k)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trajectory": "radial"}, r"a trajectory \(radial\)"),
        ({"nx": 4, "rx": 4}, "does not fit the encoded matrix"),
        ({"ny": 4}, "do not fit"),
        ({"ny": 60000, "nx": 60000}, "claims"),
        ({"nx": 0}, "no encoded matrix"),
    ],
)
def test_headers_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    k = complex_noise((1, 2, 6, 8))
    path = write(tmp_path / "a.h5", header(**changes), lines_of(k))
    with pytest.raises(InputError, match=words) as error:
        open_kspace(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("counters", "words"),
    [
        ({"kspace_encode_step_2": 1}, "3D scan"),
        ({"contrast": 1}, "contrast 1 has 1 lines"),
        ({"phase": 1}, "phase"),
        ({"set": 1}, "set"),
    ],
)
def test_counters_with_no_place(tmp_path: Path, counters: dict[str, int], words: str) -> None:
    readouts = lines_of(complex_noise((1, 2, 6, 8)))
    readouts[0].counters = counters
    with pytest.raises(InputError, match=words):
        open_kspace(write(tmp_path / "a.h5", header(), readouts))


def test_nothing_but_noise(tmp_path: Path) -> None:
    flags = (ismrmrd.ACQ_IS_NOISE_MEASUREMENT,)
    path = write(tmp_path / "a.h5", header(), [Readout(complex_noise((2, 8)), flags=flags)])
    with pytest.raises(InputError, match="no imaging data"):
        open_kspace(path)


def test_coils_that_differ(tmp_path: Path) -> None:
    readouts = lines_of(complex_noise((1, 2, 6, 8)))
    readouts[0].data = readouts[0].data[:1]
    with pytest.raises(InputError, match="1 to 2 coils"):
        open_kspace(write(tmp_path / "a.h5", header(), readouts))


def test_slices_of_several_orientations(tmp_path: Path) -> None:
    readouts = lines_of(complex_noise((2, 2, 6, 8)))
    for r in readouts:
        if r.counters["slice"] == 1:
            r.head = {"phase_dir": (0.0, 0.0, 1.0), "slice_dir": (0.0, 1.0, 0.0)}
    with pytest.raises(InputError, match="several orientations"):
        open_kspace(write(tmp_path / "a.h5", header(), readouts))


@pytest.mark.parametrize("xml", ["<a", "", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "<a></a>"])
def test_damaged_header(tmp_path: Path, xml: str) -> None:
    path = write(tmp_path / "a.h5", xml, lines_of(complex_noise((1, 2, 6, 8))))
    with pytest.raises(InputError, match="header"):
        open_kspace(path)


def test_acquisition_shorter_than_its_head(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", header(), lines_of(complex_noise((1, 2, 6, 8))))
    with h5py.File(path, "r+") as file:
        row = file["dataset/data"][2]
        row["data"] = row["data"][:10]
        file["dataset/data"][2] = row
    with pytest.raises(InputError, match="acquisition 2 holds 5 samples"):
        open_kspace(path)
