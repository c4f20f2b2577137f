"""Patch autoencoders, latent diffusion, and both by recipe and as model folders."""

from __future__ import annotations

import pytest
import torch
import yaml
from torch.utils.data import Dataset

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.models import build_model, describe_model
from sciddm.networks import LocalUNet, PatchAutoencoder
from sciddm.oracles import GaussianDenoiser
from sciddm.priors.autoencoder import Autoencoder, LatentDiffusion
from sciddm.process import EDM
from sciddm.training import load_recipe, train
from sciddm.training.module import training_loss
from sciddm.training.recipe import NoiseSpec
from sciddm.zoo import from_pretrained

SMALL = {"planes": 4, "pixels": 2, "codes": 5, "channels": 8, "blocks": 1, "center": 0.3}


def trained(**settings):
    """Weights away from where training begins, where nothing is predicted."""
    torch.manual_seed(0)
    net = PatchAutoencoder(**(SMALL | settings))
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return net.eval()


def cubes(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_patches_hold_every_entry_once():
    net = trained()
    x = torch.arange(2 * 8 * 6 * 4.0).reshape(2, 1, 8, 6, 4)
    patches = net.patches(x)
    assert torch.equal(net.whole(patches), x)
    expected = x[1, 0, 4:8, 2:4, 0:2].flatten().sort().values
    assert torch.equal(patches[1, :, 1, 1, 0].sort().values, expected)


@torch.no_grad()
def test_the_code_is_an_orthonormal_projection_and_that_of_what_is_decoded():
    net = trained()
    torch.testing.assert_close(net.basis() @ net.basis().T, torch.eye(5), atol=1e-5, rtol=0)
    x = cubes(2, 1, 8, 8, 12)
    z = net.encode(x)
    found = net.decode(z)
    torch.testing.assert_close(net.encode(found), z, atol=1e-4, rtol=0)
    linear = net.whole(torch.einsum("ck,bc...->bk...", net.basis(), z)) + 0.3
    assert (found - linear).abs().max() > 0.05  # the network predicts what the code leaves out


@torch.no_grad()
def test_white_noise_stays_white():
    net = trained()
    z = (net.encode(cubes(4, 1, 32, 32, 32)) - net.encode(torch.zeros(4, 1, 32, 32, 32))).movedim(
        1, 0
    )
    covariance = z.flatten(1) @ z.flatten(1).T / z[0].numel()
    torch.testing.assert_close(covariance, torch.eye(5), atol=0.03, rtol=0)


def test_training_begins_at_the_slowest_waves():
    net = PatchAutoencoder(planes=4, pixels=2, codes=5)
    flat = torch.full((1, 1, 4, 2, 2), 0.8)
    z = net.encode(flat)[0, :, 0, 0, 0]
    torch.testing.assert_close(z, torch.tensor([0.8 * 16**0.5, 0, 0, 0, 0]), atol=1e-5, rtol=0)
    ramp = torch.linspace(-1, 1, 4)[None, None, :, None, None].expand(1, 1, 4, 2, 2)
    torch.testing.assert_close(net.decode(net.encode(ramp)), ramp, atol=0.15, rtol=0)


@torch.no_grad()
def test_a_tile_with_its_context_decodes_as_the_whole_does():
    net = trained()
    x = cubes(1, 1, 8, 48, 48)
    margin = -(-net.context // net.stride) * net.stride
    whole = net.decode(net.encode(x))
    tile = net.decode(net.encode(x[..., 24 - margin :, : 20 + margin]))
    torch.testing.assert_close(tile[..., margin:, :20], whole[..., 24:, :20], atol=1e-5, rtol=0)
    # One pixel beyond it something matters.
    x.requires_grad_(True)
    with torch.enable_grad():
        (g,) = torch.autograd.grad(net.decode(net.encode(x))[0, 0, 3, 24, 24], x)
    rows = torch.nonzero(g[0, 0].abs().sum((0, 2)))[:, 0]
    assert net.context - 2 * net.stride <= (rows - 24).abs().max() <= net.context


def test_stacks_of_planes_mix_as_far_as_they_are_told():
    torch.manual_seed(0)
    net = LocalUNet(2, 2, [8], [1], cond_channels=1, mix=3).double()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    x = torch.randn(2, 2, 7, 6, 5, dtype=torch.float64, requires_grad=True)
    cond = torch.randn(2, 1, 7, 1, 1, dtype=torch.float64)
    out = net(x, torch.zeros(2, dtype=torch.float64), cond)
    assert out.shape == x.shape
    (g,) = torch.autograd.grad(out[1, :, 3].sum(), x)
    touched = g.abs().sum((1, 3, 4)) > 0
    assert touched.tolist() == [[False] * 7, [False, False, True, True, True, False, False]]
    every = torch.cat([net(x[:, :, i : i + 3], torch.zeros(2), cond[:, :, i : i + 3])[:, :, 1:2]
                       for i in range(5)], dim=2)  # fmt: skip
    torch.testing.assert_close(every, out[:, :, 1:6])


def latent(noise_free=False):
    torch.manual_seed(1)
    auto = Autoencoder(PatchAutoencoder(**SMALL))
    net = LocalUNet(5, 5, [8], [1], cond_channels=2, mix=3)
    return LatentDiffusion(auto, NetworkDenoiser(net, EDM(0.01, 5.0), "edm", data_std=0.5))


def test_the_losses_are_what_they_say():
    model = latent()
    x, cond, z = cubes(3, 1, 8, 4, 4), cubes(3, 2, 2, 1, 1), cubes(3, 5, 2, 2, 2, seed=4)
    t = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)
    expected = model.denoiser.loss(model.autoencoder.encode(x), t, None, cond, z)
    torch.testing.assert_close(model.loss(x, t, cond, z), expected)
    auto = model.autoencoder
    error = (auto.decode(auto.encode(x)) - x).square().mean((1, 2, 3, 4))
    torch.testing.assert_close(auto.loss(x), error.log(), atol=1e-4, rtol=0)
    model.loss(x, t, cond, z).sum().backward()
    assert all(p.grad is None for p in auto.parameters())
    assert any(p.grad is not None for p in model.denoiser.parameters())
    batch = {"x0": x, "cond": cond}
    assert training_loss(model, batch, NoiseSpec()).shape == (3,)
    torch.testing.assert_close(training_loss(auto, batch, NoiseSpec()), auto.loss(x))


def test_models_are_described_as_they_are_built():
    model = latent()
    again = build_model(describe_model(model))
    assert isinstance(again, LatentDiffusion)
    assert describe_model(again) == describe_model(model)
    alone = build_model(describe_model(model.autoencoder))
    assert isinstance(alone, Autoencoder)
    alone.load_state_dict(model.autoencoder.state_dict())
    x = cubes(1, 1, 8, 4, 4)
    torch.testing.assert_close(alone.encode(x), model.autoencoder.encode(x))


class Waves(Dataset):
    """Cubes of two smooth spectra."""

    def __init__(self, split: str, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed + (split == "validate"))
        at = torch.arange(8.0)[:, None, None]
        phase = torch.rand(24, 1, 1, 1, generator=generator)
        self.x = 0.3 + torch.cos(at / 2 + 6 * phase)[:, None].expand(-1, -1, -1, 4, 4)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x0": self.x[index], "cond": torch.zeros(2, 2, 1, 1)}


def write(path, **values):
    optimisation = {"steps": 25, "batch_size": 8, "precision": "32", "lr": 1e-2, "warmup_steps": 2}
    whole = {
        "summary": "Waves.",
        "data": {"dataset": f"{__name__}.Waves"},
        "autoencoder": {"network": {"name": "PatchAutoencoder", **SMALL}},
        "optimisation": {**optimisation, "ema_decay": 0.8},
        **values,
    }
    path.write_text(yaml.safe_dump(whole))
    return load_recipe(path)


DENOISER = {
    "process": {"name": "EDM", "sigma_min": 0.01, "sigma_max": 5.0},
    "network": {
        "name": "LocalUNet",
        "in_channels": 5,
        "out_channels": 5,
        "cond_channels": 2,
        "channels": [8],
        "blocks": [1],
        "mix": 3,
    },
    "denoiser": {"data_std": 0.5},
}


def test_stages_train_one_after_the_other(tmp_path):
    x = Waves("validate").x
    recipe = write(tmp_path / "a.yaml", name="first")
    before = build_model(recipe.sections()).loss(x).mean()
    folder = train(recipe, tmp_path / "a", progress=False)
    first = from_pretrained(folder).model
    assert isinstance(first, Autoencoder)
    assert first.loss(x).mean() < before - 0.3
    second = write(tmp_path / "b.yaml", name="second", start_from=str(folder), **DENOISER)
    model = from_pretrained(train(second, tmp_path / "b", progress=False)).model
    assert isinstance(model, LatentDiffusion)
    for mine, theirs in zip(model.autoencoder.parameters(), first.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    third = write(tmp_path / "c.yaml", name="third", start_from=str(tmp_path / "b" / "model"), **DENOISER)  # fmt: skip  # noqa: E501
    train(third, tmp_path / "c", progress=False)
    with pytest.raises(InputError, match="do not fit"):
        train(write(tmp_path / "d.yaml", name="d", start_from=str(tmp_path / "b" / "model")),
              tmp_path / "d", progress=False)  # fmt: skip


def test_bad_recipes_and_shapes(tmp_path):
    with pytest.raises(InputError, match="missing key network"):
        write(tmp_path / "a.yaml", name="a", process={"name": "EDM"}, denoiser={"data_std": 1.0})
    network = {"name": "LocalUNet", "in_channels": 2, "out_channels": 4}
    with pytest.raises(InputError, match="not both"):
        write(tmp_path / "a.yaml", name="a", predictor={"network": network})
    with pytest.raises(ValueError, match="do not cut"):
        trained().encode(torch.zeros(1, 1, 8, 5, 4))
    with pytest.raises(ValueError, match="1 to 16 codes"):
        PatchAutoencoder(planes=4, pixels=2, codes=17)
    with pytest.raises(ValueError, match="odd"):
        LocalUNet(1, 1, mix=2)


@torch.no_grad()
def test_diffusion_of_codes_gives_the_posterior_of_a_gaussian_cube():
    """Codes of noisy data are the diffusion's state at the data's level: one evaluation of the
    denoiser is the posterior mean, for cubes that lie in the code's range."""
    net = PatchAutoencoder(**SMALL)
    basis = net.basis().double()
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    prior = root @ root.T
    sigma, truth = 0.7, root @ torch.randn(5, 1, generator=generator, dtype=torch.float64)
    y = 0.3 + basis.T @ truth + sigma * torch.randn(16, 1, generator=generator).double()
    wide = basis.T @ prior @ basis
    gain = wide @ torch.linalg.inv(wide + sigma**2 * torch.eye(16))
    expected = 0.3 + gain @ (y - 0.3)
    cube = net.whole(y.float()[None, :, :, None, None].reshape(1, 16, 1, 1, 1))
    denoiser = GaussianDenoiser(EDM(0.01, 5.0), torch.zeros(5).double(), prior)
    mean = denoiser(net.encode(cube).double().reshape(1, 5), sigma)
    found = net.decode(mean.float().reshape(1, 5, 1, 1, 1))
    torch.testing.assert_close(
        net.patches(found).reshape(16, 1).double(), expected, atol=1e-4, rtol=0
    )
