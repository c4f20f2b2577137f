"""Evidence of haze in pictures: what it measures, and what it says of known pictures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from sciddm.physics.ultrasound.picture_evidence import FEATURES, evidence, features, judged
from sciddm.simulation.ultrasound.pictures import Curve, draw_scene

MASK = np.ones((240, 240), bool)
SHOWN = Curve(range_db=60.0)


def speckle(rng: np.random.Generator, lateral: float) -> np.ndarray:
    """Intensity of a complex Gaussian field with a beam of this width, mean 1."""
    field = rng.standard_normal((2, 240, 240))
    power = sum(ndimage.gaussian_filter(f, (1.0, lateral), mode="wrap") ** 2 for f in field)
    return power / power.mean()


def picture(haze: float, wider: float, floor: float = 1e-9, seed: int = 0) -> np.ndarray:
    """Bright and dark columns of tissue, under haze of this power relative to bright tissue."""
    rng = np.random.default_rng(seed)
    dark = (np.arange(240) // 40 % 2 == 1)[None]
    power = np.where(dark, floor, 1.0) * speckle(rng, 1.5) + haze * speckle(rng, 1.5 * wider)
    return np.asarray(SHOWN(10 * np.log10(power + 1e-9).astype(np.float32) - 10))


def test_wider_speckle_in_the_dark_is_measured():
    """Beams three times as wide: the autocorrelation of intensity is as much wider."""
    found = features(picture(0.01, 3.0), MASK)
    assert found is not None
    named = dict(zip(FEATURES, found, strict=True))
    # The sum of the correlation of log intensity grows nearly as the beam, up to the window.
    assert 0.6 < named["width ratio, mean"] < 1.3
    assert named["level difference, mean"] == pytest.approx(20 / 60, abs=0.05)
    assert abs(named["contrast ratio, mean"]) < 0.25  # one standard deviation of any field
    same = features(picture(0.01, 1.0), MASK)
    assert same is not None
    assert abs(dict(zip(FEATURES, same, strict=True))["width ratio, mean"]) < 0.2


def test_haze_in_the_dark_is_evidence_and_black_is_none():
    hazy = evidence([picture(0.03, 3.0)], MASK)
    black = evidence([picture(0.0, 3.0)], MASK)
    assert hazy is not None
    assert black is not None
    assert hazy > 0 > black


def test_narrow_speckle_in_the_dark_is_no_haze():
    """Dark places as bright as under haze, of speckle a third as wide: noise or ripples."""
    narrow = picture(0.03, 1 / 3)
    values = features(narrow, MASK)
    assert values is not None
    named = dict(zip(FEATURES, values, strict=True))
    assert named["width ratio, mean"] < -0.8
    wide = features(picture(0.03, 3.0), MASK)
    assert wide is not None
    assert judged([values]) < 0 < judged([wide])


def test_speckle_has_the_skewness_of_log_amplitude_and_its_axial_width():
    """The logarithm of an exponential variable has skewness -1.14; blurred axially, it is wider."""
    rng = np.random.default_rng(1)
    white = np.log(rng.exponential(size=(240, 240)))
    values = features(np.asarray(np.clip(0.5 + 0.05 * white, 0, 1), np.float32), MASK)
    assert values is not None
    named = dict(zip(FEATURES, values, strict=True))
    assert named["bright skewness"] == pytest.approx(-1.14, abs=0.15)
    assert named["level difference in speckle, mean"] < 1
    wide = features(picture(0.01, 1.0), MASK)
    assert wide is not None
    # Uncorrelated values have 1/2 pixel, in units of which the picture is 256 a side.
    assert dict(zip(FEATURES, wide, strict=True))["bright axial width"] > np.log(1.5)
    assert named["bright axial width"] == pytest.approx(np.log(0.5 * 256 / 232), abs=0.02)


def test_a_picture_without_contrast_shows_nothing():
    rng = np.random.default_rng(3)
    even = SHOWN(10 * np.log10(speckle(rng, 4.0)).astype(np.float32) - 12)
    found = evidence([even], MASK)
    assert found is not None
    assert found < 0


def test_a_small_part_tells_nothing():
    few = np.zeros((240, 240), bool)
    few[100:112, 100:112] = True
    assert evidence([picture(0.03, 3.0)], few) is None


def test_simulated_pictures():
    """Of five hearts without haze four show none at least; of strong haze most show it."""
    found: dict[bool, list[bool]] = {False: [], True: []}
    for seed in range(5):
        for haze in (None, -18.0):
            scene = draw_scene(np.random.default_rng([seed, 77]), haze, ("four-chamber",))
            value = evidence([SHOWN(scene.hazy_db)], scene.mask)
            assert value is not None
            found[haze is not None].append(value > 0)
    assert sum(found[False]) <= 1
    assert sum(found[True]) >= 3
