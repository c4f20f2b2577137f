"""A predictor of speech on a folder of recordings of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from cli_helpers import Sciddm

from sciddm.physics.speech.error_law import ErrorLaw
from sciddm.pipelines.own_prior.prepared import prepare
from sciddm.pipelines.own_prior.sources import Source
from sciddm.pipelines.speech.own_mixtures import KIND, OwnMixtures, read_recording


def utterance(path: Path, pitch: float, rate: int = 16_000, floor: float = 1e-4) -> np.ndarray:
    """Two seconds of a voice: harmonics in syllables, pauses between them, over a noise floor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(2 * rate) / rate
    voice = sum(np.sin(2 * np.pi * k * pitch * t) / k for k in range(1, 8))
    wave = 0.2 * voice * (np.sin(2 * np.pi * 2 * t) > 0)
    wave = wave + floor * np.random.default_rng(0).standard_normal(len(t))
    soundfile.write(path, wave, rate)
    return wave


def test_recordings_become_one_channel_at_16_khz(tmp_path):
    wave = utterance(tmp_path / "a.wav", 150, rate=48_000)
    stereo = np.stack([wave, 0 * wave], 1)
    soundfile.write(tmp_path / "b.wav", stereo, 48_000)
    mono, half = (read_recording(Source(tmp_path / n, n)).values[0] for n in ("a.wav", "b.wav"))
    assert mono.dtype == np.int16
    assert abs(len(mono) - 32_000) <= 2
    assert np.allclose(half, mono / 2, atol=2)
    # The pitch stays: 150 Hz are the line at 300 of a spectrum of two seconds.
    assert abs(int(np.abs(np.fft.rfft(mono[:32_000])).argmax()) - 300) <= 2
    utterance(tmp_path / "noisy.wav", 150, floor=0.05)
    assert len(read_recording(Source(tmp_path / "noisy.wav", "noisy.wav")).values) == 0


def test_speakers_do_not_meet_and_noise_is_simulated(tmp_path):
    for k, pitch in enumerate((90, 130, 180, 250)):
        for name in ("one", "two"):
            utterance(tmp_path / "data" / f"s{k}" / f"{name}.wav", pitch + len(name))
    prepared = prepare(tmp_path / "data", tmp_path / "run", KIND, read_recording)
    assert prepared.rule == "folder"
    parts = [set(prepared.groups(p)) for p in ("train", "validate", "test")]
    assert [len(p) for p in parts] == [2, 1, 1]
    items = OwnMixtures(str(prepared.folder), "train", frames=32)
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(12):
        target, noisy = items.waves(rng)
        ratios.append(10 * np.log10(np.square(target).sum() / np.square(noisy - target).sum()))
    assert -8 < np.median(ratios) < 18
    item = items[0]
    assert item["x0"].dtype == torch.complex64
    assert item["x0"].shape == item["y"].shape


def test_a_folder_of_recordings_gives_a_model(tmp_path, sciddm: Sciddm):
    for k, pitch in enumerate((90, 130, 180, 250)):
        utterance(tmp_path / "data" / f"s{k}_a.wav", pitch)
    run = tmp_path / "run"
    command = ["train", "--domain", "speech", "--data", tmp_path / "data", "-o", run]
    command += ["--max-time", "5min", "optimisation.steps=2", "optimisation.batch_size=2"]
    command += ["predictor.network.width=4", "predictor.network.channels=8"]
    command += ["predictor.network.blocks=1", "data.arguments.frames=32"]
    answer = sciddm(*command)
    assert answer.code == 0, answer.err
    card = json.loads((run / "model" / "card.json").read_text())
    assert set(card["metrics"]) == {"what", "noisy", "own"}
    words = ["speech", "enhance", tmp_path / "data" / "s0_a.wav", "-o", tmp_path / "out.wav"]
    answer = sciddm(*words, "--model", run / "model", "--quality", "fast", "--std")
    assert answer.code == 0, answer.err
    law = ErrorLaw.of(card["calibration"]["fast"]["error_law"])
    kept = json.loads((tmp_path / "out.json").read_text())
    assert ErrorLaw.of(json.loads(kept["error_law"])) == law
    std, _ = soundfile.read(tmp_path / "out_std.wav")
    assert std.max() > 0
