"""The image that sampling starts from, against its optimality conditions and a known truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciddm.classical.tv_measurement import (
    _adjoint_gradient,
    _gradient,
    starting_image,
    total_variation,
)
from sciddm.physics import CartesianMRI, Matrix, Measurement
from sciddm.physics.mri.masks import make_mask
from sciddm.simulation.mri.scan import coil_maps

WEIGHT, SIGMA = 3e-3, 1e-3


def problem(size: int = 24) -> tuple[Measurement, CartesianMRI, torch.Tensor]:
    """Blocks of constant level, three coils, one line in three."""
    truth = torch.zeros(1, 1, size, size, dtype=torch.complex128)
    truth[..., 5:17, 4:20] = 1.0
    truth[..., 8:12, 8:14] = 0.4 + 0.2j
    maps = torch.from_numpy(coil_maps(3, (size, size), seed=1)).to(torch.complex128)
    mask = torch.from_numpy(make_mask("random", (size, size), 3, 4, seed=2))
    operator = CartesianMRI(mask, maps)
    return Measurement(operator(truth)[0], operator, SIGMA), operator, truth


def test_differences_and_their_adjoint():
    x = torch.randn(1, 1, 6, 8, dtype=torch.complex128)
    g = torch.randn(2, 1, 1, 6, 8, dtype=torch.complex128)
    left = (g.conj() * _gradient(x)).sum()
    right = (_adjoint_gradient(g).conj() * x).sum()
    assert torch.allclose(left, right, atol=1e-10)


def test_it_is_the_minimiser():
    """No small change in any direction makes the objective smaller, and it has converged."""
    m, operator, _ = problem()

    def objective(x: torch.Tensor) -> float:
        misfit = (operator(x) - m.y).abs().square().sum() / 2
        return float(misfit + WEIGHT * _gradient(x).abs().sum())

    found = total_variation(m, 4000, WEIGHT)
    least = objective(found)
    assert objective(total_variation(m, 8000, WEIGHT)) == pytest.approx(least, rel=1e-4)
    generator = torch.Generator().manual_seed(3)
    for size in (1e-3, 1e-2):
        for _ in range(5):
            step = torch.randn(found.shape, dtype=found.dtype, generator=generator)
            assert objective(found + size * step) > least
    assert objective(torch.zeros_like(found)) > 2 * least


def test_the_weight_follows_the_noise():
    """Noise that two coils at R = 3 cannot suppress is smoothed away; clean data are as before."""
    clean, _, _ = problem()
    assert torch.equal(total_variation(clean, 50), total_variation(clean, 50, 3e-4))
    _, three, truth = problem(48)
    maps = three.maps[:2] / torch.linalg.vector_norm(three.maps[:2], dim=0)
    operator = CartesianMRI(three.mask, maps)
    generator = torch.Generator().manual_seed(5)
    for sigma in (0.05, 0.1):
        y = operator(truth)[0]
        white = torch.randn(y.shape, dtype=y.dtype, generator=generator)
        m = Measurement(y + sigma * three.mask * white, operator, sigma)
        errors = {
            weight: float(torch.linalg.vector_norm(total_variation(m, 200, weight) - truth))
            for weight in (None, 3e-4, 0.3)
        }
        assert errors[None] < 0.8 * min(errors[3e-4], errors[0.3])


def test_along_spokes_it_is_the_minimiser_too():
    pytest.importorskip("pytorch_finufft", reason="needs the extra noncartesian")
    from sciddm.physics.noncartesian import NonCartesianMRI
    from sciddm.physics.trajectories import radial

    _, cartesian, truth = problem()
    spokes = torch.from_numpy(radial(9, 48, 24)).double()
    operator = NonCartesianMRI(spokes, cartesian.maps)
    m = Measurement(operator(truth)[0], operator, SIGMA)

    def objective(x: torch.Tensor) -> float:
        misfit = (operator(x) - m.y).abs().square().sum() / 2
        return float(misfit + WEIGHT * _gradient(x).abs().sum())

    few, many, more = (objective(total_variation(m, n, WEIGHT)) for n in (60, 600, 1200))
    assert more == pytest.approx(many, rel=1e-3)
    assert few < 1.1 * more
    assert few < objective(starting_image(m, 0)) / 2
    assert more < objective(truth)


def test_blocks_come_back_from_a_third_of_the_lines():
    m, _, truth = problem()
    error = [
        float((image - truth).abs().square().mean().sqrt())
        for image in (starting_image(m, 0), starting_image(m, 2000))
    ]
    assert error[0] > 0.05
    assert error[1] < error[0] / 5
    few = starting_image(m, 30)
    assert error[1] < float((few - truth).abs().square().mean().sqrt()) < error[0]


def test_operators_that_are_no_grid_start_from_least_squares():
    a = torch.randn(5, 4, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    y = torch.ones(5, dtype=torch.complex128)
    found = starting_image(Measurement(y, Matrix(a), 0.1), 100)[0]
    expected = torch.linalg.solve(a.mH @ a + 0.1 * torch.eye(4), a.mH @ y)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-6)
