"""Reconstruction with a Gaussian prior, whose posterior given projections is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

from sciddm.classical.tv_weighted import weighted_tv
from sciddm.data_adapters.ct import build_sinogram
from sciddm.denoiser import Denoiser
from sciddm.errors import InputError, ModelError
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import FanBeam, ParallelBeam, Projector, WeightedProjection, even_angles
from sciddm.physics.cg import preconditioned_conjugate_gradient
from sciddm.physics.tomography.dose import low_dose_sinogram
from sciddm.physics.tomography.units import to_attenuation
from sciddm.pipelines.ct.methods.kept_out import RATIO_LIMIT, filled, kept_views
from sciddm.pipelines.ct.methods.posterior import PosteriorSampling
from sciddm.pipelines.ct.pipeline_reconstruction import CTReconstruction
from sciddm.pipelines.ct.projections import Scan, estimate_flux
from sciddm.pipelines.ct.settings import PosteriorSettings
from sciddm.process import EDM, ResShift
from sciddm.random.streams import Streams

SIDE, PIXEL = 8, 20.0
BEAM = ParallelBeam(even_angles(10, np.pi), 12, PIXEL)
FLUX = 2000.0
MEAN, SD, REACH = 20.0, 60.0, 1.5  # HU, HU, pixels


class GaussianImages(Denoiser):
    """Images (B, 1, y, x) with smooth Gaussian texture; float32 outside, float64 inside."""

    def __init__(self) -> None:
        super().__init__()
        self.process = EDM(sigma_min=0.5, sigma_max=2000.0)
        at = torch.cartesian_prod(*[torch.arange(SIDE, dtype=torch.float64)] * 2)
        apart = torch.cdist(at, at)
        self.covariance = SD**2 * (-(apart**2) / (2 * REACH**2)).exp() + 9 * torch.eye(SIDE**2)
        self.mean = torch.full((SIDE**2,), MEAN, dtype=torch.float64)
        self.exact = GaussianDenoiser(self.process, self.mean, self.covariance)
        self.data_std = self.exact.data_std

    def forward(self, x_t, t, y=None, cond=None):
        return self.exact(x_t.double().flatten(1), t).reshape(x_t.shape).to(x_t)


def scan(flux: float | None = FLUX) -> Scan:
    return Scan(BEAM, (SIDE, SIDE), PIXEL, None if flux is None else torch.tensor(flux), 5.0)


def data(prior: GaussianImages, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """An image of the prior and its counted projections (V, D)."""
    generator = torch.Generator().manual_seed(seed)
    hu = prior.exact.sample(1, generator).float().reshape(1, 1, SIDE, SIDE)
    p = Projector(BEAM, (SIDE, SIDE), PIXEL)(to_attenuation(hu))
    return hu[0, 0], low_dose_sinogram(p, FLUX, 5.0, Streams(seed, 1))[0, 0]


def exact_posterior(
    prior: GaussianImages, p: torch.Tensor, of: Scan | None = None
) -> GaussianDenoiser:
    m = (scan() if of is None else of).measurement(p)
    eye = torch.eye(SIDE**2).reshape(-1, 1, SIDE, SIDE)
    matrix = m.A(eye).flatten(1).T.double()
    noise = torch.eye(len(matrix), dtype=torch.float64)
    return prior.exact.posterior(m.y.flatten().double(), matrix, noise)


def test_samples_of_a_gaussian_prior_are_those_of_its_posterior():
    """MMPS is exact there; the proximal step is turned off by the weight of the prior."""
    prior = GaussianImages()
    _, p = data(prior)
    exact = exact_posterior(prior, p)
    settings = PosteriorSettings(
        samples=200, steps=40, sigma_max=400.0, sigma_min=1.0, krylov=16, inflation=0.0, lam=1e9
    )
    found = PosteriorSampling(prior, scan(), settings)(p, 0, 1, lambda part: None)
    mean, covariance = exact.moments()
    spread = covariance.diagonal().sqrt().reshape(SIDE, SIDE)
    assert found.std is not None
    assert float(((found.values - mean.reshape(SIDE, SIDE)) / spread).square().mean().sqrt()) < 0.2
    ratio = found.std / spread
    # First-order steps make the spread a little small; 200 samples know it to 5 %.
    assert float(ratio.mean()) == pytest.approx(1, abs=0.08)
    assert ((ratio - 1).abs() < 0.3).all()
    assert found.consistency is not None
    assert found.consistency.ratio == pytest.approx(1, abs=0.15)


BRIGHT = 40_000.0
MANY = ParallelBeam(even_angles(40, np.pi), 12, PIXEL)


def many_views(
    seed: int, moved: bool = False, flux: float = BRIGHT, stated: float = 1.0
) -> xr.Dataset:
    """A sinogram of 40 views; half of it of the image moved by three pixels, if wanted."""
    prior = GaussianImages()
    hu = prior.exact.sample(1, torch.Generator().manual_seed(seed)).float()
    image = hu.reshape(1, 1, SIDE, SIDE)
    project = Projector(MANY, (SIDE, SIDE), PIXEL)
    p = project(to_attenuation(image))
    if moved:
        later = project(to_attenuation(torch.roll(image, 3, -1)))
        p = torch.cat([p[..., :20, :], later[..., 20:, :]], -2)
    counted = low_dose_sinogram(p, flux, 5.0, Streams(seed, 1))[0, 0]
    return build_sinogram(
        counted.numpy(), MANY, incident_flux=stated * flux, image_shape=[SIDE, SIDE],
        image_pixel_mm=PIXEL, electronic_sd=5.0,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_views_that_were_kept_out_are_predicted(seed):
    """By the right prior within its intervals; not where the body moved, or the noise is wrong."""
    pipeline = CTReconstruction(GaussianImages())
    good = pipeline(many_views(seed), quality="fast").attrs
    assert good["verdict_calibrated"] == "yes"
    assert 0.6 < good["prediction_ratio"] < RATIO_LIMIT
    for wrong in (many_views(seed, moved=True), many_views(seed, flux=FLUX, stated=6.0)):
        told = pipeline(wrong, quality="fast").attrs
        assert told["verdict_calibrated"] == "no"
        assert "kept out" in told["warnings"]


def test_views_that_are_kept_out_are_no_neighbours_and_are_not_seen():
    out = kept_views(60, 3)
    places = torch.nonzero(out).flatten()
    assert len(places) == 3
    assert int(places.diff().min()) > 1
    p = torch.arange(60.0)[:, None].expand(-1, 4).clone()
    p[out] = math.nan
    assert torch.equal(filled(p, out), torch.arange(60.0)[:, None].expand(-1, 4))
    assert kept_views(12, 0) is None


def test_where_views_are_missing_a_bound_on_the_priors_error_helps():
    """Three views of an image that needs 4.2 times as many: the bound is about the prior's sd."""
    prior, beam = GaussianImages(), ParallelBeam(even_angles(3, np.pi), 12, PIXEL)
    few = Scan(beam, (SIDE, SIDE), PIXEL, torch.tensor(FLUX), 5.0)
    wrong = {math.inf: 0.0, 300.0: 0.0}
    for seed in range(3):
        hu = prior.exact.sample(1, torch.Generator().manual_seed(seed)).float()
        sinogram = few.projector(to_attenuation(hu.reshape(1, 1, SIDE, SIDE)))
        p = low_dose_sinogram(sinogram, FLUX, 5.0, Streams(seed, 1))[0, 0]
        exact = exact_posterior(prior, p, few).moments()[0].reshape(SIDE, SIDE)
        for error in wrong:
            settings = PosteriorSettings(16, 14, lam=1.0, error=error)
            method = PosteriorSampling(prior, few, settings)
            found = method(p, 0, seed, lambda part: None).values
            wrong[error] += float((found - exact).square().mean())
            assert method.error == pytest.approx(error / (math.pi / 2 * SIDE / 3 - 1))
    assert wrong[300.0] < 0.5 * wrong[math.inf]


