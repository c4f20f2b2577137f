"""Sinograms in HDF5: round trips, files of others, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from sciddm.data_adapters.ct import beam_of, build_sinogram, read_sinogram, save_sinogram
from sciddm.errors import InputError, OutputError
from sciddm.physics import FanBeam, ParallelBeam, even_angles

BEAMS = {
    "parallel": ParallelBeam(even_angles(6, math.pi), 5, 1.25, offset_mm=0.3125),
    "flat": FanBeam(
        even_angles(6), 5, 1.1, source_axis_mm=595.0, source_detector_mm=1085.6, detector="flat"
    ),
    "equiangular": FanBeam(
        (0.0, 0.3, 1.7, 2.0, 3.1, 6.0), 5, 1.2, source_axis_mm=500.0, source_detector_mm=900.0
    ),
}


def values() -> np.ndarray:
    return np.random.default_rng(1).random((3, 6, 5), np.float32)


def other_file(path: Path, **changes: object) -> Path:
    """As another program writes it: one slice, degrees, only what is needed."""
    with h5py.File(path, "w") as file:
        file["sinogram"] = values()[0].astype(np.float64)
        file["geometry/angles"] = np.arange(6) * 30.0
        file["geometry/angles"].attrs["units"] = "deg"
        file["geometry"].attrs.update({"beam": "parallel", "pitch_mm": 2.0})
        for key, value in changes.items():
            if value is None:
                del file[key]
            elif key in ("beam", "pitch_mm", "detector", "source_axis_mm", "source_detector_mm"):
                file["geometry"].attrs[key] = value
            elif key == "units":
                file["geometry/angles"].attrs["units"] = value
            elif key == "electronic_sd":
                file.attrs[key] = value
            else:
                if key in file:
                    del file[key]
                file[key] = value
    return path


@pytest.mark.parametrize("name", list(BEAMS))
def test_round_trip(tmp_path, name):
    beam = BEAMS[name]
    made = build_sinogram(
        values(),
        beam,
        incident_flux=np.linspace(1e4, 2e4, 5),
        z_mm=[0.0, 2.5, 5.0],
        electronic_sd=8.0,
        seed=3,
    )
    save_sinogram(made, tmp_path / "s.h5")
    again = read_sinogram(tmp_path / "s.h5")
    assert beam_of(again) == beam
    np.testing.assert_array_equal(again["sinogram"].values, values())
    assert again["sinogram"].dims == ("z", "view", "cell")
    np.testing.assert_array_equal(again["view"].values, beam.angles)
    np.testing.assert_array_equal(again["incident_flux"].values, np.linspace(1e4, 2e4, 5))
    np.testing.assert_array_equal(again["z"].values, [0.0, 2.5, 5.0])
    assert again.attrs["electronic_sd"] == 8
    assert again.attrs["seed"] == 3
    with pytest.raises(OutputError, match="exists"):
        save_sinogram(made, tmp_path / "s.h5")


def test_a_file_of_another_program(tmp_path):
    found = read_sinogram(other_file(tmp_path / "o.h5", incident_flux=5e4))
    beam = beam_of(found)
    assert isinstance(beam, ParallelBeam)
    assert beam.angles == pytest.approx(even_angles(6, math.pi))
    assert (beam.pitch_mm, beam.offset_mm, beam.cells) == (2.0, 0.0, 5)
    assert found["sinogram"].shape == (1, 6, 5)
    assert float(found["incident_flux"]) == 5e4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sinogram": None}, "no /sinogram"),
        ({"geometry/angles": None}, "lacks angles"),
        ({"geometry/angles": np.zeros(5)}, "angles for 6 views"),
        ({"units": "turns"}, "'turns'"),
        ({"beam": "cone"}, "'cone'"),
        ({"beam": "fan"}, "lacks source_axis_mm"),
        ({"pitch_mm": -1.0}, "impossible geometry"),
        (
            {
                "beam": "fan",
                "source_axis_mm": 5.0,
                "source_detector_mm": 9.0,
                "detector": "round",
            },
            "flat or equiangular",
        ),
        ({"sinogram": np.full((6, 5), np.nan)}, "NaN"),
        ({"sinogram": np.zeros(30)}, "not real"),
        ({"sinogram": np.zeros((6, 5), np.complex64)}, "not real"),
        ({"incident_flux": np.zeros(5)}, "incident_flux"),
        ({"incident_flux": np.ones(4)}, "incident_flux"),
        ({"z": np.zeros(2)}, "2,.* positions for 1"),
        ({"electronic_sd": -3.0}, "electronic_sd"),
    ],
)
def test_unusable_files(tmp_path, changes, message):
    path = other_file(tmp_path / "bad.h5", **changes)
    with pytest.raises(InputError, match=message) as caught:
        read_sinogram(path)
    assert "bad.h5" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_hdf5(tmp_path):
    (tmp_path / "a.h5").write_text("no")
    with pytest.raises(InputError, match="not an HDF5 file"):
        read_sinogram(tmp_path / "a.h5")
    with pytest.raises(InputError, match="no sinogram"):
        save_sinogram(read_sinogram(other_file(tmp_path / "o.h5")).drop_vars("sinogram"), "x.h5")
    with pytest.raises(ValueError, match="a sinogram of"):
        build_sinogram(values()[:, :4], BEAMS["flat"])


@pytest.mark.parametrize("name", ["incident_flux", "z", "geometry/angles"])
@pytest.mark.parametrize("value", ["text", np.nan, 1j])
def test_numbers_that_are_none(tmp_path, name, value):
    with pytest.raises(InputError, match=f"{name} holds no finite numbers"):
        read_sinogram(other_file(tmp_path / "s.h5", **{name: value}))
