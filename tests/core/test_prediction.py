"""Data that were kept out, against exact Gaussian posteriors, right and wrong."""

from __future__ import annotations

import math

import pytest
import torch
from support import F64, randn

from sciddm.physics import Matrix, Measurement
from sciddm.uncertainty.prediction import Prediction, prediction_finding, prediction_of

SIZE, SIGMA = 60, 0.1


def case(
    samples: int = 64, prior_std: float = 1.0, true_std: float = 1.0, seed: int = 0
) -> tuple[Measurement, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Entries kept out, the mask of y, samples of the posterior of the rest, and the plain image.

    The truth has the law N(0, true_std^2 C), the model believes N(0, prior_std^2 C).
    """
    root = torch.linalg.cholesky(
        torch.exp(-0.1 * (torch.arange(SIZE)[:, None] - torch.arange(SIZE)).abs()).to(F64)
    )
    truth = true_std * root @ randn(SIZE, seed=seed)
    y = truth + SIGMA * randn(SIZE, seed=seed + 1)
    out = torch.zeros(SIZE, dtype=torch.bool)
    out[2::4] = True
    H = torch.eye(SIZE, dtype=F64)[~out]
    C = prior_std**2 * root @ root.T
    gain = C @ H.T @ torch.linalg.inv(H @ C @ H.T + SIGMA**2 * torch.eye(len(H), dtype=F64))
    mean, covariance = gain @ y[~out], C - gain @ H @ C
    spread = torch.linalg.cholesky(covariance + 1e-9 * torch.eye(SIZE, dtype=F64))
    draws = mean + randn(samples, SIZE, seed=seed + 2) @ spread.T
    plain = torch.where(out, 0.0, y)  # nothing is known of what was kept out
    kept = Measurement(torch.where(out, y, 0.0), Matrix(torch.diag(out.to(F64))), SIGMA)
    return kept, out, draws, plain


def test_the_right_model_predicts_with_a_ratio_of_one():
    found = [prediction_of(*case(seed=10 * k)) for k in range(30)]
    assert found[0].count == 15
    assert torch.tensor([p.ratio for p in found]).mean() == pytest.approx(1, abs=0.06)
    assert max(p.skill for p in found) < 0.8


@pytest.mark.parametrize("samples", [2, 4])
def test_few_samples_count_with_their_own_error(samples):
    """Without the 1/K the ratio of two samples would be 1.2."""
    ratios = torch.tensor([prediction_of(*case(samples, seed=10 * k)).ratio for k in range(80)])
    assert ratios.median() == pytest.approx(1, abs=0.08)


def test_the_widening_is_what_the_standard_deviation_alone_lacks():
    """Without the noise, which the ratio holds against both."""
    sure = [prediction_of(*case(prior_std=0.2, true_std=2.0, seed=10 * k)) for k in range(30)]
    right = [prediction_of(*case(seed=10 * k)) for k in range(30)]
    assert torch.tensor([p.widening for p in right]).mean() == pytest.approx(1, abs=0.08)
    assert all(p.widening > p.ratio for p in sure if p.ratio > 1)
    told = prediction_of(*case(prior_std=0.2, true_std=2.0), factor=1.0).widening
    # With a standard deviation so much wider, nothing is lacking.
    wide = prediction_of(*case(prior_std=0.2, true_std=2.0), factor=told)
    assert wide.widening == pytest.approx(1, rel=1e-6)
    assert wide.ratio == pytest.approx(1, rel=1e-6)


def test_a_model_that_is_too_sure_is_told_by_how_much():
    found = [prediction_of(*case(prior_std=0.2, true_std=2.0, seed=10 * k)) for k in range(30)]
    assert torch.tensor([p.ratio for p in found]).mean() > 2
    wide = prediction_of(*case(), factor=3.0)
    assert wide.ratio < 0.75 * prediction_of(*case()).ratio


def test_a_model_that_knows_less_than_nothing_has_a_skill_above_one():
    kept, out, draws, plain = case()
    wrong = draws - 2 * draws.mean(0)
    assert prediction_of(kept, out, wrong, plain).skill > 1.3
    assert prediction_of(kept, out, draws, draws.mean(0)).skill == pytest.approx(1)


def test_findings():
    good, sure, useless = (Prediction(*v, 9) for v in ((1.0, 0.6), (3.0, 0.6), (1.0, 1.4)))
    assert prediction_finding([], 2, 1).answer == "not checked"
    assert prediction_finding([good, good, sure], 2, 1).answer == "yes"
    assert prediction_finding([sure, sure, good], 2, 1).figure == pytest.approx(3)
    no = prediction_finding([useless], 2, 1)
    assert (no.answer, no.figure, no.limit) == ("no", 1.4, 1)
    assert "knows nothing of this object" in no.sentence


def test_one_sample_or_no_entry_is_refused():
    kept, out, draws, plain = case()
    with pytest.raises(ValueError, match="two samples"):
        prediction_of(kept, out, draws[:1], plain)
    with pytest.raises(ValueError, match="no entry"):
        prediction_of(kept, torch.zeros_like(out), draws, plain)


def test_the_log_score_is_the_predictive_density_and_prefers_the_true_law():
    kept, out, draws, plain = case(4096)
    found = prediction_of(kept, out, draws, plain)
    mean, variance = draws.mean(0)[out], draws.var(0)[out]
    # 15 entries make one group: its mean variance counts, times the factor that fits best.
    scores = []
    for g2 in torch.logspace(-2, 1.5, 400, dtype=F64):
        law = torch.distributions.Normal(mean, (g2 * variance.mean() + SIGMA**2).sqrt())
        scores.append(float(law.log_prob(kept.y[out]).sum()))
    assert found.log_score == pytest.approx(max(scores), abs=0.05)

    def mean_score(prior_std: float) -> float:
        scores = [prediction_of(*case(8, prior_std, seed=10 * k)).log_score for k in range(40)]
        return float(torch.tensor(scores).mean())

    true = mean_score(1.0)
    assert true > mean_score(0.1)
    assert true > mean_score(20.0)


def test_complex_entries_have_the_density_of_circular_noise():
    n = 400
    noise = torch.view_as_complex(randn(n, 2, seed=3)) * (0.3 / 2**0.5)
    kept = Measurement(noise, Matrix(torch.eye(n, dtype=torch.complex128)), 0.3)
    nothing = torch.zeros(2, n, dtype=torch.complex128)
    found = prediction_of(kept, torch.ones(n, dtype=torch.bool), nothing, nothing[0])
    expected = -(noise.abs() ** 2 / 0.09).sum() - n * math.log(math.pi * 0.09)
    assert found.log_score == pytest.approx(float(expected), rel=1e-9)
