"""Files that hold code: none of it runs. Zarr and .npz are in tests/data_adapters/test_gate.py, the
checkpoints of other programs in tests/core/test_official_sgmse.py."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import yaml

from sciddm.data_adapters import open_cube
from sciddm.errors import InputError, ModelError, SciddmError
from sciddm.training.recipe import load_recipe
from sciddm.training.run import _steps_of
from sciddm.zoo import from_pretrained


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_objects_and_functions_in_a_mat_file(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "a.mat"
    packed = np.frombuffer(pickle.dumps(Attack(mark)), np.uint8)
    cell = np.empty((2, 3, 4), dtype=object)
    for place in np.ndindex(cell.shape):
        cell[place] = packed
    scipy.io.savemat(path, {"cube": cell})
    with pytest.raises(InputError, match=r"a\.mat: no array of 3 axes"):
        open_cube(path)
    path.write_bytes(pickle.dumps(Attack(mark)))
    with pytest.raises(InputError, match=r"a\.mat"):
        open_cube(path)
    assert not mark.exists()


@pytest.mark.parametrize("form", ["archive", "bare", "packed", "tensor"])
def test_a_checkpoint_of_ones_own_training(tmp_path: Path, form: str) -> None:
    mark, path = tmp_path / "mark", tmp_path / "last.ckpt"
    if form == "bare":
        path.write_bytes(pickle.dumps({"global_step": Attack(mark)}))
    elif form == "archive":
        torch.save({"global_step": Attack(mark)}, path)
    elif form == "tensor":  # code where the storage of a tensor is named
        buffer = io.BytesIO()
        torch.save({"global_step": 3, "a": torch.ones(3)}, buffer)
        path.write_bytes(buffer.getvalue().replace(b"FloatStorage", b"IntStorageXX"))
    else:  # a pickle of 64 MB in 64 kB
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("last/data.pkl", bytes(2**26))
            archive.writestr("last/version", b"3\n")
    with pytest.raises(ModelError, match=r"last\.ckpt") as refused:
        _steps_of(path)
    assert "\n" not in str(refused.value)
    if form == "packed":
        assert "packed" in str(refused.value)
    assert not mark.exists()


def test_pickles_in_a_model_folder_are_no_weights(tmp_path: Path) -> None:
    from tests.fuzz.corpus import SAMPLES

    next(s for s in SAMPLES if s.name == "model").write(tmp_path)
    folder, mark = tmp_path / "model", tmp_path / "mark"
    from_pretrained(folder)
    for name in ("model.safetensors", "pytorch_model.bin", "model.ckpt"):
        torch.save(Attack(mark), folder / name)
    with pytest.raises(ModelError, match="model"):
        from_pretrained(folder)
    assert not mark.exists()


def recipe(folder: Path, **changes: Any) -> Path:
    content = {
        "name": "small",
        "summary": "A recipe.",
        "process": {"name": "EDM", "sigma_min": 0.01, "sigma_max": 10.0},
        "network": {"name": "UNet", "in_channels": 1, "out_channels": 1, "channels": [4, 8]},
        "denoiser": {"data_std": 1.0},
        "data": {"dataset": "torch.utils.data.TensorDataset"},
    }
    path = folder / "a.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


@pytest.mark.parametrize(
    "dataset", ["subprocess.Popen", "os.system", "builtins.eval", "shutil.rmtree", "pathlib.Path"]
)
def test_a_recipe_calls_nothing_but_data(tmp_path: Path, dataset: str) -> None:
    load_recipe(recipe(tmp_path))
    name = {"subprocess.Popen": "args", "os.system": "command"}.get(dataset)
    data = {"dataset": dataset, "arguments": {name: ["mkdir", "mark"]} if name else {}}
    with pytest.raises(InputError, match="no class of torch"):
        load_recipe(recipe(tmp_path, data=data))


@pytest.mark.parametrize("dataset", ["../../etc/passwd", "..a.b", "", ".", "a..b", "no.such"])
def test_a_recipe_names_a_class_of_data(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(InputError, match=r"a\.yaml: data: no dataset class"):
        load_recipe(recipe(tmp_path, data={"dataset": dataset}))


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [mark]",
        "name: !!python/name:os.system",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "!!python/module:os",
    ],
)
def test_a_recipe_holds_plain_values(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SciddmError, match="not valid YAML"):
        load_recipe(tmp_path / "a.yaml")
    assert not (tmp_path / "mark").exists()
