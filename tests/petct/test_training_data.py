"""Training data: patches keep images and masks together; folders of challenges are read."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from petct_files import study as ball_study

from sciddm.errors import InputError
from sciddm.geometry.grid import Grid
from sciddm.pipelines.engine.real_data import data_root
from sciddm.pipelines.petct.augment import Augmentation, cut_patch
from sciddm.pipelines.petct.folders import FolderStudies, find_cases
from sciddm.pipelines.petct.sarcoma import FILE
from sciddm.pipelines.petct.study import Study
from sciddm.pipelines.petct.training_data import FolderPatches, SarcomaPatches


def a_study() -> Study:
    """SUV 8 and HU 60 exactly where the mask is, in SUV 1 and HU -100."""
    rng = np.random.default_rng(0)
    mask = np.zeros((20, 30, 28), bool)
    mask[6:13, 8:22, 9:20] = True
    mask &= rng.random(mask.shape) < 2
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    suv, hu = np.where(mask, 8.0, 1.0), np.where(mask, 60.0, -100.0)
    return Study("s", suv, hu, mask, Grid(affine, (20, 30, 28)))


def test_a_patch_as_it_is():
    study = a_study()
    rng = np.random.default_rng(0)
    suv, hu, mask = cut_patch(study, (8, 10, 12), (10.5, 14.5, 13.5), rng, None)
    part = (slice(7, 15), slice(10, 20), slice(8, 20))
    assert np.allclose(suv, study.suv[part], atol=1e-4)
    assert np.allclose(hu, study.hu[part], atol=1e-3)
    assert np.array_equal(mask.numpy() > 0, study.mask[part])


def test_beyond_the_study_there_is_air():
    study = a_study()
    suv, hu, mask = cut_patch(study, (8, 10, 12), (0, 0, 0), np.random.default_rng(0), None)
    assert float(suv[0, 0, 0]) == 0
    assert float(hu[0, 0, 0]) == -1000
    assert float(mask[0, 0, 0]) == -1


@pytest.mark.parametrize("seed", range(6))
def test_turned_and_stretched_they_stay_together(seed):
    """Without changes of intensity the mask is where the images say."""
    a = Augmentation(suv=0, hu=0, noise_suv=0, noise_hu=0)
    study = a_study()
    rng = np.random.default_rng(seed)
    suv, hu, mask = cut_patch(study, (16, 24, 24), (9.5, 14.5, 14), rng, a)
    inside = mask > 0
    assert inside.sum() > 300
    assert torch.equal(inside, suv > 4.5) or (inside ^ (suv > 4.5)).sum() <= 0.01 * inside.sum()
    assert (inside ^ (hu > -20)).sum() <= 0.01 * inside.sum()


def test_volume_changes_as_the_stretch_says():
    """An isotropic map of e^s makes an object e^(-3s) as large, in mm as in voxels."""
    rng = np.random.default_rng(5)
    study = a_study()
    volumes = []
    for _ in range(60):
        a = Augmentation(turn_deg=30, stretch=0.0, noise_suv=0, noise_hu=0)
        _, _, mask = cut_patch(study, (24, 40, 40), (9, 14.5, 14), rng, a)
        volumes.append(float((mask > 0).sum()))
    assert np.mean(volumes) == pytest.approx(study.mask.sum(), rel=0.02)


def write(path, values, spacing, dtype=np.float32):
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    nib.save(nib.Nifti1Image(values.transpose(2, 1, 0).astype(dtype), affine), path)


def layout(root, kind, case="a"):
    files = {
        "hecktor": ("imagesTr/{}__CT.nii.gz", "imagesTr/{}__PT.nii.gz", "labelsTr/{}.nii.gz"),
        "nnunet": ("imagesTr/{}_0000.nii.gz", "imagesTr/{}_0001.nii.gz", "labelsTr/{}.nii.gz"),
        "autopet": ("{}/s1/CTres.nii.gz", "{}/s1/SUV.nii.gz", "{}/s1/SEG.nii.gz"),
    }[kind]
    s = a_study()
    ct, pet, mask = (root / f.format(case) for f in files)
    write(ct, s.hu, (3.0, 2.0, 2.0))
    write(pet, s.suv[::2, ::2, ::2], (6.0, 4.0, 4.0))
    write(mask, 2 * s.mask, (3.0, 2.0, 2.0), np.uint8)


@pytest.mark.parametrize("kind", ["hecktor", "nnunet", "autopet"])
def test_layouts_of_challenges(tmp_path, kind):
    for case in "abc":
        layout(tmp_path, kind, case)
    studies = FolderStudies(tmp_path, (3.0, 2.0, 2.0), str(tmp_path / "cache"))
    assert [c.name[0] for c in studies.cases] == ["a", "b", "c"]
    study, again = studies[0], studies[0]
    assert study.mask.sum() == pytest.approx(a_study().mask.sum(), rel=0.02)
    assert study.suv[study.mask].mean() > 5
    assert np.array_equal(study.suv, again.suv)
    data = FolderPatches(str(tmp_path), patch=(8, 16, 16), validate_every=3, length=4)
    held = FolderPatches(str(tmp_path), "validate", patch=(8, 16, 16), validate_every=3)
    assert (data.kept, held.kept) == ([0, 1], [2])
    item = data[0]
    assert item["x0"].shape == (1, 8, 16, 16)
    assert item["cond"].shape == (2, 8, 16, 16)
    assert torch.equal(held[3]["cond"], held[3]["cond"])


def test_folders_without_studies_and_pet_that_is_no_suv(tmp_path):
    with pytest.raises(InputError, match="holds no studies"):
        find_cases(tmp_path)
    layout(tmp_path, "hecktor")
    write(tmp_path / "imagesTr/a__PT.nii.gz", np.full((10, 15, 14), 9000.0), (6.0, 4.0, 4.0))
    with pytest.raises(InputError, match="no SUV"):
        FolderStudies(tmp_path, (3.0, 2.0, 2.0))[0]


@pytest.mark.skipif(not (data_root() / FILE).exists(), reason="no sarcoma studies at $SCIDDM_DATA")
def test_real_studies_have_their_tumour_where_pet_is_high():
    data = SarcomaPatches(patch=(16, 32, 32), train_patients=(1, 2))
    assert [s.name for s in data.studies] == ["STS_001", "STS_002"]
    for study in data.studies:
        suv = study.suv.astype(np.float32)
        assert suv[study.mask].mean() > 3 * suv[~study.mask].mean()
    share = np.mean([float((data[i]["x0"] > 0).any()) for i in range(12)])
    assert share >= 0.6  # seven of ten are centred on tumour
    flat = SarcomaPatches(patch=(1, 32, 32), train_patients=(1, 1))
    assert flat[0]["x0"].shape == (1, 32, 32)


RECIPES = Path(__file__).resolve().parents[2] / "recipes"
VARIANTS = {
    "3D": ("petct-sarcoma", []),
    "2D": (
        "petct-sarcoma",
        ["data.arguments.patch=[1,24,24]", "network.spatial_dims=2", "network.patch=[4,4]"],
    ),
    "PET only": (
        "petct-sarcoma",
        ["data.arguments.representation.modalities=[pet]", "network.cond_channels=1"],
    ),
    "CT only": (
        "petct-sarcoma",
        ["data.arguments.representation.modalities=[ct]", "network.cond_channels=1"],
    ),
    "U-Net": ("petct-unet", []),
    "HECKTOR": ("petct-hecktor", []),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_recipes_train_and_their_models_segment(tmp_path, variant):
    """Each recipe, made small: the loss of a batch falls, and the pipeline takes the model."""
    import json

    from sciddm.models import build_model, describe_model
    from sciddm.pipelines.petct.pipeline import TumourSegmentation
    from sciddm.pipelines.petct.representation import Representation
    from sciddm.training import load_recipe
    from sciddm.training.module import training_loss

    recipe, overrides = VARIANTS[variant]
    small = ["data.arguments.patch=[8,24,24]"]
    if variant == "U-Net":
        small.append("segmenter.network.channels=[4,4,8,8]")
    else:
        small += ["network.channels=[8,8]", "network.norm_num_groups=4", "network.num_res_blocks=1"]
    loaded = load_recipe(RECIPES / f"{recipe}.yaml", [*small, *overrides])
    layout(tmp_path, "hecktor", "a")
    layout(tmp_path, "hecktor", "b")
    wanted = loaded.data.arguments
    data = FolderPatches(
        str(tmp_path), patch=wanted["patch"], representation=wanted["representation"], length=4
    )
    torch.manual_seed(0)
    model = build_model(loaded.sections())
    items = [data[i] for i in range(4)]
    batch = {k: torch.stack([item[k] for item in items]) for k in items[0]}
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        torch.manual_seed(1)
        loss = training_loss(model, batch, loaded.noise).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    stored = json.loads(json.dumps(describe_model(model)))
    again = build_model(stored).eval().requires_grad_(False)
    again.load_state_dict(model.state_dict())
    pipeline = TumourSegmentation(again, Representation.from_config(data.representation, "m"))
    done = []
    found = pipeline(
        *ball_study(), quality="fast", progress=lambda n, total, _: done.append((n, total))
    )
    assert 0 < float(found["probability"].max()) < 1
    assert done[-1][0] == done[-1][1]
    assert found.attrs["samples"] == (1 if variant == "U-Net" else 2)
