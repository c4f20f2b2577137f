"""The least residual of any image: against dense least squares, and as a bound."""

from __future__ import annotations

import pytest
import torch
from support import F64, randn

from sciddm.physics import CartesianMRI, Matrix, Measurement
from sciddm.physics.best_fit import best_fit

C128 = torch.complex128


def problem(rows: int, columns: int, sigma: float, condition: float = 1.0, seed: int = 0):
    """A measurement by a matrix, what dense least squares leave of it, and the truth."""
    left, _ = torch.linalg.qr(randn(rows, columns, seed=seed))
    right, _ = torch.linalg.qr(randn(columns, columns, seed=seed + 1))
    values = torch.logspace(0, -torch.log10(torch.tensor(condition)), columns, dtype=F64)
    H = left * values @ right.T
    truth = randn(columns, seed=seed + 2)
    y = H @ truth + sigma * randn(rows, seed=seed + 3)
    best = torch.linalg.lstsq(H, y[:, None]).solution[:, 0]
    return Measurement(y, Matrix(H), sigma), float((y - H @ best).square().sum()) / sigma**2, truth


@pytest.mark.parametrize("sigma", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("condition", [1.0, 30.0])
def test_the_misfit_is_that_of_dense_least_squares(sigma, condition):
    m, least, _ = problem(60, 30, sigma, condition)
    fit = best_fit(m, torch.zeros(30, dtype=F64), enough=0.0)
    assert fit.misfit == pytest.approx(least, rel=0.06)
    assert fit.bound <= least * (1 + 1e-9)
    assert fit.misfit == pytest.approx(float((m.residual(fit.image) / sigma).square().sum()), 1e-6)


def test_a_wrong_operator_keeps_its_floor_however_faint_the_noise():
    sigma, (m, _, truth) = 1e-5, problem(60, 30, 1e-5)
    wrong = Measurement(m.y + 100 * sigma * randn(60, seed=9), m.A, sigma)
    fit = best_fit(wrong, truth, enough=60.0)
    assert fit.misfit / 60 > 1000
    assert fit.bound > 0.9 * fit.misfit


def test_never_above_the_image_that_it_starts_from():
    m, least, truth = problem(60, 30, 1e-2, 1e4)
    for start in (truth, truth + randn(30, seed=5), torch.zeros(30, dtype=F64)):
        misfit = float((m.residual(start) / m.sigma).square().sum())
        fit = best_fit(m, start, enough=60.0)
        assert fit.misfit <= misfit
        assert fit.misfit >= least * (1 - 1e-9)


def test_an_image_that_explains_the_data_is_left_soon():
    m, _, truth = problem(60, 30, 1e-2, 1e4)
    early, late = (best_fit(m, truth, enough=e) for e in (1.5 * 60, 0.0))
    assert early.iterations < 0.7 * late.iterations
    assert early.misfit < 60


def test_scans_in_single_precision_reach_faint_noise():
    maps = randn(4, 16, 16, dtype=C128, seed=3)
    maps = (maps / torch.linalg.vector_norm(maps, dim=0)).to(torch.complex64)
    A = CartesianMRI(torch.ones(16, 16), maps)
    sigma = 1e-6
    y = A(randn(1, 16, 16, dtype=C128, seed=4)) + sigma * randn(4, 16, 16, dtype=C128, seed=5)
    start = torch.zeros(1, 16, 16, dtype=torch.complex64)
    fit = best_fit(Measurement(y.to(torch.complex64), A, sigma), start, enough=float(y.numel()))
    assert fit.image.dtype == torch.complex64
    assert fit.misfit < 1.2 * y.numel()
