"""Simulated scenes are the mixtures that they say they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sciddm.data_adapters.hsi.library import read_library
from sciddm.errors import InputError
from sciddm.simulation.hsi.scene import (
    CLASSES,
    Library,
    Sensor,
    finch_sensor,
    respond,
    simulate_scene,
)

EARTHLIB = (
    Path(os.environ.get("SCIDDM_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    / "hyperspectral"
    / "earthlib_optimized_317x180.npz"
)


def library():
    wavelength = np.arange(400, 2460, 10.0)
    rng = np.random.default_rng(0)
    spectra = {
        name: np.clip(
            rng.uniform(0.2, 0.6, (5, 1)) + 0.1 * np.sin(wavelength / rng.uniform(80, 300, (5, 1))),
            0,
            1,
        )
        for name in CLASSES
    }
    return Library(wavelength, spectra)


def test_the_cube_is_the_mixture():
    scene = simulate_scene(library(), (37, 52), np.random.default_rng(1))
    abundance = scene["abundance"].values
    np.testing.assert_allclose(abundance.sum(axis=0), 1, rtol=1e-5)
    assert abundance.min() >= 0
    mixed = np.einsum("mb,myx->byx", scene["endmembers"], abundance) * scene["illumination"].values
    np.testing.assert_allclose(scene["cube"], mixed, rtol=1e-5)
    assert float(scene["illumination"].mean()) == pytest.approx(1, rel=1e-5)
    assert set(scene["class"].values) == set(CLASSES)
    materials = scene.sizes["material"]
    singular = np.linalg.svd(scene["cube"].values.reshape(80, -1).astype(float), compute_uv=False)
    assert singular[materials] < 1e-5 * singular[0]


def test_seeded():
    first, same, other = (
        simulate_scene(library(), (20, 30), np.random.default_rng(s))["cube"].values
        for s in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.01


def test_sharp_scenes_are_purer():
    purity = [
        simulate_scene(library(), (40, 40), np.random.default_rng(2), sharpness=s)["abundance"]
        .max("material").mean().item()
        for s in (0, 1, 10)
    ]  # fmt: skip
    materials = simulate_scene(library(), (40, 40), np.random.default_rng(2)).sizes["material"]
    assert purity[0] == pytest.approx(1 / materials, rel=1e-5)
    assert purity[0] < purity[1] < 0.9 < purity[2]


def test_bands_of_finch():
    sensor = finch_sensor()
    assert len(sensor.centre_nm) == 80
    assert sensor.centre_nm[[0, -1]].tolist() == [905, 1695]
    assert set(sensor.fwhm_nm) == {10}


def test_response_to_known_spectra():
    wavelength = np.arange(800, 1801, 2.0)
    line = 1e-3 * wavelength
    bump = np.exp(-0.5 * ((wavelength - 1200) / 20) ** 2)
    both = np.stack([line, bump])
    held = Library(wavelength, dict.fromkeys(CLASSES, both))
    sensor = Sensor(np.array([1000.0, 1200.0]), np.array([10.0, 47.0965]))
    seen = respond(held, sensor)["soil"]
    # A symmetric response keeps a line; two Gaussians of 20 nm give one of 28.3 nm.
    np.testing.assert_allclose(seen[0], [1.0, 1.2], rtol=1e-6)
    assert seen[1, 1] == pytest.approx(20 / np.hypot(20, 20), rel=1e-3)


def test_bad_libraries(tmp_path):
    held = library()
    with pytest.raises(InputError, match="covers 400 to 2450 nm"):
        respond(held, Sensor(np.array([300.0]), np.array([10.0])))
    with pytest.raises(InputError, match="class residue"):
        respond(Library(held.wavelength_nm, {**held.spectra, "residue": np.empty((0, 206))}),
                finch_sensor())  # fmt: skip
    np.savez(tmp_path / "a.npz", reflectance=np.zeros((1, 2)))
    with pytest.raises(InputError, match="wavelength_um, level2"):
        read_library(tmp_path / "a.npz")


@pytest.mark.skipif(not EARTHLIB.exists(), reason=f"{EARTHLIB} is not there")
def test_earthlib():
    held = read_library(EARTHLIB)
    assert [len(held.spectra[c]) for c in CLASSES] == [103, 42, 69]
    scene = simulate_scene(held, (24, 31), np.random.default_rng(0))
    assert 0 < float(scene["cube"].min()) < float(scene["cube"].max()) < 1.5