def test_with_all_views_no_error_is_bounded():
    views = ParallelBeam(even_angles(13, np.pi), 12, PIXEL)
    whole = Scan(views, (SIDE, SIDE), PIXEL, torch.tensor(FLUX), 5.0)
    method = PosteriorSampling(GaussianImages(), whole, PosteriorSettings(2, 4, spread=1.3))
    assert (method.error, method.spread) == (math.inf, 1.3)


@pytest.mark.parametrize("quality", ["fast", "balanced", "best"])
def test_every_quality_is_near_the_best_estimate(quality):
    """The exact posterior mean has the least error that is possible."""
    prior = GaussianImages()
    ours, least, plain = [], [], []
    for seed in range(4):
        hu, p = data(prior, seed)
        out = CTReconstruction(prior)(dataset(p), quality=quality)
        best = exact_posterior(prior, p).moments()[0].reshape(SIDE, SIDE)
        ours.append(out["reconstruction"].values[0] - hu.numpy())
        least.append((best - hu).numpy())
        plain.append(out["fbp"].values[0] - hu.numpy())
        assert 0.7 < out.attrs["consistency"] < 1.3
    error, bound, fbp = (float(np.sqrt(np.mean(np.square(e)))) for e in (ours, least, plain))
    assert error < 1.25 * bound
    assert error < 0.5 * fbp


