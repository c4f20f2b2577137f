"""Pipes and devices under the names of data: refused at once, since opening one may never end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciddm.data_adapters import open_cube, save_cube
from sciddm.errors import InputError, ModelError
from sciddm.pipelines.cli import app
from tests.fuzz.readers import READERS

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")

_READ = [
    ("a.nii.gz", "nifti"), ("a.nii.gz", "mask"), ("a.tif", "cube"), ("a.vrt", "cube"),
    ("a.nc", "cube"), ("a.hdr", "cube"), ("a.npz", "cube"), ("a.mat", "cube"), ("a.h5", "kspace"),
    ("a.dat", "kspace"), ("a.h5", "sinogram"), ("a.nc", "result"), ("a.wav", "sound"),
    ("a.m4a", "sound"), ("a.dcm", "dicom"), ("a.dcm", "pet"), ("a.dcm", "seg"),
    ("a.dcm", "frames"), ("a.png", "frames"), ("a.mp4", "frames"), ("a.npz", "frames"),
    ("a.mha", "itk"), ("a.nrrd", "itk"), ("a.uff", "channels"), ("a.yaml", "recipe"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """A reader that waits for the pipe is interrupted."""

    def late(*_: object) -> None:
        raise TimeoutError("the reader waits for the pipe")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("name", "reader"), _READ)
def test_a_pipe_is_no_file(tmp_path: Path, name: str, reader: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name}: is a pipe, not a file: write its data"):
        READERS[reader](tmp_path / name)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "card.json"])
def test_a_pipe_in_a_model_folder(tmp_path: Path, name: str) -> None:
    from sciddm.zoo.folder import load_model
    from sciddm.zoo.model_card import read_card

    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelError, match=r"is a pipe|no readable model card"):
        (read_card if name == "card.json" else load_model)(tmp_path)


def test_a_device_behind_a_link(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is a device"):
        open_cube(path)


def test_a_pipe_among_the_parts_of_a_store(tmp_path: Path) -> None:
    numbers = np.ones((2, 3, 4), np.float32)
    save_cube(xr.Dataset({"cube": (("band", "y", "x"), numbers)}), tmp_path / "a.zarr")
    os.mkfifo(tmp_path / "a.zarr" / "x.zarray")
    with pytest.raises(InputError, match="is a pipe"):
        open_cube(tmp_path / "a.zarr")


def test_a_pipe_of_numbers_beside_a_header(tmp_path: Path) -> None:
    numbers = np.ones((2, 3, 4), np.float32)
    save_cube(xr.Dataset({"cube": (("band", "y", "x"), numbers)}), tmp_path / "a.hdr")
    (tmp_path / "a.img").unlink()
    os.mkfifo(tmp_path / "a.img")
    with pytest.raises(InputError, match=r"a\.hdr: the file of numbers is not beside it"):
        open_cube(tmp_path / "a.hdr")


def test_a_pipe_among_the_pictures_of_a_clip(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0.png")
    with pytest.raises(InputError, match=r"0\.png: is a pipe"):
        READERS["frames"](tmp_path)


@pytest.mark.parametrize("words", [["hsi", "denoise"], ["ultrasound", "dehaze"]])
def test_a_command_says_so(tmp_path: Path, words: list[str]) -> None:
    """Nor do the other domains look into it, to say whether it is theirs."""
    path = tmp_path / "a.tif"
    os.mkfifo(path)
    answer = CliRunner().invoke(app, [*words, str(path), "-o", str(tmp_path / "b.tif")])
    assert answer.exit_code == 2
    assert "is a pipe, not a file" in " ".join(answer.output.split())
