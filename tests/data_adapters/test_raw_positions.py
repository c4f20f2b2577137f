"""A point at a known place of the patient comes out in the pixel that the affine gives to it:
oversampled, asymmetric, reversed, partial, interpolated, odd, averaged, 2D and 3D."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ismrmrd.hdf5 import acquisition_dtype, acquisition_header_dtype
from numpy.typing import NDArray
from point_scans import CENTRE, GAP, VOXEL, frame, image_of, ramp

from sciddm.data_adapters import open_kspace
from sciddm.data_adapters.mri.oversampling import Crop

HEADER = """<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <experimentalConditions><H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz>
 </experimentalConditions>
 <encoding>
  <encodedSpace>
   <matrixSize><x>{encoded[0]}</x><y>{encoded[1]}</y><z>{encoded[2]}</z></matrixSize>
   <fieldOfView_mm><x>{fov[0]}</x><y>{fov[1]}</y><z>{fov[2]}</z></fieldOfView_mm>
  </encodedSpace>
  <reconSpace>
   <matrixSize><x>{recon[0]}</x><y>{recon[1]}</y><z>{recon[2]}</z></matrixSize>
   <fieldOfView_mm><x>{image[0]}</x><y>{image[1]}</y><z>{image[2]}</z></fieldOfView_mm>
  </reconSpace>
  <encodingLimits>
   <kspace_encoding_step_1><minimum>0</minimum><maximum>{last[0]}</maximum>
    <center>{centre[0]}</center></kspace_encoding_step_1>
   <kspace_encoding_step_2><minimum>0</minimum><maximum>{last[1]}</maximum>
    <center>{centre[1]}</center></kspace_encoding_step_2>
  </encodingLimits>
  <trajectory>cartesian</trajectory>
 </encoding>
