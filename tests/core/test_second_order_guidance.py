"""STSL, PSLD, adaptive and perturbed-attention guidance against closed forms."""

from __future__ import annotations

import pytest
import torch
from oracle import Bulk, measured_mixture
from support import F64, randn
from torch import Tensor

from sciddm.denoiser import NetworkDenoiser
from sciddm.guidance import (
    DPS,
    MMPS,
    PSLD,
    STSL,
    Adaptive,
    Extrapolated,
    IdentityAttention,
    PiGDM,
    gluing,
    hessian_trace,
    perturbed_attention,
)
from sciddm.ledger import tally
from sciddm.networks.unet import UNet
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import Decoded, Mask, Matrix, Measurement, NonlinearMeasurement
from sciddm.process import EDM, VPCosine
from sciddm.sampling import DPMSolver2M, karras, sample

# STSL -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", [EDM(), VPCosine()], ids=str)
def test_the_trace_of_the_hessian(process):
    """Of ln p of a mixture, (a tr J - n)/s^2 up to what a probe sees of the rest; its gradient."""
    o = measured_mixture("random")
    prior = type(o.prior)(process, o.prior.weights, o.prior.means, o.prior.covariances)
    t, x = process.time(0.7), 0.8 * randn(3, 8)
    a, _, s = process(t)
    trace, slope = hessian_trace(prior, x, t, 1e-4)
    _, vjp = prior.mean_and_vjp(x, t)
    rows = torch.stack([vjp(e.expand_as(x)) for e in torch.eye(8, dtype=F64)], 1)
    hessian = (a * rows - torch.eye(8, dtype=F64)) / s**2
    whole = torch.einsum("bii->b", hessian)
    off = (hessian - torch.diag_embed(hessian.diagonal(dim1=1, dim2=2))).abs().sum((1, 2))
    assert ((trace - whole).abs() <= off + 1e-3).all()
    # The gradient of T by central differences.
    h = 1e-5
    for i in range(8):
        unit = torch.zeros(8, dtype=F64)
        unit[i] = h
        up, down = (hessian_trace(prior, x + v, t, 1e-4)[0] for v in (unit, -unit))
        assert torch.allclose((up - down) / (2 * h), slope[:, i], rtol=1e-3, atol=1e-3)


def test_on_a_diagonal_gaussian_the_trace_is_exact_and_stsl_is_dps():
    prior = GaussianDenoiser(EDM(), randn(3, seed=4), torch.diag(randn(3).abs() + 0.1))
    t, x = 0.7, randn(2, 3, seed=8)
    trace, slope = hessian_trace(prior, x, t)
    exact = -(1 / (prior.covariances[0].diagonal() + t**2)).sum()
    assert torch.allclose(trace, exact.expand(2))
    assert slope.abs().max() < 1e-9
    m = Measurement(randn(2, seed=1), Matrix(randn(2, 3)), 0.2)
    assert torch.allclose(STSL(prior, m, 0.7, 5.0)(x, t), DPS(prior, m, 0.7)(x, t))
    with tally() as cost:
        STSL(prior, m)(x, t)
    assert (cost.nfe, cost.nvjp) == (6, 6)


def test_stsl_lowers_what_the_likelihood_loses():
    """A step along its correction lowers tr Cov[x0 | x_t]; one against it raises it."""
    o = measured_mixture("random")
    t, x = 1.0, randn(6, 8, seed=3)
    apart = STSL(o.prior, o.measurement, 0.0, 1e-3)(x, t) - o.prior(x, t)
    before, after, other = (hessian_trace(o.prior, v, t)[0] for v in (x, x + apart, x - apart))
    assert (after <= before).all()
    assert (other >= before - 1e-6).all()
    assert float((before - after).max()) > 1e-6


# PSLD -------------------------------------------------------------------------------------------

N, K = 6, 3
W = torch.linalg.qr(randn(N, K, seed=1))[0]
CODES = GaussianDenoiser(EDM(), randn(K, seed=3), torch.eye(K, dtype=F64))
PICK = Mask(torch.arange(N) % 2 == 0, ndim=1)


def decode(z: Tensor) -> Tensor:
    return z @ W.T


def encode(x: Tensor) -> Tensor:
    return x @ W


def test_gluing_vanishes_for_codes_of_the_data():
    """y = A dec(z) and E(dec(z)) = z: 0. Without A^+ A it would not be."""
    z = randn(4, K, seed=9)
    m = Measurement(PICK(decode(z)), PICK, 0.1)
    assert gluing(z, m, encode, decode(z)).abs().max() < 1e-20
    wrong = (z - encode(PICK.adjoint(m.y) + decode(z))).square().sum(1)
    assert float(wrong.min()) > 1e-2
    other = z + 0.3
    expected = (other - encode(torch.where(PICK.d > 0, m.y, decode(other)))).square().sum(1)
    assert torch.allclose(gluing(other, m, encode, decode(other)), expected)


