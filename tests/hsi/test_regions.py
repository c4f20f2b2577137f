"""Regions of a cube: a mean for every band, and an index whose bands share their error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sciddm
from sciddm.data_adapters.hsi import build_cube
from sciddm.errors import OptionError
from sciddm.pipelines.engine.intervals import BETWEEN
from sciddm.simulation.hsi.pair import Wanted, simulate_pair


@pytest.fixture(scope="module")
def cube():
    made, _ = simulate_pair(Wanted(lines=24, samples=24, bands=16, case="none", seed=5))
    clean = made["cube"].values
    noisy = clean + 0.03 * np.random.default_rng(0).standard_normal(clean.shape)
    return build_cube(
        Path("scene"), noisy.astype(np.float32), form="test", wavelength=made["wavelength"].values
    )


def test_bands_and_an_index_have_intervals(cube):
    field = np.zeros((24, 24), np.uint8)
    field[4:14, 6:16] = 2
    result = sciddm.hsi.denoise(cube, quality="fast", roi=field)
    facts = result.facts
    means = result.estimate.values[:, field == 2].mean(1)
    np.testing.assert_allclose(facts["roi_2_mean"].value, means, rtol=1e-4)
    half = (np.array(facts["roi_2_high"].value) - facts["roi_2_low"].value) / 2
    std = result.std.values[:, field == 2].mean(1)
    # Between errors that are independent and ones that all pixels share.
    assert (half > 1.6449 * std / 10).all()
    assert (half < 1.6449 * std).all()
    assert result.data.encoding[BETWEEN].shape == (16, 16)

    def contrast(image):
        return float((image[10] - image[9]).values[field == 2].mean())

    both = result.interval(contrast, draws=60)
    expected = float(result.estimate[10].values[field == 2].mean()) - float(
        result.estimate[9].values[field == 2].mean()
    )
    assert both.mean == pytest.approx(expected, abs=1e-5)
    # Neighbouring bands err alike: their difference is surer than either.
    one = result.interval(lambda image: float(image[10].values[field == 2].mean()), draws=60)
    assert both.std < one.std


def test_a_method_without_calibrated_errors_is_named_before_it_runs(cube):
    with pytest.raises(OptionError, match="lowrank has no calibrated errors"):
        sciddm.hsi.denoise(cube, method="lowrank", roi=np.ones((24, 24), np.uint8))


def test_samples_take_another_solver(cube):
    own = sciddm.hsi.denoise(cube, quality="fast")
    other = sciddm.hsi.denoise(cube, quality="fast", sampler="ancestral", steps=2)
    assert other.attrs["sampler"] == "Ancestral (DDPM)"
    assert other.attrs["steps"] == 2
    assert "sampler" not in own.attrs
    assert "sampler ancestral" in other.verdict.calibrated.sentence
    np.testing.assert_array_equal(own.estimate, other.estimate)
    assert not np.array_equal(own.std, other.std)
    with pytest.raises(OptionError, match="lowrank takes none"):
        sciddm.hsi.denoise(cube, method="lowrank", steps=4)
    with pytest.raises(OptionError, match=r"adds no noise.*take ancestral or dpm-2m-sde"):
        sciddm.hsi.denoise(cube, sampler="heun")
