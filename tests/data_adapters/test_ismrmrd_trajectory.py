"""ISMRMRD files with trajectories, written with the ismrmrd package from known samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sciddm.data_adapters import open_kspace, save_kspace
from sciddm.errors import InputError, OutputError
from sciddm.physics.trajectories import radial

HEADER = """<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <acquisitionSystemInformation><systemFieldStrength_T>1.5</systemFieldStrength_T>
 </acquisitionSystemInformation>
 <encoding>
  <encodedSpace><matrixSize><x>{nx}</x><y>{ny}</y><z>{nz}</z></matrixSize>
  <fieldOfView_mm><x>{fov}</x><y>{fov}</y><z>5</z></fieldOfView_mm></encodedSpace>
  <reconSpace><matrixSize><x>{rx}</x><y>{rx}</y><z>1</z></matrixSize>
  <fieldOfView_mm><x>{recon_fov}</x><y>{recon_fov}</y><z>5</z></fieldOfView_mm></reconSpace>
  <encodingLimits/><trajectory>{kind}</trajectory>
 </encoding></ismrmrdHeader>"""


def header(**changes: Any) -> str:
    values = {"nx": 16, "ny": 16, "nz": 1, "rx": 16, "fov": 240, "recon_fov": 240}
    return HEADER.format(**{**values, "kind": "goldenangle", **changes})


def write(
    path: Path,
    xml: str,
    kspace: NDArray[Any],
    positions: NDArray[Any],
    *,
    noise: NDArray[Any] | None = None,
    dimensions: int = 2,
    discard: tuple[int, int] = (0, 0),
    counter: str = "slice",
) -> Path:
    """kspace (slice, coil, shot, sample), positions (shot, sample, 2) as (ky, kx).

    Another ``counter`` makes the first axis frames of one slice.
    """
    with ismrmrd.Dataset(str(path), create_if_needed=True) as file:
        file.write_xml_header(xml.encode())
        if noise is not None:
            first = ismrmrd.Acquisition.from_array(noise.astype(np.complex64))
            first.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
            first.sample_time_us = 5.0
            file.append_acquisition(first)
        for s in range(kspace.shape[0]):
            for shot in range(kspace.shape[2]):
                acquisition = ismrmrd.Acquisition()
                acquisition.resize(kspace.shape[3], kspace.shape[1], dimensions)
                acquisition.data[:] = kspace[s, :, shot]
                if dimensions:
                    acquisition.traj[:, :2] = positions[shot][:, ::-1]
                acquisition.sample_time_us = 5.0
                acquisition.discard_pre, acquisition.discard_post = discard
                acquisition.read_dir[:] = (1, 0, 0)
                acquisition.phase_dir[:] = (0, 1, 0)
                acquisition.slice_dir[:] = (0, 0, 1)
                acquisition.position[:] = (0, 0, 6.0 * s if counter == "slice" else 0)
                setattr(acquisition.idx, counter, s)
                acquisition.idx.kspace_encode_step_1 = shot
                file.append_acquisition(acquisition)
    return path


def samples(*shape: int, seed: int = 0) -> NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


T = radial(5, 32, 16)
K = samples(2, 3, 5, 32)


@pytest.mark.parametrize("unit", [1 / 16, 2 * np.pi / 16, 1.0])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_positions_of_every_unit_become_cycles_per_field_of_view(tmp_path, unit, dimensions):
    path = write(tmp_path / "a.h5", header(), K, T * unit, dimensions=dimensions)
    scan = open_kspace(path)
    assert scan["kspace"].dims == ("slice", "coil", "shot", "sample")
    np.testing.assert_array_equal(scan["kspace"].values, K)
    np.testing.assert_allclose(
        scan["trajectory"].values, np.broadcast_to(T, (2, *T.shape)), atol=1e-5
    )
    assert scan.attrs["image_shape"] == [16, 16]
    assert scan.attrs["voxel_size_mm"] == pytest.approx([6, 15, 15])
    assert scan.attrs["field_strength_T"] == 1.5


@pytest.mark.parametrize("counter", ["repetition", "contrast", "phase", "set"])
def test_frames_are_images_of_their_own(tmp_path, counter):
    path = write(tmp_path / "a.h5", header(), K, T / 16, counter=counter)
    scan = open_kspace(path)
    np.testing.assert_array_equal(scan["kspace"].values, K)
    assert scan[counter].values.tolist() == [0, 1]
    assert scan.attrs["slices_per_frame"] == 1
    one = open_kspace(path, select={counter: [1]})
    np.testing.assert_array_equal(one["kspace"].values, K[1:])


def test_an_image_of_a_smaller_field_of_view_takes_fewer_cycles(tmp_path):
    """Twice oversampled: half the field of view, half the cycles across it."""
    path = write(tmp_path / "a.h5", header(recon_fov=120, rx=8), K, T / 16)
    scan = open_kspace(path)
    np.testing.assert_allclose(scan["trajectory"].values[0], T / 2, atol=1e-5)
    assert scan.attrs["image_shape"] == [8, 8]
    assert scan.attrs["voxel_size_mm"][1:] == pytest.approx([15, 15])


def test_an_image_too_small_for_the_samples_grows(tmp_path):
    scan = open_kspace(write(tmp_path / "a.h5", header(rx=10), K, T / 16))
    assert scan.attrs["image_shape"] == [16, 16]


def test_discarded_samples_and_noise(tmp_path):
    noise = samples(3, 40, seed=1)
    path = write(tmp_path / "a.h5", header(), K, T / 16, noise=noise, discard=(3, 2))
    scan = open_kspace(path)
    np.testing.assert_array_equal(scan["kspace"].values, K[..., 3:-2])
    np.testing.assert_allclose(scan["trajectory"].values[0], T[:, 3:-2], atol=1e-5)
    np.testing.assert_allclose(scan["noise"].values, noise, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_round_trip(tmp_path, suffix):
    scan = open_kspace(write(tmp_path / "a.h5", header(), K, T / 16, noise=samples(3, 40)))
    save_kspace(scan, tmp_path / f"b{suffix}")
    again = open_kspace(tmp_path / f"b{suffix}")
    for name in ("kspace", "trajectory", "noise"):
        xr.testing.assert_identical(again[name].drop_attrs(), scan[name].drop_attrs())
    assert list(again.attrs["image_shape"]) == [16, 16]
    with pytest.raises(OutputError, match="no place for a trajectory"):
        save_kspace(scan, tmp_path / "b.h5")


@pytest.mark.parametrize(
    ("xml", "factor", "dimensions", "words"),
    [
        (header(), 1.0, 0, "readouts without positions"),
        (header(nz=4), 1 / 16, 2, "3D"),
        (header(), 3.0, 2, "in cycles per pixel"),
        (header(nx=0), 1 / 16, 2, "no encoded matrix"),
        (header(), np.nan, 2, "not finite"),
    ],
)
def test_unusable(tmp_path, xml, factor, dimensions, words):
    path = write(tmp_path / "a.h5", xml, K, T * factor, dimensions=dimensions)
    with pytest.raises(InputError, match=words) as error:
        open_kspace(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=15, deadline=None)
@given(
    spokes=st.integers(1, 4),
    length=st.integers(2, 9),
    coils=st.integers(1, 3),
    slices=st.integers(1, 2),
    size=st.sampled_from([8, 11, 24]),
)
def test_any_shape(tmp_path_factory, spokes, length, coils, slices, size):
    t, k = radial(spokes, length, size), samples(slices, coils, spokes, length)
    path = tmp_path_factory.mktemp("any") / "a.h5"
    scan = open_kspace(write(path, header(nx=size, ny=size, rx=size), k, t / size))
    np.testing.assert_array_equal(scan["kspace"].values, k)
    found = scan["trajectory"].values
    np.testing.assert_allclose(found[0] if slices > 1 else found, t, atol=1e-5)


def test_spokes_that_the_header_calls_cartesian_are_read_along_their_positions(tmp_path):
    path = write(tmp_path / "a.h5", header(kind="cartesian"), K, T / 16)
    np.testing.assert_array_equal(open_kspace(path)["kspace"].values, K)
    y, x = np.mgrid[-8:8, -8:8].astype(np.float32)
    lines = np.stack([y, x], -1)  # on the grid: positions that say no more than the counters
    on_grid = samples(1, 3, 16, 16)
    path = write(tmp_path / "b.h5", header(kind="cartesian"), on_grid, lines / 16)
    assert open_kspace(path)["kspace"].dims == ("slice", "coil", "ky", "kx")
