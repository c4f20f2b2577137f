"""A prior of hyperspectral cubes on a folder of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import Sciddm

from sciddm.data_adapters.hsi.cube import build_cube
from sciddm.data_adapters.hsi.files import save_cube
from sciddm.pipelines.hsi.own_scenes import KIND, OwnScenes, read_scene
from sciddm.pipelines.own_prior.prepared import prepare
from sciddm.pipelines.own_prior.sources import sources_of

BANDS, SIDE = 12, 40


def maps(seed: int) -> np.ndarray:
    """(2, y, x): abundances of two materials, patches and a ramp."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    patches = rng.integers(0, 2, (5, 5)).repeat(8, 0).repeat(8, 1)[:SIDE, :SIDE]
    return np.stack([patches.astype(float), x / SIDE + 0.3 * np.sin(y / 5)])


def write_scene(path: Path, seed: int, noise: float = 0.002) -> np.ndarray:
    """A cube of three materials with white noise; returns the abundances."""
    t = np.linspace(0, 1, BANDS)
    spectra = np.stack([np.sin(3 * t), np.cos(2 * t) - 0.5])
    clean = 0.4 + 0.15 * np.einsum("kb,kyx->byx", spectra, maps(seed))
    cube = clean + noise * np.random.default_rng(seed + 99).standard_normal(clean.shape)
    dataset = build_cube(
        path,
        cube.astype(np.float32),
        wavelength=1000 + 50 * np.arange(BANDS),
        units="nm",
        form="test",
    )
    save_cube(dataset, path)
    return maps(seed)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for k in range(4):
        write_scene(folder / f"scene{k}.hdr", k)
    return folder


def test_coefficient_images_are_the_scenes_materials_in_units_of_their_own_spread(data):
    sources = sources_of(data, KIND)
    assert [s.name for s in sources] == [f"scene{k}.hdr" for k in range(4)]  # not the numbers
    (images,) = read_scene(sources[1]).values
    assert len(images) == 2  # as many as materials: what is noise is left out
    assert np.allclose(images.mean((1, 2)), 0, atol=1e-4)
    assert np.allclose(images.std((1, 2)), 1, atol=1e-3)
    # They span the abundances: what regression on them leaves is noise.
    truth = maps(1).reshape(2, -1)
    truth = truth - truth.mean(1, keepdims=True)
    design = images.reshape(2, -1)
    fit = truth @ design.T @ np.linalg.inv(design @ design.T) @ design
    assert (np.square(truth - fit).mean(1) < 0.01 * truth.var(1)).all()


def test_a_scene_of_noise_gives_no_image(tmp_path):
    write_scene(tmp_path / "noise.hdr", 0, noise=5.0)
    (source,) = sources_of(tmp_path, KIND)
    assert len(read_scene(source).values) == 0


def test_a_folder_of_cubes_gives_a_model(data, tmp_path, sciddm: Sciddm):
    prepared = prepare(data, tmp_path / "run", KIND, read_scene)
    items = OwnScenes(str(prepared.folder), crop=48)  # larger than the scenes
    torch.manual_seed(0)
    assert items[0]["x0"].shape == (1, 48, 48)
    run = tmp_path / "own"
    command = ["train", "--domain", "hsi", "--data", data, "-o", run, "--max-time", "5min"]
    command += ["optimisation.steps=3", "network.channels=[4,8]", "network.blocks=[1,1]"]
    answer = sciddm(*command, "optimisation.batch_size=4")
    assert answer.code == 0, answer.err
    card = json.loads((run / "model" / "card.json").read_text())
    assert set(card["metrics"]) == {"what", "own"}
    assert json.loads((run / "model" / "config.json").read_text())["representation"] == {
        "method": "subspace"
    }
    out = tmp_path / "out.hdr"
    words = ["hsi", "denoise", data / "scene0.hdr", "-o", out, "--model", run / "model"]
    answer = sciddm(*words, "--quality", "fast")
    assert answer.code == 0, answer.err
