"""A prior of MRI on a folder of one's own: units, checks on other patients, verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
import torch
from cli_helpers import Sciddm
from dicom_makers import write_slices

from sciddm.errors import InputError
from sciddm.pipelines.mri import own_checks
from sciddm.pipelines.mri.own_slices import KIND, OwnSlices, read_slices
from sciddm.pipelines.mri.pipeline import MRIReconstruction
from sciddm.pipelines.own_prior.prepared import prepare
from sciddm.pipelines.own_prior.sources import Source, sources_of
from sciddm.simulation.mri.scan import simulate_scan, undersample
from sciddm.uncertainty.calibration import coverage

SIDE = 48


def slices(seed: int, count: int = 2) -> np.ndarray:
    """(slice, y, x) of magnitudes: an ellipse with a darker one in it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    out = []
    for _ in range(count):
        a, b, c = rng.uniform(0.6, 0.85), rng.uniform(0.5, 0.8), rng.uniform(-0.2, 0.2)
        inner = np.hypot((y - c) / (0.4 * a), x / (0.4 * b)) < 1
        out.append((np.hypot(y / a, x / b) < 1) * (1 - 0.5 * inner))
    return np.stack(out).astype(np.float32)


def write_nifti(path: Path, volume: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume.T, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for patient in range(5):
        write_nifti(tmp_path / "data" / f"p{patient}" / "t1.nii.gz", 700 * slices(patient))
    return tmp_path / "data"


def test_slices_have_bright_tissue_of_one_and_empty_ones_are_left_out(tmp_path):
    volume = np.concatenate([900 * slices(0), np.zeros((1, SIDE, SIDE), np.float32)])
    found = read_slices(Source(write_nifti(tmp_path / "a.nii", volume), "a.nii")).values
    assert np.allclose(found, slices(0), atol=1e-3)
    with pytest.raises(InputError, match=r"down to -1000 .* --domain ct"):
        read_slices(Source(write_nifti(tmp_path / "b.nii", 1500 * slices(0) - 1000), "b.nii"))


def test_full_kspace_gives_the_image_that_it_is_of(tmp_path):
    scan = simulate_scan(slices(1), 4, snr_db=60, seed=1)
    path = tmp_path / "full.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = scan["kspace"].values
    found = read_slices(Source(path, path.name)).values
    inside = slices(1) > 0
    assert np.abs(found / np.median(found[slices(1) == 1]) - slices(1))[inside].mean() < 0.02
    mask = np.zeros((SIDE, SIDE), bool)
    mask[::2] = mask[18:30] = True
    with h5py.File(path, "w") as file:
        file["kspace"] = undersample(scan, mask)["kspace"].values
    with pytest.raises(InputError, match="undersampled k-space"):
        read_slices(Source(path, path.name))


def test_training_items_are_as_the_pipeline_sees_a_scan(folder, tmp_path):
    prepared = prepare(folder, tmp_path / "run", KIND, read_slices)
    items = OwnSlices(str(prepared.folder), "validate", crop=SIDE, variety=0.0, off_resonance=0.0)
    images = torch.stack([items[k] for k in range(24)])
    assert images.dtype == torch.complex64
    assert images.shape == (24, 1, SIDE, SIDE)
    magnitude = images.abs()
    tissue = magnitude > 0.8 * magnitude.amax((1, 2, 3), keepdim=True)
    assert 0.85 < float(magnitude[tissue].median()) < 1.2
    # Nine in ten are demodulated: their phase is near 0 where there is tissue.
    phase = torch.stack([i[t].angle().abs().median() for i, t in zip(images, tissue, strict=True)])
    assert float((phase < 0.35).float().mean()) > 0.7


def test_a_second_folder_is_drawn_from_as_often_as_asked(folder, tmp_path):
    own = str(prepare(folder, tmp_path / "run", KIND, read_slices).folder)
    torch.manual_seed(0)
    items = OwnSlices(own, "train", crop=SIDE, keep=own, keep_share=0.25)
    assert isinstance(items.kept, OwnSlices)
    items.kept = [torch.zeros(1)] * len(items)  # type: ignore[assignment]
    drawn = [items[k % len(items)].ndim == 1 for k in range(400)]
    assert np.mean(drawn) == pytest.approx(0.25, abs=0.06)
    # Validation is of the own folder alone: it decides when the training ends.
    assert OwnSlices(own, "validate", crop=SIDE, keep=own).kept is None


def test_the_factor_makes_intervals_of_the_validation_scans_hold():
    rng = np.random.default_rng(0)
    outcomes = {}
    for part, number, r in [
        (p, n, r) for p in ("validate", "test") for n in (0, 1) for r in (4, 8)
    ]:
        case = own_checks._Case("own", part, number, r, "fast")
        # Standard deviations r / 2 times too small.
        scores = np.abs(rng.standard_normal(4000)) * r / 2 / 1.645
        outcomes[case] = own_checks._Outcome(scores.astype(np.float32), 1.0, 30.0, 20.0, 1.0 + r)
    # An image that the verdict rejects decides nothing.
    failed = own_checks._Outcome(np.full(4000, 50, np.float32), 1.0, 10.0, 20.0, 99.0, fits=False)
    outcomes[own_checks._Case("own", "validate", 2, 4, "fast")] = failed
    outcomes[own_checks._Case("own", "test", 2, 8, "fast")] = failed
    parts = own_checks._parts(outcomes, {"limit": 2.0})
    spread = parts["calibration"]["fast"]["spread"]
    assert spread == {"4": pytest.approx(2, rel=0.05), "8": pytest.approx(4, rel=0.05)}
    assert parts["calibration"]["fast"]["coverage_after"] == pytest.approx(0.9, abs=0.015)
    assert parts["calibration"]["fast"]["rejected"] == 2
    assert parts["shift"]["limit"] == 9.0  # no reconstruction of a validation patient is unlike
    pooled = outcomes[own_checks._Case("own", "test", 0, 8, "fast")].scores
    assert coverage(pooled, spread["8"]) == pytest.approx(0.9, abs=0.02)


def test_dicom_of_another_modality_is_named(tmp_path):
    write_slices(tmp_path / "ct")
    with pytest.raises(InputError, match="modality CT, not MR: take --domain ct"):
        sources_of(tmp_path, KIND)


def test_a_model_of_a_folder_has_verdicts(folder, tmp_path, sciddm: Sciddm, monkeypatch):
    monkeypatch.setattr(own_checks, "_SCANS", 1)
    monkeypatch.setattr(own_checks, "_LAW_IMAGES", 20)
    monkeypatch.setattr(own_checks, "_LIMIT_IMAGES", 20)
    run = tmp_path / "run"
    command = ["train", "--domain", "mri", "--data", folder, "-o", run, "--licence", "CC0"]
    command += ["--max-time", "5min", "optimisation.steps=6", "optimisation.batch_size=4"]
    command += ["network.channels=[8,16]", "network.norm_num_groups=4", "--quality", "fast"]
    answer = sciddm(*command)
    assert answer.code == 0, answer.err
    card = json.loads((run / "model" / "card.json").read_text())
    assert card["split"].startswith("by patient (first folder")
    assert set(card["calibration"]["fast"]["spread"]) == {"4"}  # too few lines are left at 8
    scan = simulate_scan(slices(77, 1), 4, seed=3)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[::2] = mask[18:30] = True
    pipeline = MRIReconstruction.from_pretrained(run / "model")
    attrs = pipeline(undersample(scan, mask), quality="fast").attrs
    assert attrs["spread_from"] == "model card"
    assert attrs["verdict_familiar"] in ("yes", "no")
    # The second call has nothing left to do; another folder does not go on in this one.
    weights = (run / "model" / "card.json").read_bytes()
    assert sciddm(*command).code == 0
    assert (run / "model" / "card.json").read_bytes() == weights
    command[command.index(folder)] = tmp_path
    answer = sciddm(*command)
    assert answer.code == 2
    assert "was started with another data" in answer.err
    # A run that was killed after its training: the checks alone are made again.
    (run / "finished.json").unlink()
    command[command.index(tmp_path)] = folder
    assert sciddm(*command).code == 0
    again = json.loads((run / "model" / "card.json").read_text())
    assert again["weights_sha256"] == card["weights_sha256"]
    assert again["calibration"] == card["calibration"]
