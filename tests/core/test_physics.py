"""Operators: one test for every linear operator, against its own dense matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import F64, randn
from torch import Tensor

from sciddm.ledger import tally
from sciddm.physics import (
    CartesianMRI,
    ChannelNoise,
    DelayAndSum,
    Diagonal,
    FanBeam,
    Identity,
    IndependentNoise,
    Linear,
    Mask,
    Matrix,
    Measurement,
    Operator,
    ParallelBeam,
    Projector,
    SampledLines,
    Scaling,
    Superposition,
    TransmitWave,
    as_lines,
    even_angles,
)
from sciddm.physics.cg import conjugate_gradient, conjugate_gradient_image
from sciddm.physics.fourier import fft2c, fftc, ifft2c, ifftc

C128 = torch.complex128


def normalised_maps(coils: int, ny: int, nx: int, seed: int = 3) -> Tensor:
    maps = randn(coils, ny, nx, seed=seed, dtype=C128)
    return maps / maps.abs().square().sum(0, keepdim=True).sqrt()


def line_mask(ny: int, nx: int, seed: int = 5) -> Tensor:
    keep = torch.rand(ny, generator=torch.Generator().manual_seed(seed)) < 0.5
    keep[ny // 2] = True
    return keep[:, None].expand(ny, nx)


def covariance(n: int, dtype: torch.dtype, seed: int = 8) -> Tensor:
    root = randn(n, n, seed=seed, dtype=dtype)
    return root @ root.mH + 0.3 * torch.eye(n, dtype=dtype)


@dataclass(frozen=True)
class Case:
    """An operator, the shape and type of one element of its domain, and a batch it takes.

    ``conditioned``: whether conjugate gradients reach its pseudo-inverse in a few steps.
    """

    make: Callable[[int, int], Linear]
    domain: Callable[[int, int], tuple[int, ...]]
    dtype: torch.dtype
    batch: tuple[int, ...] = (2,)
    conditioned: bool = True


def image(ny: int, nx: int) -> tuple[int, ...]:
    return (1, ny, nx)


def mri(coils: int | None) -> Callable[[int, int], Linear]:
    return lambda ny, nx: CartesianMRI(
        line_mask(ny, nx), None if coils is None else normalised_maps(coils, ny, nx)
    )


def mri_batch_of_masks(ny: int, nx: int) -> Linear:
    masks = torch.stack([line_mask(ny, nx, 1), line_mask(ny, nx, 2)])
    return CartesianMRI(masks[:, None], normalised_maps(3, ny, nx))


def whitening(dtype: torch.dtype) -> Callable[[int, int], Linear]:
    return lambda ny, nx: ChannelNoise(covariance(3, dtype)).whitening()


def mri_of_half(ny: int, nx: int) -> Linear:
    # Sensitivities that vanish over half of the image: the operator loses it.
    maps = normalised_maps(2, ny, nx)
    maps[:, :, : nx // 2] = 0
    return CartesianMRI(line_mask(ny, nx), maps)


def lines_of_mri(axis: int) -> Callable[[int, int], Linear]:
    def make(ny: int, nx: int) -> Linear:
        mask = line_mask(ny, nx) if axis == -2 else line_mask(nx, ny).T
        A = CartesianMRI(mask, normalised_maps(2, ny, nx))
        lines = as_lines(Measurement(randn(2, ny, nx, dtype=C128), A, 1.0)).A
        assert isinstance(lines, SampledLines)
        return lines

    return make


def projector(views: int, arc: float, detector: str | None = None) -> Callable[[int, int], Linear]:
    def make(ny: int, nx: int) -> Linear:
        angles = even_angles(views, arc, 0.1)
        if detector is None:
            beam = ParallelBeam(angles, 7, 1.1)
        else:
            distances = {"source_axis_mm": 20.0, "source_detector_mm": 40.0}
            beam = FanBeam(angles, 7, 2.3, offset_mm=0.4, detector=detector, **distances)
        return Projector(beam, (ny, nx), 1.3, dtype=F64)

    return make


def three(ny: int, nx: int) -> tuple[int, ...]:
    return (3, ny, nx)


def waves(carrier: float) -> Callable[[int, int], Linear]:
    """Lengths in samples; some delays lie before and behind the data."""
    return lambda ny, nx: DelayAndSum(
        torch.tensor([-1.0, 0.9]),
        [TransmitWave(-0.2), TransmitWave(0.15, -0.8, 0.2, (0.0, 0.1), (-0.9, 1.1))],
        6,
        1.0,
        0.7 * torch.arange(1, ny + 1),
        torch.linspace(-1.5, 1.0, nx),
        c=1.0,
        t0=torch.tensor([0.3, 1.1]),
        carrier=carrier,
        f_number=0.6,
        dtype=F64,
    )


PROJECTORS = {
    f"Projector, {name}": Case(projector(*scan), image, F64, batch, conditioned=False)
    for name, scan, batch in (
        ("parallel", (5, math.pi), (2, 3)),
        ("quarter turns", (8, 2 * math.pi), (2, 3)),
        ("half a turn, backwards", (6, -math.pi), (2,)),
        ("three quarters", (6, 1.5 * math.pi), (2,)),
        ("flat fan", (4, 2 * math.pi, "flat"), (2,)),
        ("equiangular fan", (7, 2 * math.pi, "equiangular"), (2,)),
    )
}

OPERATORS = {
    "Identity": Case(lambda ny, nx: Identity(), image, F64),
    "Identity, complex": Case(lambda ny, nx: Identity(), image, C128),
    "Scaling": Case(lambda ny, nx: Scaling(1.3), image, F64),
    "Scaling, complex": Case(lambda ny, nx: Scaling(0.6 - 1.1j), image, C128),
    "Diagonal": Case(lambda ny, nx: Diagonal(randn(1, ny, nx)), image, F64),
    "Diagonal, complex": Case(lambda ny, nx: Diagonal(randn(1, ny, nx, dtype=C128)), image, C128),
    "Mask": Case(lambda ny, nx: Mask(line_mask(ny, nx)), image, F64),
    "Mask, complex": Case(lambda ny, nx: Mask(line_mask(ny, nx)), image, C128),
    "Matrix, wide": Case(lambda m, n: Matrix(randn(m, n + m)), lambda m, n: (n + m,), F64),
    "Matrix, tall": Case(lambda m, n: Matrix(randn(m + n, n)), lambda m, n: (n,), F64),
    "Matrix, complex": Case(lambda m, n: Matrix(randn(m, n, dtype=C128)), lambda m, n: (n,), C128),
    "MRI, one coil": Case(mri(None), image, C128),
    "MRI, one map": Case(mri(1), image, C128),
    "MRI, four coils": Case(mri(4), image, C128, (2, 3)),
    "MRI, a mask per item": Case(mri_batch_of_masks, image, C128),
    "SampledLines": Case(lines_of_mri(-2), image, C128, (2, 3)),
    "SampledLines, along y": Case(lines_of_mri(-1), image, C128),
    "MRI, blind half": Case(mri_of_half, image, C128),
    "Whitening": Case(whitening(F64), three, F64),
    "Whitening, complex": Case(whitening(C128), three, C128),
    "Weights": Case(
        lambda ny, nx: IndependentNoise(randn(1, ny, nx).clamp(min=0) + 1e-3).whitening(),
        image,
        F64,
    ),
    "Superposition": Case(lambda ny, nx: Superposition([1.0, 0.7, -0.2]), three, F64),
    "Superposition, weighted": Case(
        lambda ny, nx: Superposition([randn(1, ny, nx, dtype=C128), randn(1, ny, nx, seed=4)]),
        lambda ny, nx: (2, ny, nx),
        C128,
    ),
    "DelayAndSum": Case(waves(0.0), lambda ny, nx: (2, 2, 6), F64, conditioned=False),
    "DelayAndSum, baseband": Case(
        waves(0.9), lambda ny, nx: (2, 2, 6), C128, (2, 2), conditioned=False
    ),
    **PROJECTORS,
    "Composition": Case(
        lambda ny, nx: ChannelNoise(covariance(3, C128)).whitening() @ mri(3)(ny, nx), image, C128
    ),
    "Composition of three": Case(
        lambda ny, nx: Scaling(2.0j) @ mri(2)(ny, nx) @ Diagonal(randn(1, ny, nx, dtype=C128)),
        image,
        C128,
    ),
    "Adjoint": Case(lambda m, n: Matrix(randn(m, n, dtype=C128)).H, lambda m, n: (m,), C128),
    "Adjoint of MRI": Case(lambda ny, nx: mri(3)(ny, nx).H, three, C128),
}

every_operator = pytest.mark.parametrize("case", OPERATORS.values(), ids=list(OPERATORS))
sizes = {"ny": st.integers(2, 6), "nx": st.integers(2, 6), "seed": st.integers(0, 1000)}


def dot(u: Tensor, v: Tensor, ndim: int) -> Tensor:
    """<u, v> per item, written apart from the package's."""
    return (torch.conj(u) * v).flatten(u.ndim - ndim).sum(-1)


