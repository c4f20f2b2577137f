"""Networks of other packages: their files, their numbers, and what is refused.

The expected outputs were computed by diffusers 0.42.1 with the same parameters; folders are laid
out as its ``save_pretrained`` lays them out.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sciddm.errors import ModelError
from sciddm.networks.drunet import DRUNet
from sciddm.networks.unet_2d_model import LeveledUNet2D, UNet2DModel
from sciddm.oracles import GaussianDenoiser
from sciddm.process import DDPM, EDM
from sciddm.zoo import card, from_pretrained, save_model
from sciddm.zoo.foreign_folder import import_model, is_foreign

WEIGHTS = "diffusion_pytorch_model.safetensors"
PLAIN = {
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "attention_head_dim": 4,
}
ODD = {
    "block_out_channels": [8, 16, 16],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
    "layers_per_block": 2,
    "attention_head_dim": None,
    "resnet_time_scale_shift": "scale_shift",
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "mid_block_scale_factor": 1.4,
    "center_input_sample": True,
    "act_fn": "mish",
}
#: Entries 0, 100, 333 and 777 of the output.
GOLDEN = {
    "plain": (PLAIN, [-0.6181263, -0.2527618, -0.1761060, -0.0586261]),
    "odd": (ODD, [-0.1019405, -0.2313504, -0.2555568, -0.0222973]),
}


def filled(network: nn.Module) -> nn.Module:
    """With parameters that anybody can compute again."""
    for i, (name, p) in enumerate(sorted(network.named_parameters())):
        index = torch.arange(p.numel(), dtype=torch.float64)
        values = 0.2 * torch.sin(index * (0.7 + 0.013 * i) + i).reshape(p.shape)
        p.data = (values + ("norm" in name and name.endswith("weight"))).float()
    return network.eval()


def written(folder: Path, network: nn.Module, options: dict, scheduler: dict | None) -> Path:
    """A pipeline's folder, as diffusers writes it."""
    unet = folder / "unet"
    unet.mkdir(parents=True)
    about = {
        "_class_name": "UNet2DModel",
        "_diffusers_version": "0.42.1",
        "sample_size": 16,
        "class_embed_type": None,
        "dropout": 0.0,
        "time_embedding_type": "positional",
        "num_train_timesteps": None,
        "downsample_type": "conv",
        **options,
    }
    (unet / "config.json").write_text(json.dumps(about))
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, unet / WEIGHTS)
    if scheduler is not None:
        (folder / "scheduler").mkdir()
        (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


DDPM_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_network_computes_what_diffusers_computes(name):
    options, expected = GOLDEN[name]
    network = filled(UNet2DModel(in_channels=2, out_channels=2, **options))
    x = torch.sin(torch.arange(1024).float() * 0.37).reshape(2, 2, 16, 16)
    with torch.no_grad():
        out = network(x, torch.tensor([3.5, 700.0])).flatten()
    np.testing.assert_allclose(out[[0, 100, 333, 777]], expected, atol=2e-5)


class Exact(nn.Module):
    """What a discrete network of unit Gaussian data gives: E[z | x_t] = s x_t."""

    def forward(self, x, k):
        sigma = torch.exp(self.levels[k.long()]).reshape(-1, 1, 1, 1)
        z = sigma / (1 + sigma**2) ** 0.5 * x
        if self.kind == "epsilon":
            return z
        a = (1 + sigma**2) ** -0.5
        return a * x if self.kind == "sample" else torch.zeros_like(x)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_every_prediction_gives_the_mean(kind):
    network = LeveledUNet2D({"in_channels": 2, "out_channels": 2, **PLAIN}, prediction=kind)
    exact = Exact()
    exact.levels, exact.kind = network.levels, kind
    exact.multiple = 2
    network.unet = exact
    x = torch.randn(3, 2, 8, 8)
    k = torch.tensor([5, 400, 900])
    with torch.no_grad():
        mean = network(x, network.levels[k])
    sigma = network.levels[k].exp().reshape(-1, 1, 1, 1)
    torch.testing.assert_close(mean, x / (1 + sigma**2), rtol=2e-4, atol=1e-6)
    oracle = GaussianDenoiser(EDM(), torch.zeros(2), torch.eye(2))
    torch.testing.assert_close(
        mean[1, :, 0, 0], oracle(x[1:2, :, 0, 0], float(sigma[1]))[0].float()
    )


def test_the_index_lies_where_the_schedule_has_the_level():
    network = LeveledUNet2D({"in_channels": 2, "out_channels": 2, **PLAIN})
    process = DDPM()
    for t in (0.01, 0.3335, 0.77):
        sigma = float(process.sigma(t))
        assert float(network._index(torch.tensor([np.log(sigma)]).float())) == pytest.approx(
            float(process.index(t)), abs=0.02
        )


def test_a_pipeline_folder_is_a_prior_of_complex_images(tmp_path):
    options = {"in_channels": 2, "out_channels": 2, **PLAIN}
    network = filled(UNet2DModel(**options))
    folder = written(tmp_path / "mine", network, options, DDPM_SCHEDULER)
    model = from_pretrained(folder)
    assert model.name == "mine"
    assert "DDPMScheduler" in card(folder).summary
    assert card(folder).calibration == {}
    denoiser = model.denoiser
    denoiser.precision = "float32"
    assert denoiser.complex_data
    # Values of the network are those of the data: real and imaginary parts as they are.
    x = torch.randn(1, 1, 15, 18, dtype=torch.complex64)
    sigma = 0.4
    with torch.no_grad():
        mean = denoiser(x, sigma * 2**0.5)  # each part has the level .4
        a = (1 + sigma**2) ** -0.5
        parts = torch.cat([x.real, x.imag], 1)
        padded = nn.functional.pad(parts, (0, 0, 0, 1), mode="replicate")
        k = float(DDPM().index(DDPM().time(sigma)))
        noise = network(a * padded, torch.tensor([k]))[:, :, :15]
    expected = parts - sigma * noise
    torch.testing.assert_close(mean.real, expected[:, :1], rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(mean.imag, expected[:, 1:], rtol=1e-3, atol=2e-3)
    # The network's folder alone finds its scheduler; a model folder made of it says the same.
    again = from_pretrained(folder / "unet").denoiser
    save_model(denoiser, tmp_path / "kept", {"name": "kept"})
    kept = from_pretrained(tmp_path / "kept").denoiser
    for other, close in ((again, 1e-6), (kept, 2e-2)):
        other.precision = "float32"
        with torch.no_grad():
            torch.testing.assert_close(other(x, 0.5), denoiser(x, 0.5), rtol=0, atol=close)


def test_one_channel_is_told_its_range(tmp_path):
    options = {"in_channels": 1, "out_channels": 1, **PLAIN}
    network = filled(UNet2DModel(**options))
    folder = written(tmp_path / "ct", network, options, DDPM_SCHEDULER)
    with pytest.raises(ModelError, match=r"1 channel does not say .*--low and --high"):
        from_pretrained(folder)
    model, _ = import_model(folder, low=-1000, high=1000)
    assert (model.scale, model.center, model.complex_data) == (1000, 0, False)
    model.precision = "float32"
    x = 1000 * torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        mean = model(x, 400.0)
        inside, _ = import_model(folder, low=-1, high=1)
        inside.precision = "float32"
        torch.testing.assert_close(mean, 1000 * inside(x / 1000, 0.4), rtol=1e-4, atol=0.1)
    with pytest.raises(ModelError, match="not below"):
        import_model(folder, low=1, high=-1)


def test_edm_networks_have_their_preconditioning(tmp_path):
    options = {"in_channels": 2, "out_channels": 2, **PLAIN}
    network = filled(UNet2DModel(**options))
    scheduler = {"_class_name": "EDMEulerScheduler", "sigma_min": 0.002, "sigma_max": 80.0}
    model = from_pretrained(written(tmp_path / "edm", network, options, scheduler)).denoiser
    model.precision = "float32"
    x, sigma = torch.randn(1, 1, 16, 16, dtype=torch.complex64), 0.7
    parts = torch.cat([x.real, x.imag], 1)
    total = sigma**2 + 0.25
    with torch.no_grad():
        out = network(parts / total**0.5, torch.tensor([np.log(sigma) / 4]))
        expected = 0.25 / total * parts + sigma * 0.5 / total**0.5 * out
        mean = model(x, sigma * 2**0.5)
    torch.testing.assert_close(mean.real, expected[:, :1], rtol=1e-4, atol=1e-4)


def test_drunet_weights_become_a_denoiser(tmp_path):
    network = filled(DRUNet(1, (4, 6, 8, 10), blocks=2))
    torch.save(network.state_dict(), tmp_path / "drunet_gray.pth")
    save_file(network.state_dict(), tmp_path / "drunet_gray.safetensors")
    with pytest.raises(ModelError, match="values 0 and 1"):
        from_pretrained(tmp_path / "drunet_gray.pth")
    x = torch.rand(2, 1, 13, 16)
    for suffix in ("pth", "safetensors"):
        model, about = import_model(tmp_path / f"drunet_gray.{suffix}", low=0, high=2)
        model.precision = "float32"
        assert about.name == "drunet_gray"
        with torch.no_grad():
            expected = 2 * network(x, torch.full((2,), 0.1).log())
            torch.testing.assert_close(model(2 * x, 0.2), expected, rtol=1e-5, atol=1e-6)
    # The level is a map beside the image: a network that copies it gives it back.
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        network.m_head.weight[0, 1, 1, 1] = 1
        network.m_tail.weight[0, 0, 1, 1] = 1
        assert float(network(x, torch.full((2,), 0.1).log()).mean()) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"]}, "CrossAttnDownBlock2D"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type"),
        ({"num_class_embeds": 10}, "num_class_embeds"),
        ({"block_out_channels": [8, 100_000]}, "no network has that size"),
        ({"block_out_channels": [8, 32]}, "size mismatch"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path, changes, said):
    options = {"in_channels": 2, "out_channels": 2, **PLAIN}
    folder = written(tmp_path / "m", filled(UNet2DModel(**options)), options | changes, None)
    with pytest.raises(ModelError, match=said):
        from_pretrained(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"beta_schedule": "sigmoid"}, "sigmoid"),
        ({"rescale_betas_zero_snr": True}, "zero_snr"),
        ({"prediction_type": "other"}, "prediction"),
        ({"num_train_timesteps": "many"}, "configuration is damaged"),
        ({"num_train_timesteps": float("nan")}, "configuration is damaged"),
        ({"beta_end": None}, "configuration is damaged"),
    ],
)
def test_schedules_that_are_not_supported_are_named(tmp_path, changes, said):
    options = {"in_channels": 2, "out_channels": 2, **PLAIN}
    network = filled(UNet2DModel(**options))
    folder = written(tmp_path / "m", network, options, DDPM_SCHEDULER | changes)
    with pytest.raises(ModelError, match=said):
        from_pretrained(folder)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def test_nothing_in_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("evil.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"m_head.weight": Evil()}, "evil2.pth")
    Path("empty.safetensors").write_bytes(b"")
    save_file({"other": torch.zeros(2)}, "other.safetensors")
    for name in ("evil.pth", "evil2.pth", "empty.safetensors", "other.safetensors"):
        assert is_foreign(name)
        with pytest.raises(ModelError, match=name):
            import_model(name, low=0, high=1)
    assert not Path("ran").exists()
