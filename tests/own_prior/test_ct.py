"""A prior of CT on a folder of one's own: HU, pixels, checks."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from cli_helpers import Sciddm
from dicom_makers import write_slices

from sciddm.errors import InputError
from sciddm.pipelines.ct import own_prior
from sciddm.pipelines.ct.own_slices import KIND, OwnCTSlices, read_slices
from sciddm.pipelines.ct.pipeline_reconstruction import CTReconstruction
from sciddm.pipelines.own_prior.prepared import prepare
from sciddm.pipelines.own_prior.sources import Source, sources_of

SIDE, PIXEL = 40, 8.0


def body(seed: int, slices: int = 3) -> np.ndarray:
    """(slice, y, x) HU: a disc of tissue with bone in it, air around."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    hu = np.full((slices, SIDE, SIDE), -1000.0)
    for plane in hu:
        plane[np.hypot(y / rng.uniform(0.6, 0.8), x / rng.uniform(0.6, 0.8)) < 1] = 40
        plane[np.hypot(y - rng.uniform(-0.2, 0.2), x) < 0.15] = 700
    return hu.astype(np.float32)


def write(path: Path, hu: np.ndarray, pixels: tuple[float, float] = (PIXEL, PIXEL)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(hu.T, np.diag([*pixels, 5.0, 1.0])), path)
    return path


def test_slices_are_in_hu_and_keep_the_size_of_their_pixels(tmp_path):
    hu = np.concatenate([body(0), np.full((1, SIDE, SIDE), -1000, np.float32)])
    stack = read_slices(Source(write(tmp_path / "a.nii", hu), "a.nii"))
    assert np.array_equal(stack.values, body(0))
    assert stack.about == {"pixel_mm": PIXEL}
    with pytest.raises(InputError, match=r"pixels of 4 x 8 mm"):
        read_slices(Source(write(tmp_path / "b.nii", hu, (8.0, 4.0)), "b.nii"))
    magnitudes = np.abs(body(0) + 1000) / 10 + 5
    with pytest.raises(InputError, match="--domain mri"):
        read_slices(Source(write(tmp_path / "c.nii", magnitudes), "c.nii"))
    # DICOM says the same in other numbers.
    write_slices(tmp_path / "dicom", body(1), PixelSpacing=["8", "8"], each=_square)
    (source,) = sources_of(tmp_path / "dicom", KIND)
    assert source.patient == "P1"
    assert np.allclose(read_slices(source).values, body(1), atol=0.5)


def _square(number: int, header: object) -> None:
    header.PixelSpacing = ["8", "8"]  # type: ignore[attr-defined]


def test_crops_show_the_body_in_hu(tmp_path):
    for k in range(3):
        write(tmp_path / "data" / f"p{k}.nii", body(k))
    prepared = prepare(tmp_path / "data", tmp_path / "run", KIND, read_slices)
    items = OwnCTSlices(str(prepared.folder), crop=16)
    crops = torch.stack([items[k] for k in range(40)])
    assert set(np.unique(crops)) == {-1000.0, 40.0, 700.0}
    assert ((crops > -300).float().mean((1, 2, 3)) > 0.05).all()
    assert items.representation["pixel_mm"] == [PIXEL, PIXEL]


def test_a_folder_of_ct_gives_a_model_with_figures(tmp_path, sciddm: Sciddm, monkeypatch):
    monkeypatch.setattr(own_prior, "_SLICES", 1)
    for k in range(4):
        write(tmp_path / "data" / f"p{k}.nii", body(k))
    run = tmp_path / "run"
    command = ["train", "--domain", "ct", "--data", tmp_path / "data", "-o", run]
    command += ["--max-time", "5min", "optimisation.steps=3", "optimisation.batch_size=4"]
    command += ["network.channels=[8,16]", "network.norm_num_groups=4"]
    answer = sciddm(*command)
    assert answer.code == 0, answer.err
    card = json.loads((run / "model" / "card.json").read_text())
    assert set(card["metrics"]) == {"what", "a quarter of the dose", "60 views"}
    assert {"own", "fbp"} == set(card["metrics"]["60 views"])
    pipeline = CTReconstruction.from_pretrained(run / "model")
    assert pipeline.representation["pixel_mm"] == [PIXEL, PIXEL]
    command = ["train", "--domain", "ct", "--data", tmp_path / "data", "-o", tmp_path / "other"]
    for start in ("mri-brain", "mri-brain-conditional"):  # a refusal does not bind the run to it
        answer = sciddm(*command, "--from", start)
        assert answer.code == 2
        assert "it is no prior of" in answer.err