def dense(A: Linear, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A's matrix (range, domain), column by column; A must take any batch."""
    n = math.prod(shape)
    columns = A(torch.eye(n, dtype=dtype).reshape(n, *shape))
    return columns.reshape(n, -1).T


@every_operator
@given(**sizes)
@settings(max_examples=6, deadline=None)
def test_linear(case: Case, ny: int, nx: int, seed: int):
    """Adjoint, linearity, gram, VJP, solve and pseudo-inverse of every linear operator."""
    A, shape = case.make(ny, nx), case.domain(ny, nx)
    x, x2 = (randn(*case.batch, *shape, seed=seed + i, dtype=case.dtype) for i in range(2))
    before = x.clone()
    out = A(x)
    y = randn(*out.shape, seed=seed + 2, dtype=out.dtype)

    # An operator changes neither itself nor its input.
    assert torch.equal(A(x), out)
    assert torch.equal(x, before)

    # Linear over the field of its values, and adjoint with the conjugate.
    c = 0.7 - 1.9j if case.dtype.is_complex else -1.9
    assert torch.allclose(A(x + c * x2), out + c * A(x2))
    back = A.adjoint(y)
    assert back.shape == x.shape
    assert torch.allclose(
        dot(out, y, A.range_ndim), dot(x, back, A.domain_ndim), rtol=1e-10, atol=1e-10
    )
    assert torch.equal(A.H(y), back)
    assert torch.equal(A.H.adjoint(x), out)
    assert torch.equal(A.H.H(x), out)

    # Gram, and the VJP against automatic differentiation of the forward operator.
    gram = A.gram(x)
    assert torch.allclose(gram, A.adjoint(A(x)))
    assert (dot(x, gram, A.domain_ndim).real >= -1e-12).all()
    assert torch.allclose(Operator.vjp(A, x, y), A.vjp(x, y))
    assert torch.allclose(A.vjp(x2, y), back)

    # Every item of a batch as if it were alone, where the operator has no batch of its own.
    if case is not OPERATORS["MRI, a mask per item"]:
        assert torch.allclose(A(x[1]), out[1])
        H = dense(A, shape, case.dtype)
        flat = x.flatten(x.ndim - A.domain_ndim)
        n = H.shape[1]
        eye = torch.eye(n, dtype=case.dtype)
        for rho in (0.05, 1.0, 30.0):
            expected = torch.linalg.solve(H.mH @ H + rho * eye, flat[..., None])[..., 0]
            solved = A.solve(x, rho, iterations=2 * n)
            assert torch.allclose(solved.flatten(x.ndim - A.domain_ndim), expected, atol=1e-7)
            ridge = A.ridge(y, rho, iterations=2 * n)
            assert torch.allclose(ridge, A.solve(back, rho, iterations=2 * n), atol=1e-7)
        if case.conditioned:
            expected = y.flatten(y.ndim - A.range_ndim) @ torch.linalg.pinv(H, rtol=1e-8).mT
            pinv = A.pinv(y, iterations=2 * n).flatten(x.ndim - A.domain_ndim)
            # As a solution of least squares; the pseudo-inverse itself can be ill conditioned.
            assert torch.allclose(pinv @ H.mT, expected @ H.mT, atol=2e-5)

    # A regularisation per item.
    rho = torch.tensor([0.2, 5.0], dtype=F64).reshape(2, *(1,) * (x.ndim - 1))
    both = A.solve(x, rho, iterations=max(40, 6 * math.prod(shape)))
    residual = A.gram(both) + rho * both - x
    assert residual.abs().max() < 1e-6


@pytest.mark.parametrize(
    "name",
    [
        "Identity",
        "Scaling",
        "Scaling, complex",
        "Mask",
        "Diagonal",
        "Matrix",
        "MRI, one coil",
        "MRI, three coils",
        "Whitening",
    ],
)
def test_single_precision_stays_single(name):
    """float32 and complex64 go in and come out, close to the result in double precision."""
    C64, F32 = torch.complex64, torch.float32
    mask, maps, C = line_mask(6, 5), normalised_maps(3, 6, 5), covariance(3, C128)
    d, H = randn(1, 6, 5, dtype=C128), randn(4, 5)
    single, double, shape, dtype = {
        "Identity": (Identity(), Identity(), (1, 6, 5), F32),
        "Scaling": (Scaling(1.3), Scaling(1.3), (1, 6, 5), F32),
        "Scaling, complex": (Scaling(1.3j), Scaling(1.3j), (1, 6, 5), C64),
        "Mask": (Mask(mask), Mask(mask), (1, 6, 5), F32),
        "Diagonal": (Diagonal(d.to(C64)), Diagonal(d), (1, 6, 5), C64),
        "Matrix": (Matrix(H.float()), Matrix(H), (5,), F32),
        "MRI, one coil": (CartesianMRI(mask), CartesianMRI(mask), (1, 6, 5), C64),
        "MRI, three coils": (
            CartesianMRI(mask, maps.to(C64)),
            CartesianMRI(mask, maps),
            (1, 6, 5),
            C64,
        ),
        "Whitening": (
            ChannelNoise(C.to(C64)).whitening(),
            ChannelNoise(C).whitening(),
            (3, 6, 5),
            C64,
        ),
    }[name]
    x = randn(2, *shape, dtype=C128 if dtype == C64 else F64)
    for f in (
        lambda A, v: A(v),
        lambda A, v: A.gram(v),
        lambda A, v: A.solve(v, 0.3),
        lambda A, v: A.ridge(A(v), 0.3),
    ):
        out, exact = f(single, x.to(dtype)), f(double, x)
        assert out.dtype == dtype
        assert exact.dtype == x.dtype
        assert torch.allclose(out.to(exact.dtype), exact, atol=1e-4)
    assert double(x).abs().max() > 0


def test_scaling_is_exact_in_double_precision():
    x = randn(1, 2, 2)
    assert torch.equal(Scaling(1.3)(x), 1.3 * x)


def test_mask_per_item_equals_one_operator_per_mask():
    ny, nx = 6, 5
    A = mri_batch_of_masks(ny, nx)
    x = randn(2, 1, ny, nx, dtype=C128)
    rhs = randn(2, 1, ny, nx, seed=1, dtype=C128)
    for i, seed in enumerate((1, 2)):
        alone = CartesianMRI(line_mask(ny, nx, seed), normalised_maps(3, ny, nx))
        assert torch.allclose(A(x)[i], alone(x[i]))
        assert torch.allclose(
            A.solve(rhs, 0.1, iterations=9)[i], alone.solve(rhs[i], 0.1, iterations=9)
        )


def test_minimum_norm_of_the_pseudo_inverse():
    H = randn(3, 7)
    y = randn(2, 3, seed=1)
    x = Matrix(H).pinv(y)
    assert torch.allclose(x, y @ torch.linalg.pinv(H).T)
    A = CartesianMRI(line_mask(8, 6))
    k = A(randn(1, 8, 6, dtype=C128))
    assert torch.allclose(A.pinv(k), ifft2c(k))  # zero filling is the minimum norm for one coil


def test_calls_are_counted_once_each():
    A = CartesianMRI(line_mask(4, 4), normalised_maps(2, 4, 4))
    x = randn(1, 4, 4, dtype=C128)
    with tally() as cost:
        A.adjoint(A(x))
        A.gram(x)
        A.solve(x, 0.1, iterations=5)
    assert cost.noperator == 2 + 2 + 5 * 2
    with tally() as cost:
        (Scaling(2.0) @ A)(x)
    assert cost.noperator == 1
    with tally() as cost:
        CartesianMRI(line_mask(4, 4)).solve(x, 0.1)  # closed form
    assert cost.noperator == 0


def test_operators_that_do_not_fit():
    with pytest.raises(ValueError, match="Matrix takes elements of 1"):
        Matrix(randn(2, 3)) @ Identity()
    with pytest.raises(ValueError, match="differ in size"):
        CartesianMRI(line_mask(4, 4), normalised_maps(2, 4, 5))


# Conjugate gradients ----------------------------------------------------------------------------


@given(n=st.integers(1, 6), batch=st.integers(1, 4), steps=st.integers(0, 8), cplx=st.booleans())
@settings(max_examples=30, deadline=None)
def test_cg_on_a_batch_equals_each_alone(n, batch, steps, cplx):
    dtype = C128 if cplx else F64
    M = covariance(n, dtype)
    # Items of very different sizes, one of them zero: no item may steer another's steps.
    rhs = randn(batch, n, dtype=dtype) * torch.tensor([1e6, 1.0, 1e-6, 0.0])[:batch, None]

    def run(b: Tensor) -> Tensor:
        return conjugate_gradient(lambda v: v @ M.mT, b, 1, steps)

    together = run(rhs)
    for i in range(batch):
        alone = run(rhs[i : i + 1])[0]
        assert torch.allclose(together[i], alone, rtol=1e-9, atol=0)
    assert torch.isfinite(torch.view_as_real(together) if cplx else together).all()
    if steps >= n:
        exact = torch.linalg.solve(M, rhs[..., None])[..., 0]
        assert torch.allclose(together, exact, rtol=1e-5, atol=1e-9 * float(rhs.abs().max()))


def test_cg_error_falls_as_its_bound():
    """|e_k|_M <= 2 ((sqrt(kappa) - 1)/(sqrt(kappa) + 1))^k |e_0|_M, and it is close to it."""
    eigenvalues = torch.linspace(0.1, 10, 60, dtype=F64)
    rhs = eigenvalues.sqrt()[None] * randn(1, 60)
    exact = rhs / eigenvalues
    ratio = (math.sqrt(100) - 1) / (math.sqrt(100) + 1)
    start = float((eigenvalues * exact**2).sum().sqrt())
    for k in (5, 10, 20, 30):
        x = conjugate_gradient(lambda v: eigenvalues * v, rhs, 1, k)
        error = float((eigenvalues * (x - exact) ** 2).sum().sqrt())
        assert error <= 2 * ratio**k * start * (1 + 1e-9)


def test_cg_starts_where_it_is_told():
    M = covariance(5, C128)
    rhs, start = randn(2, 5, dtype=C128), randn(2, 5, seed=1, dtype=C128)
    exact = torch.linalg.solve(M, rhs[..., None])[..., 0]

    def run(steps: int, x: Tensor) -> Tensor:
        return conjugate_gradient(lambda v: v @ M.mT, rhs, 1, steps, x)

    assert torch.equal(run(0, start), start)
    assert torch.allclose(run(8, start), exact)
    assert torch.allclose(run(1, exact), exact)  # nothing left to do: no blow-up


@pytest.mark.parametrize("dtype", [torch.complex64, C128])
def test_cg_beyond_convergence_on_a_singular_system(dtype):
    """Steps after convergence must not walk off along the null space."""
    eps = torch.finfo(dtype).eps
    for seed in range(8):
        factor = randn(12, 5, seed=seed, dtype=dtype)
        M = factor @ factor.mH
        rhs = randn(4, 12, seed=seed + 50, dtype=dtype) @ M.mT  # in the range, as A^H y is
        inverse = torch.linalg.pinv(M.to(C128), hermitian=True, rtol=1e-5)
        exact = rhs.to(C128) @ inverse.mT
        for steps in (8, 20, 100):
            x = conjugate_gradient(lambda v, M=M: v @ M.mT, rhs, 1, steps)
            error = (x.to(C128) - exact).norm(dim=1) / exact.norm(dim=1)
            assert error.max() < 100 * eps


def test_cg_with_an_image_is_cg_and_then_the_product():
    rhs, B = randn(3, 8, dtype=C128), randn(5, 8, seed=3, dtype=C128)
    Q = torch.linalg.qr(randn(8, 8, seed=1, dtype=C128)).Q
    M = Q @ torch.diag(torch.logspace(-2, 2, 8, dtype=F64).to(C128)) @ Q.mH
    zero = torch.zeros(3, 5, dtype=C128)
    for k, floor in ((1, 0.0), (3, 0.01), (6, 0.01)):
        got = conjugate_gradient_image(lambda v: (v @ M.mT, v @ B.mT), rhs, zero, 1, k, floor)
        last = conjugate_gradient(lambda v: v @ M.mT, rhs, 1, k)
        assert torch.allclose(got, last @ B.mT)


def test_cg_stops_where_the_curvature_is_below_the_floor():
    """One item meets the fault in its second direction, the other never."""
    M = torch.diag(torch.tensor([4.0, 3.0, 0.2, 2.0], dtype=F64))
    rhs = torch.tensor([[1.0, 0.0, 3.0, 0.0], [1.0, 1.0, 0.0, 1.0]], dtype=F64)
    eye, zero = torch.eye(4, dtype=F64), torch.zeros(2, 4, dtype=F64)

    def solve(steps: int, floor: float) -> Tensor:
        return conjugate_gradient_image(lambda v: (v @ M, v @ eye), rhs, zero, 1, steps, floor)

    # By hand: the first item's first direction is (1, 0, 3, 0) of curvature (4 + 9 * 0.2) / 10;
    # its second direction is nearly (0, 0, 1, 0) of curvature near 0.2.
    first = rhs[0] * 10 / (4 + 9 * 0.2)
    assert torch.allclose(solve(4, 0.5)[0], first)
    assert torch.allclose(solve(4, 0.5)[1], rhs[1] / M.diagonal())
    assert torch.allclose(solve(4, 0.15), rhs / M.diagonal())


@pytest.mark.parametrize(("ny", "nx"), [(4, 6), (6, 6), (2, 4), (5, 6), (3, 7)])
def test_cartesian_mri_is_coils_then_centred_fourier_then_mask(ny, nx):
    torch.manual_seed(0)
    mask = torch.rand(ny, nx) < 0.6
    maps, x = randn(3, ny, nx, seed=1, dtype=C128), randn(2, 1, ny, nx, seed=2, dtype=C128)
    assert torch.allclose(CartesianMRI(mask, maps)(x), mask * fft2c(maps * x))


@pytest.mark.parametrize("axis", [-2, -1])
@pytest.mark.parametrize(("ny", "nx"), [(6, 7), (7, 6), (5, 9), (8, 4)])
def test_lines_pose_the_same_least_squares(axis, ny, nx):
    mask = line_mask(ny, nx) if axis == -2 else line_mask(nx, ny).T
    A = CartesianMRI(mask, normalised_maps(3, ny, nx))
    x, y = randn(2, 1, ny, nx, seed=1, dtype=C128), mask * randn(3, ny, nx, seed=2, dtype=C128)
    m = as_lines(Measurement(y, A, 0.3, iterations=7))
    B, z = m.A, m.y
    assert (m.sigma, m.iterations) == (0.3, 7)
    assert z.numel() == 3 * int(mask.sum())
    assert torch.allclose(B.adjoint(B(x) - z), A.adjoint(A(x) - y))
    misfits = [(a(x) - b).abs().square().sum((-3, -2, -1)) for a, b in ((A, y), (B, z))]
    assert torch.allclose(*misfits)


@pytest.mark.parametrize("axis", [-2, -1])
def test_lines_of_one_coil_are_solved_in_closed_form(axis):
    """By one step of conjugate gradients they would not be."""
    mask = line_mask(6, 7) if axis == -2 else line_mask(7, 6).T
    phase = torch.polar(torch.ones(1, 6, 7, dtype=F64), randn(1, 6, 7))
    y, x = mask * randn(1, 6, 7, seed=2, dtype=C128), randn(2, 1, 6, 7, seed=1, dtype=C128)
    m = Measurement(y, CartesianMRI(mask, phase), 0.3, iterations=1)
    lines = as_lines(m)
    assert isinstance(lines.A, SampledLines)
    z = lines.prox(x, 0.2)
    gradient = m.grad(z) + (z - x) / 0.2  # of what prox minimises
    assert torch.allclose(gradient, torch.zeros_like(gradient), atol=1e-12)
    assert torch.allclose(z, m.prox(x, 0.2))


def test_only_whole_lines_of_coils_are_lines():
    maps, y = normalised_maps(2, 4, 6), randn(2, 4, 6, dtype=C128)
    points = line_mask(4, 6).clone()
    points[2, 3] = ~points[2, 3]
    for A in (CartesianMRI(points, maps), CartesianMRI(line_mask(4, 6))):
        m = Measurement(y, A, 1.0)
        assert as_lines(m) is m


@pytest.mark.parametrize("lines", ["ky", "kx", "both", "all"])
@pytest.mark.parametrize(("ny", "nx"), [(6, 7), (5, 8)])
def test_gram_of_cartesian_mri_is_adjoint_after_forward(lines, ny, nx):
    torch.manual_seed(0)
    y, x = torch.rand(ny) < 0.5, torch.rand(nx) < 0.5
    mask = {
        "ky": y[:, None].expand(ny, nx),
        "kx": x.expand(ny, nx),
        "both": torch.rand(2, 1, ny, nx) < 0.5,
        "all": torch.ones(ny, nx, dtype=torch.bool),
    }[lines]
    A = CartesianMRI(mask, randn(3, ny, nx, seed=1, dtype=C128))
    v = randn(2, 1, ny, nx, seed=2, dtype=C128)
    assert torch.allclose(A.gram(v), A.adjoint(A(v)))


# Fourier ----------------------------------------------------------------------------------------


@given(ny=st.integers(1, 9), nx=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_fourier_is_centred_and_unitary(ny, nx):
    # A constant is DC, at N // 2, odd and even.
    k = fft2c(torch.ones(ny, nx, dtype=C128))
    assert k[ny // 2, nx // 2].item() == pytest.approx(math.sqrt(ny * nx))
    k[ny // 2, nx // 2] = 0
    assert k.abs().max() < 1e-12
    # A point in the centre of the image has a flat spectrum without phase.
    point = torch.zeros(ny, nx, dtype=C128)
    point[ny // 2, nx // 2] = 1
    assert torch.allclose(fft2c(point), torch.full_like(point, 1 / math.sqrt(ny * nx)))
    x = randn(2, ny, nx, dtype=C128)
    assert torch.allclose(ifft2c(fft2c(x)), x)
    assert float(fft2c(x).norm()) == pytest.approx(float(x.norm()))


@pytest.mark.parametrize(("ny", "nx"), [(6, 8), (7, 5), (6, 5)])
def test_fourier_against_the_written_sum(ny, nx):
    """k[p, q] = (1/sqrt(N)) sum x[m, n] e^{-2 pi i (p' m'/ny + q' n'/nx)}, primes from N // 2."""

    def kernel(n: int) -> Tensor:
        i = torch.arange(n, dtype=F64) - n // 2
        return torch.exp(-2j * math.pi * torch.outer(i, i) / n) / math.sqrt(n)

    x = randn(3, ny, nx, dtype=C128)
    assert torch.allclose(fft2c(x), kernel(ny) @ x @ kernel(nx).T)
    assert torch.allclose(fftc(x, (-1,)), x @ kernel(nx).T)
    assert torch.allclose(ifftc(x, (-2,)), kernel(ny).conj().T @ x)


# MRI --------------------------------------------------------------------------------------------


def test_single_coil_prox_replaces_the_sampled_lines():
    """With a weak prior (lambda = 1 in the literature) the data replace their own entries."""
    mask = line_mask(8, 6)
    A = CartesianMRI(mask)
    x, y = randn(1, 1, 8, 6, dtype=C128), A(randn(1, 1, 8, 6, seed=4, dtype=C128))
    k = fft2c(Measurement(y, A, 0.1).prox(x, 1e12))
    assert torch.allclose(k, torch.where(mask, y, fft2c(x)))
    # In single precision too, where rounding must not be blown up by r2 / sigma^2.
    single = Measurement(y.to(torch.complex64), A, 0.1).prox(x.to(torch.complex64), 1e6)
    assert torch.allclose(fft2c(single).to(C128), torch.where(mask, y, fft2c(x)), atol=1e-5)
    # And with variances r2 and sigma^2 they are averaged by their precisions.
    k = fft2c(Measurement(y, A, 0.5).prox(x, 0.75))
    assert torch.allclose(
        k, torch.where(mask, (y / 0.25 + fft2c(x) / 0.75) / (4 + 4 / 3), fft2c(x))
    )


def test_mri_forward_against_the_written_equation():
    ny, nx = 5, 6
    maps, mask = normalised_maps(3, ny, nx), line_mask(ny, nx)
    x = randn(1, ny, nx, dtype=C128)
    out = CartesianMRI(mask, maps)(x)
    for c in range(3):
        assert torch.allclose(out[c], fft2c(maps[c] * x[0]) * mask)
    # A phase in the maps alone must not change the closed form of one coil.
    phase = torch.exp(1j * randn(1, ny, nx))
    one, rhs = CartesianMRI(mask, phase), randn(1, ny, nx, seed=2, dtype=C128)
    solved = one.solve(rhs, 0.3)
    assert torch.allclose(one.gram(solved) + 0.3 * solved, rhs)


# Noise ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [F64, C128])
def test_prewhitening_gives_identity_covariance(dtype):
    C = covariance(4, dtype)
    noise = ChannelNoise(C)
    n = 40_000
    coloured = noise.draw(randn(4, 200, 200, dtype=dtype))
    flat = coloured.flatten(1)
    margin = 4 * 1.5 * float(C.abs().max()) / math.sqrt(n)
    assert (flat @ flat.mH / n - C).abs().max() < margin
    W = noise.whitening()
    white = W(coloured).flatten(1)
    assert (white @ white.mH / n - torch.eye(4, dtype=dtype)).abs().max() < 4 * 1.5 / math.sqrt(n)
    # Without sampling error: W C W^H = I, and white data are unchanged noise.
    assert torch.allclose(W.matrix @ C @ W.matrix.mH, torch.eye(4, dtype=dtype), atol=1e-12)


def test_whitening_other_axes():
    C = covariance(3, F64)
    x = randn(2, 3, 5)
    along = ChannelNoise(C, axis=-2).whitening(ndim=2)(x)
    assert torch.allclose(along, torch.linalg.inv(torch.linalg.cholesky(C)) @ x)


@pytest.mark.parametrize(
    "bad",
    [
        torch.tensor([[1.0, 2.0], [2.0, 1.0]]),  # indefinite
        torch.tensor([[1.0, 0.5], [0.1, 1.0]]),  # not symmetric
        torch.zeros(2, 2),
    ],
)
def test_impossible_covariance(bad):
    with pytest.raises(ValueError, match="Hermitian positive definite"):
        ChannelNoise(bad)


def test_statistical_weights_are_inverse_variances():
    weights = torch.tensor([[4.0, 0.25, 0.0]], dtype=F64)
    noise = IndependentNoise(weights)
    z = randn(20_000, 1, 3)
    drawn = noise.draw(z)
    assert torch.allclose(drawn[:, 0, :2], z[:, 0, :2] * torch.tensor([0.5, 2.0], dtype=F64))
    assert (drawn[:, 0, 2] == 0).all()
    assert torch.allclose(noise.whitening(2)(drawn)[:, 0, :2], z[:, 0, :2])
    for bad in (torch.tensor([1.0, -1.0]), torch.tensor([1.0, math.inf]), torch.zeros(2)):
        with pytest.raises(ValueError, match="statistical weights"):
            IndependentNoise(bad)


def test_weights_of_logarithms_of_counts():
    """200 mm of water at 20 000 quanta: 366.3 arrive, and the logarithm varies by 0.0522."""
    counts = torch.tensor([20_000 * math.exp(-4.0), 0.0], dtype=F64)
    assert float(counts[0]) == pytest.approx(366.3, abs=0.05)
    poisson = IndependentNoise.of_log_counts(counts).weights
    assert float(poisson[0] ** -0.5) == pytest.approx(0.0522, abs=5e-5)
    electronic = IndependentNoise.of_log_counts(counts, 10.0).weights
    assert float(1 / electronic[0]) == pytest.approx((366.3 + 100) / 366.3**2, rel=1e-4)
    assert poisson[1] == electronic[1] == 0


def test_weights_of_logarithms_by_sampling():
    """Where counts are many the first order is the variance: 3 % over 40 000 draws."""
    generator = torch.Generator().manual_seed(3)
    mean = torch.full((40_000,), 900.0, dtype=F64)
    counts = torch.poisson(mean, generator=generator)
    counts += 20 * torch.randn(mean.shape, dtype=F64, generator=generator)
    weight = IndependentNoise.of_log_counts(mean[:1], 20.0).weights
    assert float(counts.log().var() * weight) == pytest.approx(1.0, rel=0.03)


# Measurements -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [F64, C128])
def test_gradient_of_the_misfit(dtype):
    H, y, x = (randn(*s, seed=i, dtype=dtype) for i, s in enumerate([(3, 5), (3,), (2, 5)]))
    m = Measurement(y, Matrix(H), 0.4)
    x.requires_grad_(True)
    misfit = ((y - x @ H.mT).abs() ** 2).sum() / (2 * 0.4**2)
    (expected,) = torch.autograd.grad(misfit, x)
    assert torch.allclose(m.grad(x.detach()), expected)


@pytest.mark.parametrize("dtype", [F64, C128])
@pytest.mark.parametrize("r2", [0.05, 2.0])
def test_prox_against_the_normal_equations(dtype, r2):
    H, y, x = (randn(*s, seed=i, dtype=dtype) for i, s in enumerate([(3, 5), (3,), (2, 5)]))
    sigma = 0.4
    left = H.mH @ H / sigma**2 + torch.eye(5, dtype=dtype) / r2
    expected = torch.linalg.solve(left, (H.mH @ y / sigma**2 + x / r2).mT).mT
    assert torch.allclose(Measurement(y, Matrix(H), sigma).prox(x, r2), expected)
    assert torch.equal(Measurement(y, Matrix(H), sigma).prox(x, 0.0), x)
    assert torch.equal(Measurement(y, Matrix(H), sigma).draw(x, 0.0, torch.randn_like), x)


@pytest.mark.parametrize("dtype", [F64, C128])
def test_draw_has_the_exact_mean_and_covariance(dtype):
    """Exactly: its map of unit noise has the conditional's covariance as its product."""
    H, y, x = (randn(*s, seed=i, dtype=dtype) for i, s in enumerate([(3, 4), (3,), (4,)]))
    sigma, r2 = 0.4, 0.7
    m = Measurement(y, Matrix(H), sigma)
    cov = torch.linalg.inv(H.mH @ H / sigma**2 + torch.eye(4, dtype=dtype) / r2)
    mean = cov @ (H.mH @ y / sigma**2 + x / r2)

    def response(impulse: int) -> Tensor:
        drawn = 0

        def noise(like: Tensor) -> Tensor:
            nonlocal drawn
            out = torch.zeros(like.shape, dtype=like.dtype)
            place = impulse - drawn
            if 0 <= place < like.numel():
                out.view(-1)[place] = 1
            drawn += like.numel()
            return out

        return m.draw(x[None], r2, noise)[0]

    assert torch.allclose(response(-1), mean)
    columns = torch.stack([response(i) - mean for i in range(7)], dim=1)
    assert torch.allclose(columns @ columns.mH, cov)


@pytest.mark.parametrize("kind", ["weights", "covariance"])
def test_whitened_measurement_against_the_normal_equations(kind):
    """Gradient, prox and the mean of the draw with C^-1 written out."""
    H, y, x = (randn(*s, seed=i) for i, s in enumerate([(3, 5), (1, 3), (1, 5)]))
    if kind == "weights":
        precision = torch.tensor([3.0, 0.0, 0.2], dtype=F64).diag()
        noise = IndependentNoise(precision.diagonal())
    else:
        C = covariance(3, F64)
        precision, noise = torch.linalg.inv(C), ChannelNoise(C, axis=-1)
    m = Measurement.of(y, Matrix(H), noise)
    assert m.sigma == 1
    assert torch.allclose(m.grad(x), -(y - x @ H.mT) @ precision @ H)
    r2 = 0.7
    left = H.mT @ precision @ H + torch.eye(5, dtype=F64) / r2
    expected = torch.linalg.solve(left, (y @ precision @ H + x / r2)[0])
    assert torch.allclose(m.prox(x, r2)[0], expected)
    assert torch.allclose(m.draw(x, r2, torch.zeros_like)[0], expected)


def test_complex_draw_by_sampling():
    """Circular, with E|z - mean|^2 of the conditional: 4 standard errors."""
    n = 20_000
    H, y, x = (randn(*s, seed=i, dtype=C128) for i, s in enumerate([(2, 3), (2,), (3,)]))
    sigma, r2 = 0.5, 0.8
    cov = torch.linalg.inv(H.mH @ H / sigma**2 + torch.eye(3, dtype=C128) / r2)
    mean = cov @ (H.mH @ y / sigma**2 + x / r2)
    generator = torch.Generator().manual_seed(2)
    z = Measurement(y, Matrix(H), sigma).draw(
        x.expand(n, 3),
        r2,
        lambda like: torch.randn(like.shape, dtype=like.dtype, generator=generator),
    )
    apart = z - mean
    variance = cov.diagonal().real
    assert (apart.mean(0).abs() < 4 * (variance / n).sqrt()).all()
    margin = 4 * torch.outer(variance, variance).sqrt() / math.sqrt(n)
    assert ((apart.mT @ apart.conj() / n - cov).abs() < margin).all()
    assert ((apart.mT @ apart / n).abs() < 1.5 * margin).all()  # circular: E z z^T = 0


def test_draw_noise_is_independent_between_items():
    """Data shared by the batch must not share their noise."""
    m = Measurement(randn(1, 4), Identity(ndim=1), 1.0)
    z = m.draw(torch.zeros(3, 4, dtype=F64), 1e6, torch.randn_like)
    assert (z[0] - z[1]).abs().min() > 0


def test_noise_level_must_be_positive():
    for sigma in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="positive"):
            Measurement(randn(3), Identity(ndim=1), sigma)