def dataset(p: torch.Tensor, **attrs: object):
    attrs = {"image_shape": [SIDE, SIDE], "image_pixel_mm": PIXEL, "electronic_sd": 5.0, **attrs}
    return build_sinogram(p.numpy(), BEAM, incident_flux=FLUX, **attrs)


def test_the_whitened_residual_of_the_truth_is_noise_of_one():
    prior = GaussianImages()
    ratios = []
    for seed in range(6):
        hu, p = data(prior, seed)
        residual = scan().measurement(p).residual(hu[None, None])
        ratios.append(float(residual.square().mean()))
    assert np.mean(ratios) == pytest.approx(1, abs=0.15)


def test_flux_from_the_noise_itself():
    angles, cells = 60, 120
    smooth = 2 * torch.hann_window(cells).expand(angles, -1)
    noisy = low_dose_sinogram(smooth[None, None], 5e4, 0.0, Streams(0, 1))[0, 0]
    assert float(estimate_flux(noisy)) == pytest.approx(5e4, rel=0.1)


def weighted() -> WeightedProjection:
    weights = torch.rand(1, BEAM.views, BEAM.cells, generator=torch.Generator().manual_seed(0)) * 50
    return WeightedProjection(Projector(BEAM, (SIDE, SIDE), PIXEL), weights, 0.01)


def test_weighted_projection_is_its_product_and_adjoint():
    A = weighted()
    x, y = torch.randn(2, 1, SIDE, SIDE), torch.randn(2, 1, BEAM.views, BEAM.cells)
    assert torch.allclose(A(x), 0.01 * A.root * A.projector(x))
    left, right = (A(x) * y).sum(), (x * A.adjoint(y)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-4)


def test_weighted_systems_are_solved():
    A = weighted()
    rhs = torch.randn(3, 1, SIDE, SIDE)
    rho = 5.0
    eye = torch.eye(SIDE**2).reshape(-1, 1, SIDE, SIDE)
    matrix = A(eye).flatten(1).double()
    gram = matrix @ matrix.T + rho * torch.eye(SIDE**2, dtype=torch.float64)
    exact = torch.linalg.solve(gram, rhs.flatten(1).double().T).T.reshape(rhs.shape)
    assert torch.allclose(A.solve(rhs, rho, iterations=40).double(), exact, rtol=1e-3, atol=1e-5)


def test_a_perfect_preconditioner_needs_one_step():
    diagonal = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    rhs = torch.tensor([[3.0, -2.0, 5.0]], dtype=torch.float64)

    def solve(steps: int) -> torch.Tensor:
        return preconditioned_conjugate_gradient(
            lambda x: diagonal * x, lambda r: r / diagonal, rhs, 1, steps
        )

    assert torch.allclose(solve(1), rhs / diagonal)
    assert torch.allclose(solve(9), rhs / diagonal)


