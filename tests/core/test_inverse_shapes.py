"""Shapes that do not fit are named before anything is sampled."""

from __future__ import annotations

import pytest
import torch

import sciddm
from sciddm.errors import InputError
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import FunctionOperator
from sciddm.process import EDM

PRIOR = GaussianDenoiser(EDM(), torch.zeros(16), torch.eye(16))


def test_a_prior_of_other_images_is_named():
    halves = FunctionOperator(lambda x: x[..., :2] + x[..., 2:], (4, 4))
    y = torch.ones(3, 4, 2)
    with pytest.raises(InputError, match=r"images of A have the shape \(4, 4\)"):
        sciddm.sample_posterior(y, halves, PRIOR, sigma=0.1, samples=2, steps=2)


def test_data_out_of_range_of_the_operator_are_named():
    halves = FunctionOperator(lambda x: x[..., :8] + x[..., 8:], (16,))
    with pytest.raises(InputError, match=r"y of shape \(3, 5\) is not in the range of A"):
        sciddm.sample_posterior(torch.ones(3, 5), halves, PRIOR, sigma=0.1, samples=2, steps=2)


def test_images_as_vectors_of_the_prior():
    """What the guide says: the function begins with a reshape."""

    def halves(x):
        image = x.reshape(-1, 4, 4)
        return image[..., :2] + image[..., 2:]

    y = 2 * torch.ones(3, 4, 2)
    posterior = sciddm.sample_posterior(
        y, FunctionOperator(halves, (16,)), PRIOR, sigma=0.05, samples=64, steps=20
    )
    # y = a + b with a and b of unit variance: the mean of each is y / 2, near 1.
    assert posterior.mean.shape == (3, 16)
    assert posterior.mean.mean() == pytest.approx(1.0, abs=0.05)
