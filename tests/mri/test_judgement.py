"""Verdicts on reconstructions, from faint to strong noise, with right and wrong parts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor

from sciddm.physics import CartesianMRI, Measurement
from sciddm.pipelines.mri.judgement import (
    consistency_of,
    judgement,
    noise_remark,
    overstated_remark,
    vortex_remark,
)
from sciddm.pipelines.mri.sampling import OnGrid
from sciddm.posterior import Consistency, Posterior
from sciddm.simulation.mri.scan import coil_maps, simulate_scan
from sciddm.uncertainty.verdict import Finding, Verdict

SIDE = 48
LEVELS = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]


def disc() -> Tensor:
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    image = 0.5 * ((y / 0.8) ** 2 + (x / 0.6) ** 2 < 1) + 0.4 * (np.hypot(y + 0.2, x - 0.2) < 0.2)
    return torch.from_numpy(image).to(torch.complex64)[None]


def mask() -> Tensor:
    kept = np.zeros(SIDE, bool)
    kept[18:30] = True
    kept[np.random.default_rng(0).choice(np.flatnonzero(~kept), 6, replace=False)] = True
    return torch.from_numpy(np.broadcast_to(kept[:, None], (SIDE, SIDE)).copy())


def measurement(sigma: float, roll: int = 0) -> Measurement:
    """R = 2.7 with 6 coils; the operator's maps moved by some pixels from those of the scan."""
    maps = torch.from_numpy(coil_maps(6, (SIDE, SIDE), 0)).to(torch.complex64)
    generator = torch.Generator().manual_seed(1)
    noise = sigma * torch.randn(6, SIDE, SIDE, dtype=torch.complex64, generator=generator)
    y = CartesianMRI(mask(), maps)(disc()) + noise * mask()
    return Measurement(y, CartesianMRI(mask(), maps.roll(roll, -1)), sigma)


def samples(error: float) -> Posterior:
    generator = torch.Generator().manual_seed(2)
    noise = error * torch.randn(4, 1, 1, SIDE, SIDE, dtype=torch.complex64, generator=generator)
    return Posterior(disc()[None, None] + noise)


@pytest.mark.parametrize("sigma", LEVELS)
def test_the_truth_agrees_and_its_floor_lies_below_its_residual(sigma):
    told = consistency_of(measurement(sigma), samples(0.3 * sigma), mask())
    assert not told.contradicts
    assert not told.model_fails
    assert 0.6 < told.floor <= told.ratio < 1.2


@pytest.mark.parametrize("sigma", LEVELS)
def test_an_image_that_is_wrong_is_blamed_and_not_the_operator(sigma):
    told = consistency_of(measurement(sigma), samples(4 * sigma), mask())
    assert told.ratio > 1.5
    assert told.contradicts
    assert "image contradicts the data" in told.verdict
    assert told.floor < 1.05


@pytest.mark.parametrize("sigma", [1e-2, 1e-4])
def test_an_operator_that_is_wrong_is_blamed_and_not_the_image(sigma):
    m = measurement(sigma, roll=4)
    best = m.A.ridge(m.y, 1e-6, iterations=200)
    told = consistency_of(m, Posterior(best[None, None].expand(4, 1, 1, SIDE, SIDE)), mask())
    assert told.model_fails
    assert not told.contradicts
    assert told.floor <= told.ratio
    assert "operator does not explain" in told.verdict


def test_a_noise_level_far_from_what_the_scan_shows_is_named():
    scan = simulate_scan(disc()[0].real.numpy(), 6, snr_db=30, seed=0)
    true, own = scan.attrs["noise_std"], OnGrid(scan).own_noise_levels()
    assert noise_remark(true, own) is None
    for factor in (0.5, 2.0):
        sentence = noise_remark(factor * true, own)
        assert sentence is not None
        assert "noise level" in sentence
    assert noise_remark(2 * true, own[:1]) is None, "one part alone is no witness"
    signal = [true, 1.1 * true, 1.5 * true]  # the last part holds some of the object
    assert noise_remark(2 * true, signal) is not None
    assert noise_remark(1.3 * true, signal) is None
    assert noise_remark(2 * true, [true, 1.25 * true, 1.4 * true]) is not None


def test_attributes_hold_the_three_verdicts_and_every_reason():
    told = [consistency_of(measurement(1e-2), samples(s), mask()) for s in (0.003, 0.04)]
    calibrated = Finding("no", 1.6, 1.2, "Lines were not predicted.")
    attrs = judgement(told, ["The noise level is off."], calibrated, None, [], ["Another."])
    verdict = Verdict.from_attributes(attrs)
    assert (verdict.fits.answer, verdict.familiar.answer) == ("no", "not checked")
    assert "(slice 2)" in verdict.fits.sentence
    assert "noise level is off" in verdict.fits.sentence
    warnings = json.loads(attrs["warnings"])
    assert warnings == [verdict.fits.sentence, calibrated.sentence, "Another."]
    assert attrs["contradicts"] == 1
    good = judgement(told[:1], [], Finding(), None, [])
    assert json.loads(good["warnings"]) == []
    assert good["verdict_fits"] == "yes"


def test_a_vortex_of_given_maps_is_named_and_smooth_maps_are_not():
    maps = torch.from_numpy(coil_maps(6, (SIDE, SIDE), 0)).to(torch.complex64)[None]
    assert vortex_remark(maps, [disc()[0]]) is None
    y, x = np.mgrid[:SIDE, :SIDE]
    turn = torch.from_numpy(np.exp(1j * np.arctan2(y - 20.5, x - 22.5))).to(torch.complex64)
    sentence = vortex_remark(maps * turn, [disc()[0]])
    assert sentence is not None
    assert "1 phase vortices" in sentence


@pytest.mark.parametrize(("factor", "named"), [(1.0, False), (2.0, True), (3.0, True)])
def test_a_noise_level_that_no_image_leaves_is_overstated(factor: float, named: bool) -> None:
    """The least-squares image, which is nearest to its data, leaves the noise of M - P samples."""
    rng = np.random.default_rng(0)
    measured, unknowns = 1000, 400
    matrix = rng.standard_normal((measured, unknowns))
    data = matrix @ rng.standard_normal(unknowns) + rng.standard_normal(measured)
    left = data - matrix @ np.linalg.lstsq(matrix, data, rcond=None)[0]
    told = Consistency(float(np.sqrt((left**2).mean())) / factor, measured)
    remark = overstated_remark([told], [unknowns])
    assert (remark is not None) is named
    assert overstated_remark([Consistency(0.01, measured)], [measured]) is None
    assert overstated_remark([], []) is None


def test_a_fit_in_units_of_a_doubtful_noise_level_is_no_yes():
    good = Consistency(0.7, 1000, 0.6, 0.25)
    assert judgement([good], [], Finding(), None, [])["verdict_fits"] == "yes"
    attrs = judgement([good], [], Finding(), None, [], doubt="Nothing shows the noise.")
    assert attrs["verdict_fits"] == "not checked"
    assert json.loads(attrs["warnings"]) == ["Nothing shows the noise."]
    bad = Consistency(3.0, 1000, 0.9, 0.25)
    assert judgement([bad], [], Finding(), None, [], doubt="D.")["verdict_fits"] == "no"