def test_a_tolerance_ends_each_item_by_itself():
    generator = torch.Generator().manual_seed(3)
    diagonal = torch.logspace(0, 3, 40, dtype=torch.float64)
    rhs = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    rhs[1, 5:] = 0  # of five eigenvalues: solved in five steps at most
    applied = []

    def solve(rhs: torch.Tensor, tolerance: float) -> torch.Tensor:
        def apply(x: torch.Tensor) -> torch.Tensor:
            applied.append(1)
            return diagonal * x

        applied.clear()
        return preconditioned_conjugate_gradient(
            apply, lambda r: r / diagonal.sqrt(), rhs, 1, 100, tolerance=tolerance
        )

    def size(r: torch.Tensor) -> torch.Tensor:
        return (r * r / diagonal.sqrt()).sum(1).sqrt()

    x = solve(rhs, 1e-3)
    steps = len(applied)
    assert (size(rhs - diagonal * x) <= 1e-3 * size(rhs)).all()
    # What else is in the batch makes no difference.
    for item in range(3):
        assert torch.equal(solve(rhs[item : item + 1], 1e-3)[0], x[item])
        assert len(applied) <= (5 if item == 1 else steps)
    # Once it is reached, an item stays where it is: not at rounding.
    assert (size(rhs - diagonal * x) > 1e-6 * size(rhs)).any()
    solve(rhs, 0.0)
    assert len(applied) == 100


def test_a_body_at_opposite_edges_is_solved_as_quickly():
    """The preconditioner's image does not begin again where it ends."""
    beam = FanBeam(even_angles(96), 130, 1.2, source_axis_mm=595.0, source_detector_mm=1085.0)
    A = WeightedProjection(Projector(beam, (64, 64), 1.0), torch.ones(1, 96, 130), 0.1)
    x = torch.zeros(1, 1, 64, 64)
    x[..., -2:] = 1.0
    rhs, rho = A.gram(x), 1e-3
    exact = A.solve(rhs, rho, iterations=200)
    error = (A.solve(rhs, rho, iterations=8) - exact).abs()
    assert float(error[..., :2].max()) < 0.03 * float(exact.abs().max())


def test_total_variation_minimises_what_it_says():
    """No small change of the image makes the objective less."""
    _, p = data(GaussianImages())
    m = scan().measurement(p)
    weight = 0.05
    x = weighted_tv(m, torch.zeros(1, SIDE, SIDE), weight, 300)

    def objective(image: torch.Tensor) -> float:
        image = image.double()
        dy = torch.diff(image, dim=-2, append=image[..., -1:, :])
        dx = torch.diff(image, dim=-1, append=image[..., -1:])
        residual = m.residual(image.float()).double()
        smooth = (dy.square() + dx.square()).sqrt().sum()
        return float(residual.square().sum() / 2 + weight * smooth)

    least = objective(x)
    generator = torch.Generator().manual_seed(1)
    for size in (1.0, 5.0):
        for _ in range(20):
            step = size * torch.randn(x.shape, generator=generator)
            assert objective(x + step) > least - 0.05


def test_what_cannot_be_reconstructed():
    prior = GaussianImages()
    _, p = data(prior)
    with pytest.raises(ModelError, match="needs a model"):
        CTReconstruction()(dataset(p))
    with pytest.raises(InputError, match="unknown method"):
        CTReconstruction(prior)(dataset(p), method="magic")
    with pytest.raises(InputError, match="unknown quality"):
        CTReconstruction(prior)(dataset(p), method="fbp", quality="perfect")
    with pytest.raises(InputError, match="draws no samples"):
        CTReconstruction(prior)(dataset(p), method="tv", samples=4)
    with pytest.raises(InputError, match="at least 2 samples"):
        CTReconstruction(prior)(dataset(p), samples=1)
    with pytest.raises(InputError, match="sizes must be positive"):
        CTReconstruction(prior)(dataset(p), method="fbp", pixel_mm=-1.0)
    with pytest.raises(InputError, match="NaN"):
        CTReconstruction(prior)(dataset(p * torch.nan), method="fbp")
    ended = GaussianImages()
    ended.process = ResShift()
    with pytest.raises(ModelError, match="without an endpoint"):
        CTReconstruction(ended)(dataset(p))
