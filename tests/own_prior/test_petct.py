"""A segmenter of PET/CT on a folder of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from cli_helpers import Sciddm

from sciddm.pipelines.own_prior.prepared import prepare
from sciddm.pipelines.petct.folders import find_cases
from sciddm.pipelines.petct.own_studies import KIND, OwnStudies, find_studies, read_study
from sciddm.pipelines.petct.pipeline import TumourSegmentation

SHAPE, SPACING = (10, 20, 20), (3.27, 2.0, 2.0)


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([SPACING[2], SPACING[1], SPACING[0], 1.0])
    nib.save(nib.Nifti1Image(values.astype(np.float32).T, affine), path)


def write_study(folder: Path, seed: int) -> np.ndarray:
    """A warm cube of SUV 8 in SUV 1, on bodies of 40 HU; returns its mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE)
    z, y, x = rng.integers(2, 5), rng.integers(3, 10), rng.integers(3, 10)
    mask[z : z + 4, y : y + 7, x : x + 7] = 1
    write(folder / "SUV.nii.gz", 1 + 7 * mask)
    write(folder / "CTres.nii.gz", np.full(SHAPE, 40.0 + seed))
    write(folder / "SEG.nii.gz", mask)
    return mask


def test_studies_are_split_by_patient_and_keep_their_units(tmp_path):
    data = tmp_path / "data"
    masks = {
        f"{patient}/{study}": write_study(data / patient / study, 10 * k + j)
        for k, patient in enumerate(("p1", "p2", "p3"))
        for j, study in enumerate(("first", "second"))
    }
    prepared = prepare(data, tmp_path / "run", KIND, read_study, find=find_studies)
    assert prepared.rule == "folder"
    assert {e.group for e in prepared.entries} == {"p1", "p2", "p3"}
    for entry in prepared.entries:
        suv, hu, mask = prepared.values(entry)[0]
        truth = masks[entry.file.removesuffix("/SEG.nii.gz")]
        # On an upright grid, x and y may run the other way.
        (truth,) = [
            t for y in (1, -1) for x in (1, -1) if np.array_equal(mask, t := truth[:, ::y, ::x])
        ]
        assert np.allclose(suv[truth == 1], 8, atol=0.6)
        assert np.allclose(suv[truth == 0].mean(), 1, atol=0.3)
        assert 40 <= hu.mean() < 70
    items = OwnStudies(str(prepared.folder), "validate", patch=(8, 16, 16), tumour=1.0)
    item = items[0]
    assert item["x0"].shape == (1, 8, 16, 16)
    assert set(torch.unique(item["x0"]).tolist()) <= {-1.0, 1.0}
    warm = item["cond"][0][item["x0"][0] > 0]
    assert torch.allclose(warm.median(), torch.tensor(2 * (8 / 20) ** 0.5 - 1), atol=0.02)
    assert items.representation["field_mm"] == [32.7, 40.0, 40.0]


def test_a_folder_of_studies_gives_a_model_with_a_temperature(tmp_path, sciddm: Sciddm):
    for k in range(4):
        write_study(tmp_path / "data" / f"p{k}" / "study", k)
    run = tmp_path / "run"
    command = ["train", "--domain", "petct", "--data", tmp_path / "data", "-o", run]
    command += ["--max-time", "5min", "optimisation.steps=3"]
    command += ["network.channels=[8,16]", "network.norm_num_groups=4"]
    answer = sciddm(*command)
    assert answer.code == 0, answer.err
    card = json.loads((run / "model" / "card.json").read_text())
    assert card["metrics"]["own"]["studies"] == 1
    pipeline = TumourSegmentation.from_pretrained(run / "model")
    assert pipeline.representation.temperature == card["calibration"]["temperature"]
    assert pipeline.representation.field_mm == (32.7, 40.0, 40.0)
    # A checked model stays as it is.
    config = (run / "model" / "config.json").read_bytes()
    assert sciddm(*command).code == 0
    assert (run / "model" / "config.json").read_bytes() == config
    answer = sciddm("train", "--domain", "petct", "--data", run, "-o", tmp_path / "other")
    assert answer.code == 2
    assert "holds no studies" in answer.err


def test_linked_studies_are_studies(tmp_path):
    write_study(tmp_path / "archive" / "p1", 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "p1").symlink_to(tmp_path / "archive" / "p1")
    assert [case.name for case in find_cases(tmp_path / "data")] == ["p1"]