</ismrmrdHeader>"""


@dataclass(frozen=True)
class Case:
    """A scan of one point.

    Attributes:
        kept, oversampling: samples of a readout without and their factor of oversampling.
        ny, nz: encodings; nz > 1 is 3D.
        missing: samples that the partial echo lacks at its start.
        start: (y, z) encodings that partial Fourier lacks at the start of the axis.
        pixel: (x, y, z) of the point; of 2D scans z is the slice.
        slices: of 2D scans.
        zoom: of the scanner's own image.
        averages: of every line.
        turned: odd lines are read from their end.
        angles: of the frame.
    """

    kept: int
    oversampling: float
    ny: int
    nz: int
    missing: int
    start: tuple[int, int]
    pixel: tuple[int, int, int]
    slices: int
    zoom: int
    averages: int
    turned: bool
    angles: tuple[float, float]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kept, ny = draw(st.integers(6, 20)), draw(st.integers(5, 16))
    nz = draw(st.sampled_from([1, 1, 4, 5, 7]))
    slices = draw(st.integers(1, 4)) if nz == 1 else 1
    factor = draw(st.sampled_from([1.0, 1.25, 1.5, 2.0]))
    samples = round(kept * factor)
    depth = nz if nz > 1 else slices
    return Case(
        kept,
        factor,
        ny,
        nz,
        draw(st.integers(0, samples // 2 - 2)),
        (draw(st.integers(0, ny // 2 - 1)), draw(st.integers(0, nz // 2 - 1)) if nz > 1 else 0),
        tuple(draw(st.integers(0, n - 1)) for n in (kept, ny, depth)),
        slices,
        draw(st.sampled_from([1, 2])),
        draw(st.integers(1, 2)),
        draw(st.booleans()),
        (draw(st.floats(-1, 1)), draw(st.floats(-1, 1))),
    )


def write(path: Path, case: Case) -> NDArray[np.float64]:
    """Writes the scan and returns the point's place in RAS, mm."""
    n = round(case.kept * case.oversampling)
    axes = frame(case.angles)
    depth = case.nz if case.nz > 1 else 1
    fov = np.array([n, case.ny, depth]) * VOXEL
    image = np.array([case.kept, case.ny, depth]) * VOXEL
    header = HEADER.format(
        encoded=(n, case.ny, depth),
        recon=(case.kept * case.zoom, case.ny * case.zoom, depth),
        fov=fov,
        image=image,
        # Steps count from the first line that was measured.
        last=(case.ny - 1 - case.start[0], depth - 1 - case.start[1]),
        centre=(case.ny // 2 - case.start[0], depth // 2 - case.start[1]),
    )
    x, y, z = case.pixel
    signal = np.einsum(
        "z,y,x->zyx",
        ramp(depth, z) if case.nz > 1 else np.ones(1),
        ramp(case.ny, y),
        ramp(case.kept, x, n),
    )
    coils = np.array([1.0, 0.5j])
    rows = []
    for s in range(case.slices - 1, -1, -1):
        strength = 1.0 if case.nz > 1 or s == z else 0.1
        for kz, ky in np.ndindex(depth - case.start[1], case.ny - case.start[0]):
            samples = signal[kz + case.start[1], ky + case.start[0], case.missing :]
            line = (strength * coils[:, None] * samples).astype(np.complex64)
            for average in range(case.averages):
                rows.append(acquisition(line, case, (ky, kz, s), average, n, axes))
    with h5py.File(path, "w") as file:  # at once: the package's own writer takes a file per line
        file["dataset/data"] = np.array(rows, acquisition_dtype)
        file["dataset/xml"] = np.array([header.encode()], h5py.special_dtype(vlen=bytes))
    offset = np.array([x - case.kept // 2, y - case.ny // 2, 0.0]) * VOXEL
    offset[2] = (z - depth // 2) * VOXEL[2] if case.nz > 1 else z * GAP
    return np.array([-1, -1, 1]) * (CENTRE + offset @ axes)


def acquisition(
    line: NDArray[np.complex64],
    case: Case,
    place: tuple[int, int, int],
    average: int,
    n: int,
    axes: NDArray[np.float64],
) -> tuple[Any, ...]:
    ky, kz, s = place
    centre = n // 2 - case.missing
    head = np.zeros((), acquisition_header_dtype)
    if case.turned and ky % 2 == 1:
        line = line[:, ::-1]
        head["flags"] = 1 << (ismrmrd.ACQ_IS_REVERSE - 1)
        centre = line.shape[1] - 1 - centre
    head["center_sample"], head["sample_time_us"] = centre, 5.0
    head["active_channels"], head["number_of_samples"] = line.shape
    head["read_dir"], head["phase_dir"], head["slice_dir"] = axes
    head["position"] = CENTRE + s * GAP * axes[2]
    head["idx"]["kspace_encode_step_1"], head["idx"]["kspace_encode_step_2"] = ky, kz
    head["idx"]["slice"], head["idx"]["average"] = s, average
    return (head, np.zeros(0, np.float32), np.ascontiguousarray(line).view(np.float32).ravel())


@settings(max_examples=40, deadline=None)
@given(cases())
def test_a_point_comes_out_where_it_is(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = write(Path(folder) / "a.h5", case)
        scan = open_kspace(Path(folder) / "a.h5")
    k = scan["kspace"].values
    image = image_of(k[:, 0])
    found = np.unravel_index(image.argmax(), image.shape)
    x, y, z = case.pixel
    # A volume becomes slices across the readout.
    assert found == ((x, y, z) if case.nz > 1 else (z, y, x))
    affine = np.array(scan.attrs["affine"])
    np.testing.assert_allclose(affine @ [*found[::-1], 1], [*place, 1], atol=1e-3)
    wanted = [VOXEL[0], VOXEL[1], VOXEL[2]] if case.nz > 1 else [None, VOXEL[1], VOXEL[0]]
    for size, known in zip(scan.attrs["voxel_size_mm"], wanted, strict=True):
        assert known is None or size == pytest.approx(known, rel=1e-5)
    if case.nz == 1:
        assert scan.attrs["voxel_size_mm"][0] == pytest.approx(GAP if case.slices > 1 else VOXEL[2])
    # Both coils keep their ratio everywhere.
    np.testing.assert_allclose(k[:, 1], 0.5j * k[:, 0], atol=1e-5)


@pytest.mark.parametrize(("n", "m", "first"), [(64, 32, 16), (64, 32, 25), (45, 30, 11)])
def test_a_partial_echo_is_what_the_whole_one_is_where_it_was_measured(
    n: int, m: int, first: int
) -> None:
    """A profile within the image's field of view: no blur at the edge of what was measured."""
    rng = np.random.default_rng(1)
    profile = np.zeros((2, n), complex)
    start = n // 2 - m // 2
    profile[:, start : start + m] = rng.standard_normal((2, m)) + 1j * rng.standard_normal((2, m))
    whole = np.fft.fftshift(
        np.fft.fft(np.fft.ifftshift(profile, axes=-1), norm="ortho"), axes=-1
    ).astype(np.complex64)
    crop = Crop(n, m)
    everywhere, wanted = crop(0, whole)
    assert everywhere == slice(0, m)
    there, found = crop(first, whole[:, first:])
    # The first place at or after the first sample.
    assert there == slice(int(np.ceil((first - n // 2) * m / n)) + m // 2, m)
    np.testing.assert_allclose(found, wanted[:, there], atol=0.02)
    naive = np.where(np.arange(n) < first, 0, whole)
    blurred = crop(0, naive.astype(np.complex64))[1][:, there]
    assert np.abs(blurred - wanted[:, there]).max() > 0.1


def test_noise_of_a_partial_echo_keeps_its_level_but_at_the_edge() -> None:
    """At its ends a sample has neighbours to average with on one side only."""
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((4000, 48)) + 1j * rng.standard_normal((4000, 48))
    _, found = Crop(64, 32)(16, noise.astype(np.complex64))
    power = (np.abs(found) ** 2).mean(0) / 2
    assert power[0] == pytest.approx(2, rel=0.1)  # standard error 1.6 %
    assert power.max() < 2.2
    np.testing.assert_allclose(power[4:-4], 1, rtol=0.15)