def test_psld_without_gluing_is_latent_dps_and_with_it_its_gradient():
    y, sigma, t = randn(N, seed=5) * PICK.d, 0.3, 0.6
    m, z = Measurement(y, PICK, sigma), randn(2, K, seed=6)
    latent = DPS(CODES, NonlinearMeasurement(y, Decoded(PICK, decode, 1), sigma))
    assert torch.allclose(PSLD(CODES, m, encode, decode, 1.0, 0.0)(z, t), latent(z, t))
    mean = CODES(z, t)
    P = torch.eye(K, dtype=F64) - W.T @ torch.diag(1 - PICK.d.double()) @ W
    residual = mean @ P - (y @ W)  # z - E(y + (1 - A) W z)
    slope = 2 * residual @ P
    expected = latent(z, t) - 0.1 * t**2 / (1 + t**2) * slope  # J = 1/(1 + t^2)
    assert torch.allclose(PSLD(CODES, m, encode, decode)(z, t), expected)


# Adaptive ---------------------------------------------------------------------------------------


def problem():
    o = measured_mixture("mask")
    return o, karras(o.prior.process, 30, 20.0, 0.005), 20 * randn(40, 8, seed=7)


def test_adaptive_guidance_saves_products_and_changes_little():
    """Fewer VJPs, draws that differ by a tenth of their spread; without reuse by more."""
    o, grid, x = problem()
    step = DPMSolver2M(sde=True)

    def run(make):
        with tally() as cost:
            out = sample(make(), x, grid, step, generator=Bulk(5))
        return out, cost.nvjp

    def adaptive(tolerance: float, reuse: bool = True):
        return lambda: Adaptive(MMPS(o.prior, o.measurement), tolerance, reuse=reuse)

    plain, products = run(lambda: MMPS(o.prior, o.measurement))
    never, _ = run(adaptive(0.0))
    assert torch.equal(never, plain)
    errors = []
    for reuse in (True, False):
        out, fewer = run(adaptive(0.2, reuse))
        assert fewer < products
        errors.append(float((out - plain).square().mean().sqrt() / plain.std(0).mean()))
    assert errors[0] < 0.1
    assert errors[1] > 1.1 * errors[0]


def test_a_correction_is_reused_with_its_scale():
    """PiGDM on a Gaussian, from .1 to .05: s^2/a falls by 4, and so does what is added."""
    prior = GaussianDenoiser(EDM(), torch.zeros(3, dtype=F64), torch.eye(3, dtype=F64))
    m = Measurement(randn(3, seed=1), Matrix(torch.eye(3, dtype=F64)), 1.0)
    x = randn(2, 3)
    adaptive = Adaptive(PiGDM(prior, m), 1e9, 1)
    first = adaptive(x, 0.1) - prior(x, 0.1)
    with tally() as cost:
        second = adaptive(x, 0.05) - prior(x, 0.05)
    assert (cost.nfe, cost.nvjp) == (4, 0)  # two of them the test's own
    assert torch.allclose(second, first / 4)
    published = Adaptive(PiGDM(prior, m), 1e9, 1, reuse=False)
    published(x, 0.1)
    assert torch.equal(published(x, 0.05), prior(x, 0.05))


def test_items_decide_for_themselves():
    """One item has no residual and stops; the other goes on. Each is as alone."""
    prior = GaussianDenoiser(EDM(), torch.zeros(2, dtype=F64), torch.eye(2, dtype=F64))
    x = randn(2, 2)
    y = torch.stack([prior(x, 0.5)[0], prior(x, 0.5)[1] + 5])
    eye = Matrix(torch.eye(2, dtype=F64))

    def run(rows):
        adaptive = Adaptive(PiGDM(prior, Measurement(y[rows], eye, 0.3)), 0.5, 1)
        return [adaptive(x[rows], t) for t in (0.5, 0.4, 0.3)][-1]

    together = run(slice(0, 2))
    for i in range(2):
        assert torch.allclose(run(slice(i, i + 1))[0], together[i])


# Perturbed attention ----------------------------------------------------------------------------


def network() -> NetworkDenoiser:
    torch.manual_seed(0)
    unet = UNet(1, 1, channels=(8, 16), num_res_blocks=1, norm_num_groups=4)
    for p in unet.parameters():  # its last layer begins at 0
        p.data = p.data + 0.1 * torch.randn_like(p)
    return NetworkDenoiser(unet, EDM())


def test_attention_without_its_map_is_every_token_by_itself():
    """What the network is with one token a layer, where the softmax is 1, it stays."""
    prior = network()
    small, large = torch.randn(2, 1, 2, 2), torch.randn(2, 1, 8, 8)
    identity = IdentityAttention(prior)
    assert torch.allclose(identity(small, 0.5), prior(small, 0.5), atol=1e-6)
    assert (identity(large, 0.5) - prior(large, 0.5)).abs().max() > 1e-5
    again = prior(large, 0.5)
    assert torch.equal(again, prior(large, 0.5))  # no hook is left behind
    both = perturbed_attention(prior, 2.0)
    assert isinstance(both, Extrapolated)
    with tally() as cost:
        out = both(large, 0.5)
    assert cost.nfe == 4
    assert torch.allclose(out, again + 2 * (again - identity(large, 0.5)), atol=1e-6)


def test_a_network_without_attention_is_refused():
    prior = GaussianDenoiser(EDM(), torch.zeros(2, dtype=F64), torch.eye(2, dtype=F64))
    with pytest.raises(ValueError, match="self-attention"):
        perturbed_attention(prior)
