"""Padding: out as it came, bit for bit, and without a say in any estimate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from ct_helpers import BoxDenoiser, disk_volume

from sciddm.geometry.surround import constant_surround
from sciddm.pipelines.ct import CTDenoising
from sciddm.pipelines.ct.methods.base import Estimate
from sciddm.pipelines.ct.settings import FILTER, SCORE, FilterSettings, ScoreSettings
from sciddm.pipelines.ct.simulate import low_dose_volume

CIRCLE = np.hypot(*np.ogrid[-23.5:24, -23.5:24]) < 22


def padded(value: float, declared: bool) -> xr.DataArray:
    """A disk of water in air; outside a circle the scanner has measured nothing."""
    volume = disk_volume()
    volume.values[:, ~CIRCLE] = value
    padding = np.broadcast_to(~CIRCLE, volume.shape)
    return volume.assign_coords(padding=(("z", "y", "x"), padding)) if declared else volume


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "constant surround"])
@pytest.mark.parametrize("strength", [0.0, 0.6, 1.0])
def test_padding_is_kept_and_does_not_pull(declared, strength):
    """The same tissue next to -2000 and to -3024 gives the same bits inside."""
    inside = []
    for value in (-2000.0, -3024.0):
        volume = padded(value, declared)
        run = BoxDenoiser().open(
            volume, method="residual", quality="fast", seed=0, strength=strength
        )
        result = run.dataset()
        np.testing.assert_array_equal(result["denoised"].values[:, ~CIRCLE], np.float32(value))
        np.testing.assert_array_equal(result["flags"], np.broadcast_to(~CIRCLE, volume.shape))
        assert not result["std"].values[:, ~CIRCLE].any()
        assert "padding" not in result.coords
        inside.append(result["denoised"].values[:, CIRCLE])
    np.testing.assert_array_equal(*inside)


@pytest.mark.parametrize("method", ["filter2noise", "noise2score"])
def test_methods_that_learn_from_the_image_do_not_learn_from_padding(method, monkeypatch):
    # The bits are the same or not from the first step on.
    monkeypatch.setitem(SCORE, "fast", ScoreSettings(15))
    monkeypatch.setitem(FILTER, "fast", FilterSettings(15))
    results = [
        CTDenoising()(padded(value, True), method=method, quality="fast", seed=1)["denoised"]
        for value in (-2000.0, -3024.0)
    ]
    np.testing.assert_array_equal(*(r.values[:, CIRCLE] for r in results))
    np.testing.assert_array_equal(results[0].values[:, ~CIRCLE], -2000)


def test_a_volume_without_padding_has_no_flags():
    run = BoxDenoiser().open(disk_volume(), method="residual", quality="fast", seed=0, strength=1)
    assert "flags" not in run.dataset()


def test_a_simulated_dose_leaves_padding():
    low = low_dose_volume(padded(-2000.0, True), 0.5, noise_hu=10.0, views=30)
    assert (low.values[:, ~CIRCLE] == -2000).all()
    assert low.values[:, CIRCLE].std() > 0
    assert bool(low.coords["padding"].any())


def test_surrounds_are_told_from_chance():
    rng = np.random.default_rng(0)
    noise = np.rint(rng.normal(-1000, 15, (64, 64)))
    noise[[0, -1], [0, -1]] = -1000  # equal by chance
    assert constant_surround(noise) is None
    ring = np.where(np.hypot(*np.ogrid[-32:32, -32:32]) < 31, noise, -3024)
    np.testing.assert_array_equal(constant_surround(ring), ring == -3024)
    assert constant_surround(np.where(np.arange(64) > 60, -1024.0, noise)) is not None


def test_the_method_sees_air():
    seen = []

    class Spy(BoxDenoiser):
        def __call__(self, stack, index, seed, tick):
            seen.append(stack.slice(index))
            tick("")
            return Estimate(torch.zeros(stack.shape))

    Spy().open(padded(-2000.0, True), method="x", quality="fast", seed=0, strength=1).dataset()
    assert all((image[~torch.from_numpy(CIRCLE)] == -1000).all() for image in seen)
