"""Procedural spectra have the features by which the field tells the materials apart."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.simulation.hsi.procedural_spectra import procedural_spectra
from sciddm.simulation.hsi.scene import bundled_library, finch_sensor, respond

WAVELENGTH = np.arange(400.0, 2500.1, 5.0)
SPECTRA = procedural_spectra(WAVELENGTH, count=64, seed=1)


def at(spectra: np.ndarray, nm: float) -> np.ndarray:
    return spectra[:, int(np.argmin(np.abs(WAVELENGTH - nm)))]


def depth(spectra: np.ndarray, left: float, centre: float, right: float) -> np.ndarray:
    """1 - r / continuum, the continuum a straight line between the shoulders."""
    share = (centre - left) / (right - left)
    return 1 - at(spectra, centre) / ((1 - share) * at(spectra, left) + share * at(spectra, right))


def ndvi(spectra: np.ndarray) -> np.ndarray:
    red, near = at(spectra, 670), at(spectra, 800)
    return (near - red) / (near + red)


def test_they_are_reflectances_and_repeatable():
    for name, values in SPECTRA.items():
        assert values.min() > 0, name
        assert values.max() < 0.7, name
        assert (values.std(axis=0) > 1e-3).all(), name
    again = procedural_spectra(WAVELENGTH, count=64, seed=1)
    assert all(np.array_equal(again[name], values) for name, values in SPECTRA.items())


def test_only_leaves_are_green():
    assert ndvi(SPECTRA["green"]).min() > 0.6
    assert ndvi(SPECTRA["soil"]).max() < 0.35
    assert ndvi(SPECTRA["residue"]).max() < 0.35
    leaves = SPECTRA["green"]
    assert (at(leaves, 550) > at(leaves, 670)).all()


@pytest.mark.parametrize(
    ("material", "band"),
    [
        ("green", (1100, 1190, 1270)),  # liquid water
        ("green", (1300, 1450, 1650)),
        ("residue", (2020, 2100, 2200)),  # cellulose
        ("soil", (2150, 2205, 2260)),  # clay
    ],
)
def test_absorption_where_the_material_has_it(material, band):
    own = depth(SPECTRA[material], *band)
    assert own.min() > 0
    for other in set(SPECTRA) - {material}:
        assert np.median(own) > 2 * np.median(depth(SPECTRA[other], *band))


def test_they_cover_the_sensor():
    seen = respond(bundled_library(), finch_sensor())
    assert {name: values.shape[1] for name, values in seen.items()} == {
        "soil": 80,
        "residue": 80,
        "green": 80,
    }
