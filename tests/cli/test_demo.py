"""`sciddm demo`, with an untrained model in the place of the bundled one."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cli_helpers import Sciddm, everything

from sciddm.data_adapters import load_result, open_kspace
from sciddm.zoo import catalog


@pytest.fixture
def bundled(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model under the bundled model's name."""
    from sciddm.pipelines.mri import requests

    shutil.copytree(model, tmp_path / "weights" / "mri-brain")
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "weights")
    requests.load_pipeline.cache_clear()
    yield
    requests.load_pipeline.cache_clear()


def test_demo_leaves_a_scan_that_gives_the_same_image_again(
    sciddm: Sciddm, bundled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("sciddm.pipelines.mri.demo._SHAPE", (128, 112))
    answer = sciddm("demo", "--quality", "fast")
    assert answer.code == 0, answer.err
    folder = Path("sciddm-demo")
    made = {"scan.h5", "head.nii.gz", "head_std.nii.gz", "head.json", "head.html"}
    assert everything(folder) == made
    for name in made:
        assert f"sciddm-demo/{name}" in answer.out

    scan = open_kspace(folder / "scan.h5")
    assert (scan["kspace"].values != 0).all()
    assert nib.load(folder / "head.nii.gz").header.get_zooms() == pytest.approx((0.9, 0.9, 5.0))
    told = json.loads((folder / "head.json").read_text())
    assert told["acceleration"] == pytest.approx(4.0, rel=1e-3)

    words = shlex.split(told["command"])[1:]
    words = ["again.h5" if word.endswith("head.nii.gz") else word for word in words]
    assert sciddm(*words).code == 0
    first, second = load_result(folder / "head.nii.gz"), load_result("again.h5")
    np.testing.assert_array_equal(first["reconstruction"], second["reconstruction"])


def test_demo_without_its_model_writes_nothing(
    sciddm: Sciddm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sciddm.pipelines.mri import requests

    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "nowhere")
    requests.load_pipeline.cache_clear()
    answer = sciddm("demo", "-o", tmp_path / "out")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert everything(tmp_path) == set()
