"""Choosing what to measure next, against closed forms and the examples of the literature."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciddm.acquisition import CRITERIA, Belief, Groups, choose, resolvable_variance, scores
from sciddm.guidance import DiffPIR
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import Mask, Measurement
from sciddm.process import EDM
from sciddm.sampling import karras

N = 16


def outlier_and_spread() -> torch.Tensor:
    """Group 0: one particle of 16 at 6, the others at 0. Group 1: evenly spread, less variance."""
    z = torch.zeros(N, 2, 1, dtype=torch.float64)
    z[0, 0, 0] = 6.0
    z[:, 1, 0] = torch.linspace(-2.2, 2.2, N, dtype=torch.float64)
    return z


@pytest.mark.parametrize(
    ("sigma", "entropy", "released"), [(0.3, 1, 0), (1.0, 1, 0), (3.0, 1, 0), (50.0, 0, 0)]
)
def test_entropy_prefers_spread_and_the_released_sign_an_outlier(sigma, entropy, released):
    z = outlier_and_spread()
    assert int(scores("entropy", z, sigma**2).argmax()) == entropy
    assert int(scores("ads_released", z, sigma**2).argmax()) == released
    assert int(scores("variance", z, sigma**2).argmax()) == 0


def test_entropy_of_far_and_of_equal_particles():
    far = 1e4 * torch.arange(N, dtype=torch.float64)[:, None, None]
    same = torch.full((N, 1, 3), 2.5 + 1j, dtype=torch.complex128)
    assert float(scores("entropy", far, 1.0)) == pytest.approx(math.log(N), abs=1e-12)
    assert float(scores("entropy", same, 1.0)) == pytest.approx(0.0, abs=1e-12)


@given(st.integers(0, 10_000), st.floats(0.05, 20.0))
def test_entropy_bounds_the_mixtures_entropy_in_one_dimension(seed, spread):
    generator = torch.Generator().manual_seed(seed)
    z = spread * torch.randn(6, generator=generator, dtype=torch.float64)
    # The mixture's entropy less a component's, by quadrature.
    grid = torch.linspace(float(z.min()) - 9, float(z.max()) + 9, 20_001, dtype=torch.float64)
    density = torch.exp(-((grid[:, None] - z) ** 2) / 2).mean(1) / math.sqrt(2 * math.pi)
    step = float(grid[1] - grid[0])
    entropy = -float((density * density.clamp(min=1e-300).log()).sum()) * step
    gain = entropy - 0.5 * math.log(2 * math.pi * math.e)
    upper = float(scores("entropy", z[:, None, None], 1.0))
    lower = float(scores("entropy", z[:, None, None], 4.0))  # the Chernoff distance with alpha 1/2
    assert lower - 1e-6 <= gain <= upper + 1e-6
    assert -1e-12 <= upper <= math.log(6) + 1e-12


def test_all_criteria_become_the_variance_where_noise_is_large():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(N, 5, 3, dtype=torch.complex128, generator=generator)
    v = 1e6
    variance = scores("variance", z, v)
    about = (z - z.mean(0)).abs().square().sum((0, 2)) / N / v
    assert torch.allclose(variance, about, rtol=1e-10)
    assert torch.allclose(scores("entropy", z, v), variance, rtol=1e-4)
    assert torch.allclose(scores("ads_released", z, v) - N * math.log(N), N * variance, rtol=1e-4)


def test_large_common_values_and_large_distances_do_no_harm():
    z = outlier_and_spread()
    assert torch.allclose(
        scores("entropy", (z + 1e7).float().double(), 1.0), scores("entropy", z, 1.0), atol=0.3
    )
    # ln sum_j exp(d2_ij / 2v) is its largest exponent then.
    d2 = (z[:, None] - z).abs().square().sum(-1)  # (i, j, group)
    largest = 1e12 * d2.amax(1).sum(0) / 2
    assert torch.allclose(scores("ads_released", 1e6 * z, 1.0), largest)


def test_resolvable_variance_leaves_the_best_group_ln_n():
    z = outlier_and_spread()
    v = resolvable_variance(z)
    pairs = (z[:, None] - z[None]).square().sum(-1).mean((0, 1)) / (2 * v)
    assert float(pairs.max()) == pytest.approx(math.log(N))


def test_groups_taken_together_tell_different_things():
    # Groups 0 and 1 predict the same; 2 is weaker but independent of them.
    z = torch.zeros(4, 3, 1, dtype=torch.float64)
    z[:, 0, 0] = z[:, 1, 0] = torch.tensor([-3.0, -3.0, 3.0, 3.0])
    z[:, 2, 0] = torch.tensor([-2.5, 2.5, -2.5, 2.5])
    everything = torch.ones(3, dtype=torch.bool)
    assert choose("entropy", z, 0.1, everything, 2) == [0, 2]
    assert choose("variance", z, 0.1, everything, 2) == [0, 1]
    assert choose("entropy", z, 0.1, torch.tensor([False, True, True]), 5) == [1, 2]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_what_is_not_allowed_is_never_chosen(criterion):
    z = torch.zeros(4, 3, 2, dtype=torch.float64)
    z[0, 0] = 100.0  # all disagreement is where nothing may be measured
    assert choose(criterion, z, 1.0, torch.tensor([False, False, True])) == [2]
    with pytest.raises(ValueError, match="no group is allowed"):
        choose(criterion, z, 1.0, torch.zeros(3, dtype=torch.bool))


def test_wrong_arguments_are_named():
    z = torch.zeros(4, 3, 2)
    with pytest.raises(ValueError, match="unknown criterion"):
        scores("surprise", z, 1.0)
    with pytest.raises(ValueError, match="two particles"):
        scores("entropy", z[:1], 1.0)
    with pytest.raises(ValueError, match="above 0"):
        scores("entropy", z, 0.0)


@pytest.mark.parametrize(
    ("axes", "index"), [((-2,), (slice(None), 3)), ((-1,), (slice(None), slice(None), 3))]
)
def test_groups_are_lines_along_an_axis(axes, index):
    data = torch.randn(2, 3, 5, 7, dtype=torch.complex64)
    groups = Groups((3, 5, 7), axes)
    split = groups.split(data)
    assert groups.count == data.shape[axes[0]]
    for n in range(2):
        assert torch.equal(split[n, 3], data[n][index].flatten())
    taken = torch.zeros(groups.count, dtype=torch.bool)
    taken[3] = True
    mask = groups.mask(taken).expand(3, 5, 7)
    assert mask[index].all()
    assert int(mask.sum()) == data[0][index].numel()


def test_groups_of_single_samples_are_numbered_along_the_rows():
    data = torch.randn(2, 3, 5, 7)
    groups = Groups((3, 5, 7), (-1, -2))
    assert groups.count == 35
    assert torch.equal(groups.split(data)[1, 2 * 7 + 4], data[1, :, 2, 4])
    views = Groups((4, 6), (-2,))  # a sinogram's
    assert torch.equal(views.split(data[:, 0, :4, :6])[0, 2], data[0, 0, 2, :6])


def test_belief_in_a_gaussian_prior_asks_for_what_varies_most_and_settles():
    # Independent pixels of known variances: the pixel to measure is that of the largest variance
    # not yet measured, and a measured pixel's particles agree with the data.
    variances = torch.tensor([0.01, 4.0, 0.25, 1.0], dtype=torch.float64)
    mean = torch.zeros(4, dtype=torch.float64)
    denoiser = GaussianDenoiser(EDM(0.002, 80.0), mean, variances.diag())
    truth = torch.tensor([0.1, -2.5, 0.4, 1.2], dtype=torch.float64)
    groups = Groups((4,), (-1,))
    taken = torch.zeros(4, dtype=torch.bool)
    belief = Belief(
        denoiser,
        lambda d, m: DiffPIR(d, m, 1.0),
        karras(denoiser.process, 8, 20.0, 0.3),
        torch.zeros(1, 4, dtype=torch.float64),
        particles=64,
        seed=3,
    )
    order = []
    for _ in range(4):
        A = Mask(groups.mask(taken), ndim=1)
        m = Measurement(A(truth)[None], A, 0.01)
        for _ in range(2):
            estimates, spread = belief.advance(m)
        assert spread > 0
        known = estimates[:, taken]
        assert torch.allclose(known, truth[taken].expand_as(known), atol=0.05)
        [best] = choose("variance", groups.split(estimates), 1.0, ~taken)
        taken[best] = True
        order.append(best)
    assert order == [1, 3, 2, 0]
    with pytest.raises(ValueError, match="at its end"):
        belief.advance(m)


def test_a_particle_does_not_depend_on_how_many_there_are():
    denoiser = GaussianDenoiser(
        EDM(0.002, 80.0), torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    )
    A = Mask(torch.tensor([True, False, True]), ndim=1)
    m = Measurement(torch.tensor([[1.0, 0.0, -1.0]], dtype=torch.float64), A, 0.1)

    def run(particles: int) -> torch.Tensor:
        belief = Belief(
            denoiser,
            lambda d, m: DiffPIR(d, m, 1.0),
            karras(denoiser.process, 3, 5.0, 0.1),
            torch.zeros(1, 3, dtype=torch.float64),
            particles=particles,
            seed=1,
        )
        for _ in range(3):
            estimates, _ = belief.advance(m)
        return estimates

    assert torch.allclose(run(8)[:2], run(2), atol=1e-12)
    with pytest.raises(ValueError, match="even number"):
        run(3)
