"""The score of distribution shift: Gaussian data of the law, and of another covariance."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from sciddm.denoiser import NetworkDenoiser
from sciddm.process import EDM
from sciddm.uncertainty.shift import FeatureLaw, pooled_features

N, RANK, REST = 12, 3, 0.3


def law_and_root() -> tuple[FeatureLaw, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.standard_normal((N, N)))[0][:RANK]
    law = FeatureLaw(rng.standard_normal(N), directions, np.array([9.0, 4.0, 2.0]), REST)
    full = REST * np.eye(N) + directions.T @ np.diag(law.variances - REST) @ directions
    return law, full, np.linalg.cholesky(full)


def test_distance_is_mahalanobis():
    law, full, _ = law_and_root()
    f = np.random.default_rng(1).standard_normal((5, N))
    apart = f - law.mean
    exact = np.einsum("ki,ij,kj->k", apart, np.linalg.inv(full), apart) / N
    np.testing.assert_allclose(law.distance(f), exact, rtol=1e-12)


def test_data_of_another_covariance_raise_it_at_the_known_rate():
    """E d = tr(Sigma^-1 Sigma') / n, 1 for data of the law."""
    law, full, root = law_and_root()
    rng = np.random.default_rng(2)
    z = rng.standard_normal((40_000, N))
    assert law.distance(law.mean + z @ root.T).mean() == pytest.approx(1, abs=0.01)
    other = rng.standard_normal((N, N)) / 2
    expected = np.trace(np.linalg.inv(full) @ other @ other.T) / N
    assert expected > 2
    assert law.distance(law.mean + z @ other.T).mean() == pytest.approx(expected, rel=0.02)


def test_fit_finds_the_law_that_made_the_features():
    law, _, root = law_and_root()
    z = np.random.default_rng(3).standard_normal((40_000, N))
    found = FeatureLaw.fit(law.mean + z @ root.T, RANK)
    np.testing.assert_allclose(found.variances, law.variances, rtol=0.03)
    assert found.rest == pytest.approx(REST, rel=0.02)
    overlap = np.linalg.svd(found.directions @ law.directions.T)[1]
    np.testing.assert_allclose(overlap, 1, atol=1e-3)


def test_round_trip_through_json():
    law = law_and_root()[0]
    again = FeatureLaw.from_json(json.loads(json.dumps(law.to_json())))
    f = np.random.default_rng(4).standard_normal((3, N))
    np.testing.assert_allclose(again.distance(f), law.distance(f), rtol=1e-5)
    for broken in ({}, {**law.to_json(), "mean": "no"}, {**law.to_json(), "directions": "AAAA"}):
        with pytest.raises(ValueError, match="law of features"):
            FeatureLaw.from_json(broken)


class Ramp(nn.Module):
    """Its layer "inner" has known channels: the input, and its square, on half the grid."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.AvgPool2d(2)

    def forward(self, x: torch.Tensor, level: torch.Tensor, cond: None = None) -> torch.Tensor:
        self.inner(torch.cat([x, x**2], dim=1))
        return x


def test_features_are_means_and_deviations_over_the_object_at_the_asked_noise_level():
    denoiser = NetworkDenoiser(Ramp(), EDM(), "x0")
    x = torch.zeros(1, 1, 8, 8)
    x[..., :2, :], x[..., 2:4, :] = 3.0, 5.0
    noise = torch.full_like(x, 2.0)
    found = pooled_features(denoiser, x, noise, 0.5, "inner", level=0.1)
    # 3 + 0.5 x 2 and 5 + 0.5 x 2, of the object only: 4 and 6, their squares 16 and 36.
    np.testing.assert_allclose(found, [[5.0, 26.0, 1.0, 10.0]], rtol=1e-5)
    with pytest.raises(ValueError, match="no layer"):
        pooled_features(denoiser, x, noise, 0.5, "outer", level=0.1)


def test_a_denoiser_of_estimates_is_shown_the_image_itself():
    class Beside(Ramp):
        def forward(self, x, level, cond=None):
            self.inner(torch.cat([cond, x], dim=1))
            return x

    denoiser = NetworkDenoiser(Beside(), EDM(), "x0", estimate_errors=[0.1])
    x = torch.full((1, 1, 8, 8), 3.0)
    found = pooled_features(denoiser, x, torch.full_like(x, 2.0), 0.5, "inner", level=0.1)
    np.testing.assert_allclose(found, [[3.0, 4.0, 0.0, 0.0]], atol=1e-5)


@pytest.mark.parametrize(("items", "rank"), [(5, 5), (20, 12), (20, 0)])
def test_too_few_items_for_the_rank(items, rank):
    with pytest.raises(ValueError, match="directions"):
        FeatureLaw.fit(np.random.default_rng(0).standard_normal((items, N)), rank)
