"""Undersampled training scans: are they measurements of their images?"""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from sciddm.denoiser import NetworkDenoiser
from sciddm.guidance import Informed
from sciddm.physics import CartesianMRI
from sciddm.pipelines.mri.training_scans import UndersampledScans
from sciddm.training.recipe import Recipe
from sciddm.training.run import build, train
from sciddm.zoo import from_pretrained


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """The three files of training slices, of discs."""
    root = tmp_path_factory.mktemp("data")
    (root / "mri").mkdir()
    y, x = np.mgrid[-1:1:64j, -1:1:56j]
    disc = (200 * (np.hypot(y / 0.8, x / 0.7) < 1) * (0.8 + 0.2 * np.cos(9 * x))).astype(np.uint8)
    with h5py.File(root / "mri" / "openms_brain_axial_224x192_u8.h5", "w") as file:
        file["images"] = np.stack([disc, disc])
        file["patient"] = [b"patient01", b"patient09"]
    with h5py.File(root / "mri" / "openms_mni_skullstripped_u8.h5", "w") as file:
        for name in ("patient07", "patient26"):
            file[f"{name}/T2"] = disc[None, 4:-4]
    with h5py.File(root / "mri" / "sts_t1_limb_1p5mm.h5", "w") as file:
        file["STS_001"] = disc[None, :40, :40]
    return root


def scans(root, **options) -> UndersampledScans:
    return UndersampledScans(str(root), rows=48, columns=32, coils=4, length=8, **options)


def batch_of(data: UndersampledScans, n: int = 8) -> dict[str, torch.Tensor]:
    items = [data[i] for i in range(n)]
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


def test_data_are_those_of_the_image_plus_unit_noise(data_root, monkeypatch):
    """|y - A x|^2 of every sample has mean 1 (its own deviation: 1 / sqrt(samples))."""
    monkeypatch.setattr(UndersampledScans, "_estimated", lambda self, maps, image, rng: maps)
    torch.manual_seed(1)
    batch = batch_of(scans(data_root))
    m = UndersampledScans.measurement(batch)
    sampled = (batch["mask"] > 0).expand_as(m.y)
    left = (m.y - m.A(batch["x0"])).abs().square()
    for item in range(len(left)):
        values = left[item][sampled[item]]
        assert values.mean() == pytest.approx(1, abs=5 / len(values) ** 0.5)
    assert (m.y[~sampled] == 0).all()
    assert m.y.abs().square().mean() > 10  # there is far more signal than noise


def test_maps_are_wrong_by_what_a_calibration_gets_wrong(data_root):
    """Smooth errors of a few per cent: the data contradict the image a little, its centre most."""
    torch.manual_seed(1)
    batch = batch_of(scans(data_root))
    norms = torch.linalg.vector_norm(batch["maps"], dim=1)
    level = norms.amax((1, 2), keepdim=True)  # 1 / noise level
    support = norms > 0
    assert torch.allclose(norms, support * level, rtol=1e-4)
    # Most end somewhere, and none within the image.
    assert 0.4 < (~support).any(-1).any(-1).float().mean() <= 1
    assert support[batch["x0"][:, 0].abs() > 0.2].float().mean() > 0.98
    m = UndersampledScans.measurement(batch)
    error = torch.linalg.vector_norm(m.y - batch["mask"] * m.A(batch["x0"]), dim=(1, 2, 3))
    relative = error / torch.linalg.vector_norm(m.y, dim=(1, 2, 3))
    assert 0.005 < relative.median() < 0.15


def test_masks_have_whole_lines_and_a_full_centre(data_root):
    torch.manual_seed(2)
    data = scans(data_root)
    masks = torch.cat([batch_of(data)["mask"][:, 0] for _ in range(8)])
    lines = [m for m in masks if bool((m == m[:, :1]).all())]
    assert 0.75 < len(lines) / len(masks) < 1
    for m in masks:
        assert (m[24 - 1 : 24 + 1, 16 - 1 : 16 + 1] == 1).all()
        assert 0.08 < m.mean() < 0.75
    counts = {int(m[:, 0].sum()) for m in lines}
    assert min(counts) <= 8  # accelerations from 10
    assert max(counts) >= 16  # to 2.5


