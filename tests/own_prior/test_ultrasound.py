"""A prior of tissue on a folder of ultrasound of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from cli_helpers import Sciddm

from sciddm.companding import expand_companded
from sciddm.data_adapters.ultrasound import save_frames
from sciddm.errors import InputError
from sciddm.pipelines.own_prior.prepared import prepare
from sciddm.pipelines.own_prior.sources import Source
from sciddm.pipelines.ultrasound.own_frames import KIND, OwnFrames, check_one_kind, read_frames
from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan


def picture(path: Path, seed: int, side: int = 48) -> np.ndarray:
    """A B-mode picture of 60 dB with a dark disc; returns its grey values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    grey = np.where(np.hypot(y, x - rng.uniform(-0.3, 0.3)) < 0.4, 60, 200)
    grey = (grey + rng.integers(-20, 20, grey.shape)).astype(np.uint8)
    grey[0, 0] = 255
    iio.imwrite(path, grey)
    return grey


def test_pictures_become_companded_amplitudes(tmp_path):
    grey = picture(tmp_path / "a.png", 0)
    stack = read_frames(Source(tmp_path / "a.png", "a.png"))
    assert stack.about == {"echoes": 0.0}
    # 255 is full scale; 60 dB lie between white and black.
    amplitude = 10 ** (60 * (grey / 255.0 - 1) / 20)
    found = expand_companded(torch.from_numpy(stack.values[0])).numpy()
    shown = grey > 30
    ratio = found[shown] / amplitude[shown]
    assert np.allclose(ratio, np.median(ratio), rtol=0.02)  # the full scale of the file
    assert 0.5 < np.median(ratio) < 10


def test_echoes_and_pictures_are_not_one_folder(tmp_path):
    data = tmp_path / "data"
    picture(data / "p1" / "a.png", 0)
    scan = next(iter(simulate_scan(Wanted(depth=256, lines=48, frames=1, seed=0))))
    (data / "p2").mkdir()
    save_frames(scan, data / "p2" / "b.h5")
    prepared = prepare(data, tmp_path / "run", KIND, read_frames)
    (echoes,) = [e for e in prepared.entries if e.file.endswith(".h5")]
    values = prepared.values(echoes)
    assert values.min() < -0.2
    assert 0.7 < np.abs(values).max() < 1.2
    with pytest.raises(InputError, match=r"echoes \(p2/b.h5\) and envelopes \(p1/a.png\)"):
        check_one_kind(prepared)


def test_a_folder_of_pictures_gives_a_prior_of_tissue(tmp_path, sciddm: Sciddm):
    data, run = tmp_path / "data", tmp_path / "run"
    for k in range(4):
        picture(data / f"p{k}_a.png", k)
    command = ["train", "--domain", "ultrasound", "--data", data, "-o", run, "--max-time", "5min"]
    command += ["optimisation.steps=3", "optimisation.batch_size=4"]
    command += ["network.channels=[4,8]", "network.blocks=[1,1]"]
    answer = sciddm(*command)
    assert answer.code == 0, answer.err
    card = json.loads((run / "model" / "card.json").read_text())
    assert set(card["metrics"]) == {"what", "noise 0.05", "noise 0.2"}
    assert "--haze-model us-haze-envelope" in card["limits"]
    items = OwnFrames(str(run / "data"), crop=32)
    assert items.representation["data"] == "envelope"
    assert float(items[0].abs().max()) > 0.1
    words = ["ultrasound", "dehaze", data / "p0_a.png", "-o", tmp_path / "clean.png"]
    words += ["--tissue-model", run / "model", "--haze-model", "us-haze-envelope"]
    answer = sciddm(*words, "--quality", "fast")
    assert answer.code == 0, answer.err
