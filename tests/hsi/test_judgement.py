"""Verdicts on a result: each can be "no"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciddm.data_adapters.hsi import build_cube
from sciddm.pipelines.hsi import HyperspectralDenoising
from sciddm.pipelines.hsi.methods import Estimate, Fitted, Method
from sciddm.pipelines.hsi.methods.finch import Finch
from sciddm.pipelines.hsi.methods.whole import statistics_of
from sciddm.uncertainty.verdict import Verdict

BANDS, SIDE, SIGMA = 16, 48, 0.02


def noisy(seed=0):
    rng = np.random.default_rng(seed)
    share = gaussian_filter(rng.random((SIDE, SIDE)), 3)
    share = (share - share.min()) / np.ptp(share)
    one, two = np.linspace(0.2, 0.6, BANDS), np.linspace(0.5, 0.3, BANDS)
    clean = share * one[:, None, None] + (1 - share) * two[:, None, None]
    return (clean + SIGMA * rng.standard_normal(clean.shape)).astype(np.float32)


class Stated(Method):
    """Least squares on the two spectra, with an error and a standard deviation as stated."""

    name = "stated"
    has_std = True

    def __init__(self, error, std):
        self.error, self.std = error, std

    def fit(self, statistics):
        return FittedStated(self.error, self.std)


class FittedStated(Fitted):
    halo = 0
    attributes = {"method": "stated"}  # noqa: RUF012

    def __init__(self, error, std):
        self.error, self.std = error, std

    def apply(self, tile, seed=0, progress=None):
        one, two = np.linspace(0.2, 0.6, BANDS), np.linspace(0.5, 0.3, BANDS)
        spectra = np.stack([one, two], 1)
        flat = tile.values.reshape(BANDS, -1)
        found = (spectra @ np.linalg.lstsq(spectra, flat, rcond=None)[0]).reshape(tile.values.shape)
        off = self.error * np.random.default_rng(1).standard_normal(found.shape)
        values = tile.inner((found + off).astype(np.float32))
        return Estimate(values, np.full_like(values, self.std))


def verdict(error, std):
    scene = build_cube(Path("s.hdr"), noisy(), form="t")
    return Verdict.from_attributes(HyperspectralDenoising(Stated(error, std))(scene).attrs)


def test_an_honest_result():
    found = verdict(0.03, 0.03)
    assert found.calibrated.answer == "yes"
    # (y - x)^2 is that of noise and error, so is the standard deviation's share.
    assert found.calibrated.figure == pytest.approx(1.0, abs=0.12)
    assert found.familiar.answer == "not checked"


def test_intervals_that_are_too_narrow():
    found = verdict(0.03, 0.003)
    assert found.calibrated.answer == "no"
    assert found.calibrated.figure == pytest.approx(np.hypot(0.02, 0.03) / 0.0202, rel=0.12)


def test_an_estimate_that_does_not_fit():
    assert verdict(0.002, 0.003).fits.answer == "yes"
    assert verdict(0.06, 0.003).fits.answer == "no"


def test_what_is_never_shown_is_not_checked():
    scene = build_cube(Path("s.hdr"), noisy(), form="t")
    found = Verdict.from_attributes(HyperspectralDenoising("lowrank")(scene).attrs)
    assert found.calibrated.answer == "not checked"
    assert found.fits.answer == "yes"


def test_images_that_are_unlike_those_of_training_are_unfamiliar_and_their_std_says_so():
    """Fields are like training; a checkerboard in strong noise is not."""
    rng = np.random.default_rng(3)
    one, two = np.linspace(0.2, 0.6, BANDS), np.linspace(0.5, 0.3, BANDS)
    fields = gaussian_filter(rng.random((SIDE, SIDE)), 3)
    for share, answer in ((fields, "yes"), (np.indices((SIDE, SIDE)).sum(axis=0) % 2, "no")):
        share = 0.5 + 0.12 * (share - share.mean()) / share.std()
        clean = share * one[:, None, None] + (1 - share) * two[:, None, None]
        cube = (clean + 0.1 * rng.standard_normal(clean.shape)).astype(np.float32)
        result = HyperspectralDenoising("subspace")(
            build_cube(Path("s.hdr"), cube, form="t"), quality="fast"
        )
        found = Verdict.from_attributes(result.attrs).familiar
        assert found.answer == answer
        assert found.figure == result.attrs["std_factor"]
        miss = np.abs(result["cube"].values - clean)
        assert (miss < 1.645 * result["std"].values).mean() > 0.82


@pytest.mark.parametrize(
    ("nm", "answer"),
    [
        (np.linspace(905, 1695, BANDS), "yes"),
        (np.linspace(400, 2450, BANDS), "no"),
        (None, "not checked"),
    ],
)
def test_finch_knows_the_wavelengths_it_was_trained_on(nm, answer):
    cube = noisy().astype(np.float64)
    known = statistics_of(cube, np.ones(cube.shape, bool), np.full(BANDS, SIGMA), nm)
    assert Finch().fit(known).familiarity().answer == answer
