"""A network in diffusers' folder reconstructs: trained here in seconds, read by --model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from sciddm.data_adapters import load_result, save_kspace
from sciddm.networks.unet_2d_model import UNet2DModel
from sciddm.pipelines.cli import app
from sciddm.process import DDPM
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan

SHAPE = (40, 32)
OPTIONS = {
    "in_channels": 2,
    "out_channels": 2,
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
    "layers_per_block": 1,
}


def trained() -> UNet2DModel:
    """Predicts the noise of heads whose tissue is near 1 and real."""
    torch.manual_seed(0)
    heads = np.stack(
        [np.reshape(head_phantom(SHAPE, seed=k, contrast="t2"), SHAPE) for k in range(16)]
    )
    heads /= np.quantile(heads, 0.99)
    x0 = torch.from_numpy(np.stack([heads, 0 * heads], 1)).float()
    network = UNet2DModel(**OPTIONS)
    optimizer = torch.optim.Adam(network.parameters(), 4e-3)
    process = DDPM()
    for _ in range(40):
        chosen = x0[torch.randint(len(x0), (4,))]
        k = torch.randint(1000, (4,))
        a, _, s = (c.reshape(-1, 1, 1, 1).float() for c in process((k + 1) / 1000))
        z = torch.randn_like(chosen)
        loss = (network(a * chosen + s * z, k) - z).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    unet = tmp_path_factory.mktemp("foreign") / "heads" / "unet"
    unet.mkdir(parents=True)
    (unet / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel", **OPTIONS}))
    state = {k: v.contiguous() for k, v in trained().state_dict().items()}
    save_file(state, unet / "diffusion_pytorch_model.safetensors")
    scheduler = {"_class_name": "DDPMScheduler", "beta_schedule": "linear", "beta_start": 1e-4}
    scheduler |= {"beta_end": 0.02, "num_train_timesteps": 1000, "prediction_type": "epsilon"}
    (unet.parent / "scheduler").mkdir()
    (unet.parent / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return unet.parent


def test_a_diffusers_folder_reconstructs_a_scan(folder, tmp_path):
    head = np.reshape(head_phantom(SHAPE, seed=99, contrast="t2"), SHAPE)
    save_kspace(simulate_scan(head, 4, 30.0, seed=1), tmp_path / "scan.h5")
    words = ["mri", "reconstruct", str(tmp_path / "scan.h5"), "-o", str(tmp_path / "image.h5")]
    words += ["--model", str(folder), "-R", "2", "--acs", "10", "--quality", "fast", "--json"]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.stderr
    verdict = json.loads(answer.stdout)["results"][0]["verdict"]
    assert verdict["familiar"]["answer"] == "not checked"
    assert verdict["calibrated"]["answer"] in ("not checked", "no")
    result = load_result(tmp_path / "image.h5")
    assert result.attrs["model"] == "heads"
    assert "not with heads" in result.attrs["error_field"]

    def error(name: str) -> float:
        return float(((result[name] - result["reference"]) ** 2).mean() ** 0.5)

    assert error("reconstruction") < 0.75 * error("zero_filled")


def test_an_imported_folder_is_a_model_of_its_own(folder, tmp_path):
    answer = CliRunner().invoke(
        app, ["models", "import", str(folder), "-o", str(tmp_path / "kept")]
    )
    assert answer.exit_code == 0, answer.stderr
    told = CliRunner().invoke(app, ["models", "info", str(tmp_path / "kept"), "--json"])
    card = json.loads(told.stdout)
    assert card["name"] == "kept"
    assert "UNet2DModel with DDPMScheduler" in card["summary"]
    again = CliRunner().invoke(app, ["models", "import", str(folder), "-o", str(tmp_path / "kept")])
    assert again.exit_code == 2


def test_a_network_of_magnitudes_is_refused_with_the_reason(tmp_path):
    from sciddm.denoiser import NetworkDenoiser
    from sciddm.errors import ModelError
    from sciddm.networks import DRUNet
    from sciddm.pipelines.mri.pipeline import MRIReconstruction
    from sciddm.process import EDM

    with pytest.raises(ModelError, match=r"real and imaginary part.*magnitudes"):
        MRIReconstruction(NetworkDenoiser(DRUNet(1, (4, 4, 4, 4), 1), EDM(), "x0"))
