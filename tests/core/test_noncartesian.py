"""Fourier transforms off the grid: the direct sum, the grid itself, the normal operator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sciddm.physics.fourier import fft2c
from sciddm.physics.trajectories import GOLDEN_ANGLE, radial, spiral

pytest.importorskip("pytorch_finufft", reason="needs the extra noncartesian")

from sciddm.physics.noncartesian import NonCartesianMRI
from sciddm.physics.nufft import density_compensation, nufft

C128 = torch.complex128


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=C128, generator=torch.Generator().manual_seed(seed))


def positions(size: tuple[int, int]) -> torch.Tensor:
    """(pixel, 2), from the centre."""
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)


def matrix(trajectory: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """E, written out: (sample, pixel)."""
    phase = trajectory.reshape(-1, 2) @ (positions(size) / torch.tensor(size)).T
    return torch.exp(-2j * math.pi * phase) / math.sqrt(size[0] * size[1])


SIZES = [(8, 8), (9, 8), (8, 11), (7, 9)]
TRAJECTORIES = {
    "golden radial": lambda n: radial(5, 12, n),
    "even radial": lambda n: radial(4, n, n, golden=False, first=0.3),
    "spiral": lambda n: spiral(3, 20, n, 2.5, power=1.5),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_operator_is_the_direct_sum(name, size):
    t = torch.from_numpy(TRAJECTORIES[name](min(size)))
    maps, x = randn(3, *size), randn(2, 1, *size, seed=1)
    A = NonCartesianMRI(t, maps)
    E = matrix(t, size)
    y = ((maps * x).flatten(-2) @ E.T).unflatten(-1, t.shape[:2])
    torch.testing.assert_close(A(x), y, atol=1e-10, rtol=0)
    v = randn(*y.shape, seed=2)
    left, right = ((y.conj() * v).sum((1, 2, 3)), (x.conj() * A.adjoint(v)).sum((1, 2, 3)))
    torch.testing.assert_close(left, right, atol=1e-9, rtol=0)
    torch.testing.assert_close(A.gram(x), A.adjoint(A(x)), atol=1e-9, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_on_the_grid_it_is_the_centred_fft_and_needs_no_compensation(size):
    k = positions(size)
    x = randn(2, *size)
    torch.testing.assert_close(nufft(x, k), fft2c(x).flatten(-2), atol=1e-10, rtol=0)
    torch.testing.assert_close(density_compensation(k, size), torch.ones(len(k)).double())


def test_compensation_of_even_spokes_is_the_ring_divided_by_them():
    """pi |k| / spokes times the step along the spoke, away from the centre and the edge."""
    spokes, n = 101, 64
    t = torch.from_numpy(radial(spokes, 2 * n, n, golden=False))
    w = density_compensation(t.reshape(-1, 2), (n, n)).reshape(spokes, -1)
    radius = torch.linalg.vector_norm(t, dim=-1)
    inside = (radius > 3) & (radius < 28)
    error = (w / (math.pi * radius / spokes * 0.5) - 1).abs()[inside]
    # Ends of neighbouring spokes overlap where the half turn closes.
    assert float(error.quantile(0.98)) < 0.03
    assert float(error.max()) < 0.12
    # Single weights at the crowded centre hardly matter; their sum is the disc they stand for.
    for limit in (10.25, 20.25):
        area = math.pi * limit**2
        assert float(w[radius < limit].sum()) == pytest.approx(area, rel=0.02)


def test_solve_is_the_inverse():
    size = (8, 9)
    t, maps = torch.from_numpy(radial(7, 16, 8)), randn(2, *size)
    A, rhs = NonCartesianMRI(t, maps), randn(1, *size, seed=3)
    columns = torch.stack([matrix(t, size) * m.flatten() for m in maps]).flatten(0, 1)
    dense = columns.mH @ columns + 0.1 * torch.eye(72)
    exact = torch.linalg.solve(dense, rhs.flatten()).reshape(rhs.shape)
    torch.testing.assert_close(A.solve(rhs, 0.1, iterations=250), exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.complex64])
def test_single_precision(dtype):
    size, t = (16, 15), radial(9, 32, 15)
    maps, x = randn(2, *size), randn(1, *size, seed=1)
    exact = NonCartesianMRI(torch.from_numpy(t), maps)(x)
    single = NonCartesianMRI(torch.from_numpy(t).float(), maps.to(dtype))(x.to(dtype))
    assert float((single - exact).norm() / exact.norm()) < 1e-5


def test_what_the_image_cannot_hold_is_refused():
    for size in ((8, 8), (10, 6)):
        with pytest.raises(ValueError, match="leaves the k-space"):
            NonCartesianMRI(torch.from_numpy(radial(4, 16, 12)), size=size)
    with pytest.raises(ValueError, match="size"):
        NonCartesianMRI(torch.from_numpy(radial(4, 16, 8)))


def test_other_coils_of_the_same_trajectory():
    t, size = torch.from_numpy(radial(6, 16, 8)), (8, 9)
    single = NonCartesianMRI(t, size=size)
    maps, x = randn(3, *size), randn(2, 1, *size, seed=1)
    fresh, shared = NonCartesianMRI(t, maps), single.with_maps(maps)
    torch.testing.assert_close(shared(x), fresh(x))
    torch.testing.assert_close(shared.gram(x), fresh.gram(x))
    assert single.maps is None
    with pytest.raises(ValueError, match="maps"):
        single.with_maps(maps[:, 1:])


# Trajectories ------------------------------------------------------------------------------------


def test_golden_angle_is_published_and_fills_the_half_turn_evenly():
    assert math.degrees(GOLDEN_ANGLE) == pytest.approx(111.246, abs=1e-3)
    for spokes in (8, 13, 21, 50):
        t = radial(spokes, 4, 4)
        angles = np.sort(np.arctan2(t[:, -1, 0], t[:, -1, 1]) % math.pi)
        gaps = np.diff(np.append(angles, angles[0] + math.pi))
        # Any number of golden-angle spokes: at most three gaps, in golden proportion at most
        # 1 : 1.618 : 2.618 (three-gap theorem).
        assert gaps.max() / gaps.min() < 2.62


def test_spokes_pass_the_centre_and_spirals_start_there():
    t = radial(5, 12, 8)
    np.testing.assert_allclose(t[:, 6], 0, atol=1e-12)
    np.testing.assert_allclose(np.hypot(*t[:, 0].T), 4)
    s = spiral(4, 100, 16, 3)
    np.testing.assert_allclose(s[:, 0], 0)
    np.testing.assert_allclose(np.hypot(*s[:, 50].T), 4)  # half way, Archimedean
    # After one turn the winding is size / (2 turns) further out.
    third = np.hypot(*spiral(1, 300, 16, 3)[0].T)
    np.testing.assert_allclose(third[100:] - third[:-100], 16 / 6)
