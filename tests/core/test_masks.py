"""Masks: the logit parametrization, its loss, segmenters, windows and patches."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.losses.mask_loss import MaskLoss
from sciddm.models import build_model, describe_model
from sciddm.networks import PlainUNet, UNet
from sciddm.networks.patches import patches_of, pixels_of
from sciddm.priors.segmenter import Segmenter
from sciddm.priors.windowed import WindowedDenoiser, in_windows
from sciddm.process import SBVE, VPCosine
from sciddm.random.streams import Streams
from sciddm.sampling import DDIM, karras, sample
from sciddm.training.module import training_loss
from sciddm.training.recipe import NoiseSpec

F64 = torch.float64


class BernoulliLogit(nn.Module):
    """Exact logits of independent voxels with P(x0 = 1) = p: logit p + 2 a x_t / s^2."""

    def __init__(self, process, p: float) -> None:
        super().__init__()
        self.process, self.prior = process, math.log(p / (1 - p))

    def forward(self, x: Tensor, level: Tensor, cond: Tensor | None = None) -> Tensor:
        sigma = level.exp().double()
        a, _, s = self.process(self.process.times(sigma))
        ratio = (a / s**2).reshape(-1, *[1] * (x.ndim - 1))
        return self.prior + 2 * ratio * x


def exact(p: float = 0.3) -> NetworkDenoiser:
    process = VPCosine(end=0.005)
    return NetworkDenoiser(BernoulliLogit(process, p), process, "logit")


def test_the_mean_of_a_mask_is_bayes():
    """E[x0 | x_t] = (p N(a) - q N(-a)) / (p N(a) + q N(-a)) for x0 = +-1 with p, q = 1 - p."""
    denoiser, p = exact(), 0.3
    x = torch.linspace(-3, 3, 41, dtype=F64)[None, None]
    for sigma in (0.3, 1.0, 4.0, 50.0):
        t = denoiser.process.time(sigma)
        a, _, s = denoiser.process(t)
        up, down = (torch.exp(-((x - m * a) ** 2) / (2 * s**2)) for m in (1, -1))
        expected = (p * up - (1 - p) * down) / (p * up + (1 - p) * down)
        assert torch.allclose(denoiser(x, t), expected, atol=1e-5)


def test_samples_of_masks_have_their_probability():
    """The share of ones among samples is p, and each sample has decided."""
    denoiser, p = exact(), 0.3
    grid = karras(denoiser.process, 60, 150.0, 0.15)
    streams = Streams(0, 1)
    x = denoiser.process.prior(streams.randn(torch.empty(1, 1, 40_000, dtype=F64), -1), t=grid[0])
    x0 = sample(denoiser, x, grid, DDIM(), generator=streams)
    assert float((x0.abs() > 0.9).double().mean()) > 0.97
    assert abs(float((x0 > 0).double().mean()) - p) < 0.02


def test_the_loss_term_by_term():
    torch.manual_seed(0)
    logits, mask = torch.randn(3, 1, 4, 5, 6), (torch.rand(3, 1, 4, 5, 6) < 0.2).float()
    x0 = 2 * mask - 1
    p = logits.sigmoid()
    bce = functional.binary_cross_entropy(p, mask, reduction="none").flatten(1).mean(1)
    mse = (p - mask).square().flatten(1).mean(1)
    assert torch.allclose(MaskLoss(0, 1, 0)(logits, x0), bce, atol=1e-6)
    assert torch.allclose(MaskLoss(0, 0, 1)(logits, x0), mse, atol=1e-6)
    both = MaskLoss(1, 2, 3)(logits, x0) - 2 * bce - 3 * mse
    from monai.losses import DiceLoss

    # MONAI adds its constant to both sums alike.
    reference = DiceLoss(sigmoid=True, smooth_nr=1, smooth_dr=1, reduction="none")(logits, mask)
    assert torch.allclose(both, reference.flatten(), atol=1e-6)


def test_two_empty_masks_agree():
    empty = -torch.ones(1, 1, 6, 6, 6)
    assert float(MaskLoss()(torch.full((1, 1, 6, 6, 6), -40.0), empty)) < 1e-6


def test_the_denoiser_trains_by_its_criterion():
    denoiser = NetworkDenoiser(
        BernoulliLogit(VPCosine(end=0.005), 0.5), VPCosine(end=0.005), "logit",
        criterion=MaskLoss(0.0, 1.0, 0.0),
    )  # fmt: skip
    torch.manual_seed(1)
    x0 = 2.0 * (torch.rand(2, 1, 5000, dtype=F64) < 0.5) - 1
    t = torch.full((2,), denoiser.process.time(1.0), dtype=F64)
    z = torch.randn_like(x0)
    loss = denoiser.loss(x0, t, z=z)
    x_t = denoiser.process.add_noise(x0, t, z=z)
    p = (denoiser(x_t, t) + 1) / 2
    expected = functional.binary_cross_entropy(p, (x0 + 1) / 2, reduction="none")
    assert torch.allclose(loss.double(), expected.flatten(1).mean(1).double(), atol=1e-5)


@pytest.mark.parametrize("options", [{"scale": 2.0}, {"center": 1.0}, {"complex_data": True}])
def test_masks_have_no_units(options):
    with pytest.raises(ValueError, match="masks in -1, 1"):
        NetworkDenoiser(nn.Identity(), VPCosine(), "logit", **options)
    with pytest.raises(ValueError, match="belongs to the logit"):
        NetworkDenoiser(nn.Identity(), VPCosine(), "x0", criterion=MaskLoss())


def test_patches_are_those_of_pixel_unshuffle():
    x = torch.randn(2, 3, 8, 12)
    assert torch.equal(patches_of(x, (4, 4)), functional.pixel_unshuffle(x, 4))
    assert torch.equal(pixels_of(patches_of(x, (4, 4)), (4, 4)), x)


def test_patches_of_volumes_go_there_and_back():
    x = torch.randn(2, 3, 4, 8, 9)
    blocks = patches_of(x, (2, 4, 3))
    assert blocks.shape == (2, 72, 2, 2, 3)
    # Channel ((c * 2 + i) * 4 + j) * 3 + k of block (1, 0, 2) is voxel (2 + i, j, 6 + k) of c.
    assert torch.equal(blocks[:, ((1 * 2 + 1) * 4 + 2) * 3 + 1, 1, 0, 2], x[:, 1, 3, 2, 7])
    assert torch.equal(pixels_of(blocks, (2, 4, 3)), x)


@torch.no_grad()
def test_a_network_of_anisotropic_patches_takes_any_size():
    torch.manual_seed(0)
    net = UNet(
        1, 1, channels=[4, 8], num_res_blocks=1, norm_num_groups=2, spatial_dims=3, patch=[1, 4, 2]
    ).eval()
    for p in net.parameters():
        nn.init.normal_(p, std=0.2)
    assert net.strides == [2, 8, 4]
    x, level = torch.randn(1, 1, 3, 9, 7), torch.tensor([0.3])
    padded = functional.pad(x, (0, 1, 0, 7, 0, 1), mode="replicate")
    assert torch.allclose(net(x, level), net(padded, level)[..., :3, :9, :7], atol=1e-5)


@torch.no_grad()
def test_windows_of_a_local_function_are_the_whole():
    x = torch.randn(1, 2, 11, 14, 9)
    seen = []

    def double(part: Tensor) -> Tensor:
        seen.append(part.shape[2:])
        return 2 * part[:, :1] - part[:, 1:]

    out = in_windows(double, x, (6, 8, 20), overlap=0.5)
    assert torch.allclose(out, 2 * x[:, :1] - x[:, 1:], atol=1e-5)
    assert set(seen) == {(6, 8, 9)}
    flat = in_windows(lambda p: double(p.unsqueeze(2)).squeeze(2), x, (1, 8, 8), overlap=0.25)
    assert torch.allclose(flat, 2 * x[:, :1] - x[:, 1:], atol=1e-5)


@torch.no_grad()
def test_a_windowed_sample_is_the_whole_sample():
    """Windows share one state, so that with a local network they change nothing."""
    denoiser = exact()
    windowed = WindowedDenoiser(denoiser, (4, 6, 6), overlap=0.25)
    grid = karras(denoiser.process, 4, 100.0, 1.0)
    streams = Streams(3, 1)
    x = denoiser.process.prior(streams.randn(torch.empty(1, 1, 7, 13, 10), -1), t=grid[0])
    whole = sample(denoiser, x, grid, DDIM(), generator=streams)
    parts = sample(windowed, x, grid, DDIM(), generator=streams)
    assert torch.allclose(parts, whole, atol=1e-4)
    with pytest.raises(ValueError, match="endpoint"):
        WindowedDenoiser(NetworkDenoiser(nn.Identity(), SBVE(), "x0"), (4, 6, 6))


@torch.no_grad()
def test_a_segmenter_gives_the_mean_of_its_logits():
    torch.manual_seed(0)
    net = PlainUNet(2, 1, channels=[4, 8], strides=[2], num_res_units=1).eval()
    model = Segmenter(net)
    cond = torch.randn(2, 2, 5, 7, 6)
    p = net(cond, torch.zeros(2)).sigmoid()
    assert torch.allclose(model(cond), 2 * p - 1, atol=1e-6)
    x0 = 2.0 * (torch.rand(2, 1, 5, 7, 6) < 0.3) - 1
    assert torch.allclose(model.loss(x0, cond), MaskLoss()(model.logits(cond), x0))
    batch = {"x0": x0, "cond": cond}
    assert torch.allclose(training_loss(model, batch, NoiseSpec()), model.loss(x0, cond))
    with pytest.raises(InputError, match="cond"):
        training_loss(model, {"x0": x0}, NoiseSpec())


def test_models_of_masks_are_made_again_from_their_description():
    plain = {"name": "PlainUNet", "in_channels": 2, "out_channels": 1}
    plain |= {"channels": [4, 8], "strides": [2], "num_res_units": 1}
    unet = {"name": "UNet", "in_channels": 1, "out_channels": 1, "cond_channels": 2}
    unet |= {"channels": [4, 8], "norm_num_groups": 2, "spatial_dims": 3, "patch": [1, 2, 2]}
    criterion = {"dice": 0.5, "bce": 1.0, "mse": 2.0}
    for config in (
        {"segmenter": {"network": plain, "criterion": criterion}},
        {
            "process": {"name": "VPCosine", "start": 1.0, "end": 0.01},
            "network": unet,
            "denoiser": {"parametrization": "logit", "data_std": 0.8, "criterion": criterion},
        },
    ):
        torch.manual_seed(0)
        model = build_model(config)
        told = describe_model(model)
        again = build_model(told)
        assert describe_model(again) == told
        assert again.criterion == MaskLoss(0.5, 1.0, 2.0)
        shapes = {k: v.shape for k, v in model.state_dict().items()}
        assert {k: v.shape for k, v in again.state_dict().items()} == shapes


def test_ratio_of_the_loss_is_checked():
    with pytest.raises(ValueError, match="not all 0"):
        MaskLoss(0, 0, 0)
    # P = 1/2, m = 1, two voxels: ln 2 + 1/4 + 1 - (2 * 1 + 1) / (1 + 2 + 1).
    value = float(MaskLoss()(torch.zeros(1, 1, 2), torch.ones(1, 1, 2)))
    assert value == pytest.approx(math.log(2) + 0.5)
