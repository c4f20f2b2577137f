"""`sciddm mri reconstruct`: DICOM as output, fewer coils; with a pipeline that needs no model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cli_helpers import FakePipeline, Sciddm, everything, object_kspace, write_scan

from sciddm.data_adapters import load_result, save_kspace
from sciddm.physics.mri.masks import make_mask
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan, undersample


def stored(path: Path) -> np.ndarray:
    slice_ = pydicom.dcmread(path)
    return slice_.pixel_array * float(slice_.RescaleSlope) + float(slice_.RescaleIntercept)


def test_a_name_without_suffix_is_a_series(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    answer = sciddm("mri", "reconstruct", scan, "-o", target, "--report")
    assert answer.code == 0, answer.err
    made = {"out", "out/0001.dcm", "out_std", "out_std/0001.dcm", "out.json", "out.html"}
    assert everything(tmp_path) == {"in", "in/scan.h5", *made}
    header = pydicom.dcmread(target / "0001.dcm")
    assert [float(v) for v in header.PixelSpacing] == [2.0, 2.0]
    assert "orientation unknown" in header.ImageComments
    spread, image = stored(tmp_path / "out_std" / "0001.dcm"), stored(target / "0001.dcm")
    np.testing.assert_allclose(spread, 0.1 * image, atol=1e-4 * image.max())
    again = sciddm("mri", "reconstruct", scan, "-o", target)
    assert again.code == 2
    assert "--overwrite" in again.err
    assert sciddm("mri", "reconstruct", scan, "-o", target, "--overwrite").code == 0


def test_a_file_for_one_slice_only(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path
) -> None:
    answer = sciddm("mri", "reconstruct", scan, "-o", tmp_path / "a.dcm")
    assert answer.code == 0, answer.err
    assert {p.name for p in tmp_path.glob("a*")} == {"a.dcm", "a_std.dcm", "a.json"}
    k = object_kspace()
    two = write_scan(tmp_path / "two.h5", np.concatenate([k, k]))
    answer = sciddm("mri", "reconstruct", two, "-o", tmp_path / "b.dcm")
    assert answer.code == 2
    assert "2 slices do not go into one file" in answer.err
    assert len(fake.calls) == 1  # it said so before it computed anything
    assert not list(tmp_path.glob("b*"))


def test_a_batch_of_series_goes_on(sciddm: Sciddm, fake: FakePipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.h5", "b.h5"):
        write_scan(folder / name)
    words = ["mri", "reconstruct", folder, "-o", tmp_path / "out", "--format", "dicom"]
    assert sciddm(*words).code == 0
    series = {"a", "a_std", "a.json", "b", "b_std", "b.json"}
    assert series == {name for name in everything(tmp_path / "out") if "/" not in name}
    assert sciddm(*words).code == 0
    assert len(fake.calls) == 2


@pytest.mark.parametrize(("words", "coils"), [([], 3), (["--coils", 0], 3), (["--coils", 2], 2)])
def test_coils(sciddm: Sciddm, fake: FakePipeline, tmp_path: Path, words: list, coils: int) -> None:
    k = object_kspace()
    given = write_scan(tmp_path / "a.h5", k * make_mask("random", k.shape[-2:], 2, 12, seed=1))
    answer = sciddm("mri", "reconstruct", given, "-o", tmp_path / "a.nc", *words)
    assert answer.code == 0, answer.err
    scan = fake.calls[0]["scan"]
    assert scan.sizes["coil"] == coils
    kept = json.loads((tmp_path / "a.json").read_text())
    assert ("coil_energy_kept" in kept) == (coils == 2)
    if coils == 2:
        assert 0.5 < kept["coil_energy_kept"] <= 1
        assert "2 of 3 (" in answer.out
        assert "--coils 2" in kept["command"]


def test_empty_slices_of_a_volume_stay_empty(sciddm: Sciddm, model: Path, tmp_path: Path) -> None:
    """Through the whole pipeline with an untrained network: noise gets no object drawn into it."""
    head = np.reshape(head_phantom((32, 32), seed=2, contrast="t2"), (32, 32))
    images = np.stack([0 * head, head, head])
    full = simulate_scan(images, 4, 25.0, seed=1, voxel_size_mm=(2.0, 1.5, 1.0))
    save_kspace(undersample(full, make_mask("random", (32, 32), 2, 12, seed=1)), tmp_path / "a.nc")
    words = ["--model", model, "--quality", "fast", "--samples", 2, "-o", tmp_path / "b.nc"]
    answer = sciddm("mri", "reconstruct", tmp_path / "a.nc", *words)
    assert answer.code == 0, answer.err
    assert "1 of 3 slices hold nothing but noise" in answer.err
    result = load_result(tmp_path / "b.nc")
    assert result.sizes["slice"] == 3
    image, spread = result["reconstruction"].values, result["std"].values
    np.testing.assert_array_equal(image[0], 0)
    np.testing.assert_allclose(spread[0], result.attrs["noise_std"], rtol=1e-6)
    assert (image[1:].max(axis=(1, 2)) > 0).all()
    assert result.attrs["voxel_size_mm"] == [2.0, 1.5, 1.0]
    # The two slices that were measured are what they are without the empty one.
    k = undersample(full, make_mask("random", (32, 32), 2, 12, seed=1)).isel(slice=[1, 2])
    save_kspace(k, tmp_path / "c.nc")
    words[-1] = tmp_path / "d.nc"
    assert sciddm("mri", "reconstruct", tmp_path / "c.nc", *words).code == 0
    alone = load_result(tmp_path / "d.nc")["reconstruction"].values
    np.testing.assert_allclose(image[1:], alone, rtol=1e-5, atol=1e-6 * alone.max())
