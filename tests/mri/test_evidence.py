"""sciddm.evidence: a density of the scan's own samples, larger for the right noise level."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

import sciddm
from sciddm.denoiser import Denoiser
from sciddm.errors import InputError
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri.kept_out import predicted
from sciddm.pipelines.mri.sampling import sampling_of
from sciddm.pipelines.mri.settings import QUALITIES
from sciddm.process import EDM
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import coil_maps, simulate_scan, undersample

SHAPE = (32, 32)


class Smooth(Denoiser):
    """Shrinks: a poor prior, but one that costs nothing."""

    process, data_std, sees_estimate = EDM(), 0.5, False

    def forward(self, x_t, t, y=None, cond=None):
        return x_t / (1 + float(self.process.sigma(t)) ** 2)


def score(scan: xr.Dataset, variance: float, maps: torch.Tensor) -> float:
    source = sampling_of(scan)
    settings = QUALITIES["fast"]
    covariance = torch.eye(4, dtype=torch.complex64) * variance
    encoded = source.encode(0, covariance, maps, settings.iterations)
    found = predicted(Smooth(), encoded, *source.lines(0), settings, 2.0, 0, 0)
    return found.log_score


@pytest.fixture(scope="module")
def scan() -> tuple[xr.Dataset, float, torch.Tensor]:
    head = np.reshape(head_phantom(SHAPE, seed=3, contrast="t2"), SHAPE)
    full = simulate_scan(head, 4, 20.0, seed=1)
    power = float((abs(full["kspace"].values) ** 2).mean())
    mask = make_mask("random", SHAPE, 1.4, 6, seed=2)
    maps = torch.from_numpy(coil_maps(4, SHAPE, seed=1))
    return undersample(full, mask), power / 101, maps


def test_the_score_is_a_density_in_the_units_of_the_scan(scan):
    data, noise, maps = scan
    there = score(data, noise, maps)
    larger = data.assign(kspace=data["kspace"] * 10)
    count = predicted_count(data, noise, maps)
    # A density of data ten times as large is 10^2 lower for each complex sample.
    assert score(larger, 100 * noise, maps) == pytest.approx(
        there - 2 * count * math.log(10), rel=1e-3
    )


def predicted_count(scan, variance, maps) -> int:
    source = sampling_of(scan)
    covariance = torch.eye(4, dtype=torch.complex64) * variance
    encoded = source.encode(0, covariance, maps, 8)
    found = predicted(Smooth(), encoded, *source.lines(0), QUALITIES["fast"], 2.0, 0, 0)
    return found.count


def test_maps_of_another_place_explain_less(scan):
    data, noise, maps = scan
    true = score(data, noise, maps)
    assert true > score(data, noise, maps.flip(-1))
    assert true > score(data, 16 * noise, maps)


def test_a_result_without_it_says_where_it_is():
    result = sciddm.hsi.simulate(lines=8, samples=8, bands=4)
    with pytest.raises(InputError, match="of `mri reconstruct` and `ct reconstruct`"):
        sciddm.evidence(result)
