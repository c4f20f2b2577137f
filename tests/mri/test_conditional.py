"""Reconstruction with a model that sees the measurement."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.networks import build_network
from sciddm.pipelines.mri import MRIReconstruction
from sciddm.pipelines.mri.active import ActiveAcquisition
from sciddm.pipelines.mri.masks import make_mask
from sciddm.pipelines.mri.phantom import head_phantom
from sciddm.pipelines.mri.settings import CONDITIONAL
from sciddm.pipelines.mri.simulation import simulate_scan, undersample
from sciddm.process import EDM

NOISE = 0.01


def pipeline(scale: float = 0.05) -> MRIReconstruction:
    """An untrained network: what it says is noise, a little of it, but not symmetric."""
    torch.manual_seed(0)
    config = {"name": "UNet", "in_channels": 2, "out_channels": 2, "channels": [8, 8]}
    config |= {"num_res_blocks": 1, "patch": 2, "norm_num_groups": 4, "cond_channels": 2}
    network = build_network(config)
    torch.nn.init.normal_(network.net.out[2].conv.weight, std=scale)
    denoiser = NetworkDenoiser(network, EDM(0.002, 10.0), data_std=0.15, complex_data=True)
    return MRIReconstruction(denoiser)


@pytest.fixture(scope="module")
def scan():
    full = simulate_scan(head_phantom((48, 32), seed=1), 4, snr_db=35.0, seed=2, with_maps=True)
    return undersample(full, make_mask("random", (48, 32), 3, 10, seed=3))


@pytest.mark.parametrize("quality", ["fast", "balanced"])
def test_the_budget_is_that_of_the_quality_and_the_data_are_kept(scan, quality):
    result = pipeline()(scan, quality=quality)
    settings = CONDITIONAL[quality]
    assert result.attrs["nfe"] * result.attrs["samples"] == settings.levels * 2
    assert result.attrs["nfe"] * (result.attrs["samples"] if quality == "fast" else 1) <= 10
    assert result.attrs["nvjp"] == settings.krylov * result.attrs["nfe"]
    assert 0.7 < result.attrs["consistency"] < 1.15


def test_lines_along_the_columns_are_turned(scan):
    """The network knows rows of phase encoding: a scan on its side gives an image on its side."""
    side = scan.rename(ky="kx", kx="ky", y="x", x="y").transpose(..., "ky", "kx")
    side["maps"] = side["maps"].transpose(..., "y", "x")
    side = side.drop_vars("reference")
    upright = pipeline()(scan, quality="fast", noise_std=NOISE)
    turned = pipeline()(side, quality="fast", noise_std=NOISE)
    image = upright["reconstruction"].values[0]
    found = turned["reconstruction"].values[0].T
    np.testing.assert_allclose(found, image, atol=2e-3 * image.max())
    # Shown as it lies, the network would have said something else.
    mixed = side.copy()
    mixed["kspace"] = side["kspace"].copy()
    mask = mixed["mask"].values.copy()
    mask[..., 0, 0] = ~mask[..., 0, 0]  # no longer whole lines
    mixed["mask"] = (mixed["mask"].dims, mask)
    lying = pipeline()(mixed, quality="fast", noise_std=NOISE)["reconstruction"].values[0].T
    assert np.abs(lying - image).max() > 0.02 * image.max()


def test_an_acquisition_is_chosen_with_a_prior(scan):
    with pytest.raises(InputError, match="unconditional"):
        ActiveAcquisition(pipeline(), (4, 48, 32), lines=16)
