"""Reconstruction with a model that sees the measurement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sciddm.classical.tv_measurement import starting_image
from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.errors import InputError
from sciddm.networks import build_network
from sciddm.physics import Identity, Measurement, as_lines
from sciddm.physics.mri.encoding import encode
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri import MRIReconstruction
from sciddm.pipelines.mri.active import ActiveAcquisition
from sciddm.pipelines.mri.settings import CONDITIONAL, ConditionalSettings
from sciddm.pipelines.mri.slices import reconstruct_slice
from sciddm.process import EDM
from sciddm.sampling import karras
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan, undersample

NOISE = 0.01


def pipeline(scale: float = 0.05) -> MRIReconstruction:
    """An untrained network: what it says is noise, a little of it, but not symmetric."""
    torch.manual_seed(0)
    config = {"name": "UNet", "in_channels": 2, "out_channels": 2, "channels": [8, 8]}
    config |= {"num_res_blocks": 1, "patch": 2, "norm_num_groups": 4, "cond_channels": 2}
    network = build_network(config)
    torch.nn.init.normal_(network.net.out[2].conv.weight, std=scale)
    denoiser = NetworkDenoiser(
        network, EDM(0.002, 10.0), data_std=0.15, complex_data=True, estimate_errors=[0.2, 0.1]
    )
    return MRIReconstruction(denoiser)


@pytest.fixture(scope="module")
def scan():
    full = simulate_scan(head_phantom((48, 32), seed=1), 4, snr_db=35.0, seed=2, with_maps=True)
    return undersample(full, make_mask("random", (48, 32), 3, 10, seed=3))


@pytest.mark.parametrize("quality", ["fast", "balanced"])
def test_the_budget_is_that_of_the_quality_and_the_data_are_kept(scan, quality):
    result = pipeline()(scan, quality=quality)
    settings = CONDITIONAL[quality]
    assert result.attrs["nfe"] * result.attrs["samples"] == settings.evaluations
    assert result.attrs["nfe"] * (result.attrs["samples"] if quality == "fast" else 1) <= 10
    assert result.attrs["nvjp"] == 0
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


class Agreeing(Denoiser):
    """Says what the estimate says, and remembers what it was shown at which level."""

    sees_estimate = True
    estimate_errors = (0.3, 0.2)
    process = EDM(0.002, 10.0)

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, torch.Tensor]] = []

    def forward(self, x_t, t, y=None, cond=None):
        self.seen.append((float(t), cond.clone()))
        return cond


def test_other_trajectories_are_refused(scan):
    coded = encode(
        torch.from_numpy(scan["kspace"].values[0]),
        torch.from_numpy(scan["mask"].values.astype(bool)).reshape(48, 32),
        NOISE**2 * torch.eye(4, dtype=torch.complex64),
    )
    m = Measurement(torch.zeros(1, 48, 32, dtype=torch.complex64), Identity(3), NOISE)
    settings = CONDITIONAL["fast"]
    with pytest.raises(InputError, match="Cartesian"):
        reconstruct_slice(Agreeing(), replace(coded, measurement=m), settings, 0, 0)


def upright(image, member):
    image = image.flip(-1) if member & 1 else image
    return image.conj() if member & 2 else image


def test_rounds_come_first_and_samples_start_from_the_last(scan):
    settings = ConditionalSettings(rounds=3, samples=2, steps=2, sigma_max=0.25, start=5)
    coded = encode(
        torch.from_numpy(scan["kspace"].values[0]),
        torch.from_numpy(scan["mask"].values.astype(bool)).reshape(48, 32),
        NOISE**2 * torch.eye(4, dtype=torch.complex64),
    )
    model = Agreeing()
    ticks: list[int] = []
    reconstruct_slice(model, coded, settings, 0, 0, lambda *_: ticks.append(1))
    assert len(ticks) == len(model.seen) == settings.levels == 3 + 3
    # At the noisiest level the state says nothing: all there is is the estimate, and its error.
    grid = [0.3, 0.2, 0.2]
    grid += [(s**-2 + 0.2**-2) ** -0.5 for s in karras(model.process, 2, 0.25, 0.02, rho=4)]
    for (level, _), expected in zip(model.seen, grid, strict=True):
        assert level == pytest.approx(expected, rel=1e-2)
    # Each is shown what the one before found: here the same image with the data put in again.
    # Item i of round k is seen through the (k + i)-th symmetry, the samples' first level anew.
    shown = [
        torch.stack([upright(item, (k % 3 + i) % 4) for i, item in enumerate(cond)])
        for k, (_, cond) in enumerate(model.seen)
    ]
    m = as_lines(coded.measurement)
    for k in range(3):
        found = m.prox(shown[k], 1 / (grid[k] ** -2 + 10.0**-2))
        if k == 2:
            found = found.expand(2, -1, -1, -1)  # both samples go on from it
        difference = (shown[k + 1] - found).abs().max()
        assert difference < 1e-3 * found.abs().max()


def test_the_bundled_model_is_nearer_than_total_variation():
    """By the numbers of its card it is; here on a head it has not seen, a drawn one."""
    full = simulate_scan(head_phantom((112, 96), seed=5), 6, snr_db=30.0, seed=4, with_maps=True)
    scan = undersample(full, make_mask("random", (112, 96), 5, 12, seed=1))
    result = MRIReconstruction.from_pretrained("mri-brain-conditional")(scan, quality="fast")
    coded = encode(
        torch.from_numpy(scan["kspace"].values[0]),
        torch.from_numpy(scan["mask"].values.astype(bool)).reshape(112, 96),
        scan.attrs["noise_std"] ** 2 * torch.eye(6, dtype=torch.complex64),
        torch.from_numpy(scan["maps"].values[0]),
    )
    start = coded.frame.to_scan(starting_image(coded.measurement, 200)).abs()[0].numpy()
    truth = scan["reference"].values[0]
    mine, theirs = (
        float(np.linalg.norm(image - truth))
        for image in (result["reconstruction"].values[0], np.squeeze(start))
    )
    assert mine < 0.8 * theirs
    assert result.attrs["consistency"] < 1.25
