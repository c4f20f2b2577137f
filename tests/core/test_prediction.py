"""Data that were kept out, against exact Gaussian posteriors, right and wrong."""

from __future__ import annotations

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