def test_validation_items_are_always_the_same_and_training_items_never(data_root):
    fixed = [scans(data_root, split="validate")[3] for _ in range(2)]
    assert all(torch.equal(fixed[0][key], fixed[1][key]) for key in fixed[0])
    data = scans(data_root)
    assert not torch.equal(data[3]["x0"], data[3]["x0"])


def test_a_crop_of_columns_is_a_smaller_readout(data_root):
    """Lines are the same for every column: what holds of all columns holds of some."""
    torch.manual_seed(3)
    mask, maps = torch.zeros(48, 32), torch.randn(4, 48, 32, dtype=torch.complex64)
    mask[::3] = 1
    x = torch.randn(1, 48, 32, dtype=torch.complex64)
    whole = CartesianMRI(mask, maps).gram(x)
    part = CartesianMRI(mask[:, :10], maps[..., :10]).gram(x[..., :10])
    assert torch.allclose(whole[..., :10], part, atol=1e-4)


def test_sampling_starts_from_an_image_that_is_nearer_than_the_zero_filled_one(data_root):
    torch.manual_seed(1)
    batch = batch_of(scans(data_root))
    m = UndersampledScans.measurement(batch)
    weight = batch["maps"].abs().square().sum(1, keepdim=True)
    zero_filled = m.A.adjoint(m.y) / weight.clamp(min=1e-6)  # no maps, no image
    error, filled = (
        (image - batch["x0"]).abs().square().mean((1, 2, 3))
        for image in (batch["start"], zero_filled)
    )
    assert (error < filled).all()
    assert error.mean() < 0.6 * filled.mean()


def recipe_of(data_root, **denoiser) -> Recipe:
    network = {"name": "UNet", "in_channels": 2, "out_channels": 2, "channels": [8, 8]}
    network |= {"num_res_blocks": 1, "patch": 2, "norm_num_groups": 4, "cond_channels": 2}
    return Recipe(
        name="small",
        summary="of discs",
        process={"name": "EDM", "sigma_min": 0.002, "sigma_max": 10.0},
        network=network,
        denoiser={"data_std": 0.6, "complex_data": True, "estimate_errors": [0.2, 0.1]} | denoiser,
        data={
            "dataset": "sciddm.pipelines.mri.training_scans.UndersampledScans",
            "arguments": {"root": str(data_root), "rows": 48, "columns": 32, "coils": 2},
        },
        optimisation={
            "lr": 3e-3,
            "batch_size": 2,
            "steps": 200,
            "warmup_steps": 5,
            "ema_decay": 0.9,
        },
    )


@pytest.mark.filterwarnings("ignore")
def test_training_in_chains_comes_nearer_to_the_image(data_root, tmp_path):
    """Rounds of the trained network end nearer than those of the untrained one."""
    recipe = recipe_of(data_root)
    trained = from_pretrained(train(recipe, tmp_path, progress=False)).denoiser
    assert trained.estimate_errors == (0.2, 0.1)
    batch = batch_of(scans(data_root, split="validate"))

    def error(model: NetworkDenoiser) -> float:
        guided = Informed(
            model, UndersampledScans.measurement(batch), model.estimate_errors, batch["start"]
        )
        torch.manual_seed(0)  # the same noise for both
        with torch.no_grad():
            for _ in range(2):
                found = guided(10 * torch.randn_like(batch["x0"]), 10.0)
        return float((found - batch["x0"]).abs().square().mean())

    assert error(trained) < 0.9 * error(build(recipe))


def test_estimates_need_data_that_were_measured(data_root):
    with pytest.raises(ValueError, match="estimate_errors need measurements"):
        recipe_of(data_root).model_validate(
            recipe_of(data_root).model_dump(exclude={"data"})
            | {"data": {"dataset": "sciddm.pipelines.mri.training_data.BrainSlices"}}
        )
