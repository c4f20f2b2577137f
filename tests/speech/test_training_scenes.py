"""Scenes hold noise alone, pauses and bangs, and their targets do not."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.pipelines.speech.training_scenes import SpeechScenes, expanded
from tests.speech.test_training_data import RATE, corpus, talk

__all__ = ["corpus"]


def _scenes(root: str, **changes: float) -> SpeechScenes:
    settings = {"speechless": 0.0, "pauses": 0.0, "bangs": 0.0, "silent": 0.0} | changes
    return SpeechScenes(root=root, frames=256, **settings)  # type: ignore[arg-type]


def _waves(scenes: SpeechScenes, count: int = 12) -> list[tuple[np.ndarray, np.ndarray]]:
    return [scenes.waves(np.random.default_rng(seed)) for seed in range(count)]


def test_speechless_scenes_have_a_silent_target_and_noise_at_one_level(
    corpus: str,
) -> None:
    for target, noisy in _waves(_scenes(corpus, speechless=1.0), 6):
        assert not target.any()
        assert 0.03 < float(np.sqrt(np.mean(noisy**2))) < 0.15


def test_pauses_are_silent_in_the_target_and_long(corpus: str) -> None:
    longest = []
    for target, noisy in _waves(_scenes(corpus, pauses=1.0)):
        assert target.any()
        quiet = np.abs(target) < 1e-3 * np.abs(target).max()
        edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]]).astype(int)))
        longest.append((edges[1::2] - edges[::2]).max())
        assert np.square(noisy[quiet]).mean() > 0
    assert np.median(longest) > 0.15 * len(target)


def test_bangs_stand_out_of_the_noisy_wave_and_not_of_the_target(corpus: str) -> None:
    ratios = []
    for target, noisy in _waves(_scenes(corpus, bangs=1.0)):
        ratios.append(np.abs(noisy).max() / max(np.abs(target).max(), 1e-9))
    assert np.median(ratios) > 3


def test_items_are_spectrograms_of_target_and_noisy(corpus: str) -> None:
    scenes = SpeechScenes(root=corpus, split="validate", frames=64)
    item = scenes[3]
    assert item["x0"].shape == item["y"].shape == (1, 256, 64)
    assert np.array_equal(item["y"].numpy(), scenes[3]["y"].numpy())


def test_expansion_takes_the_floor_down_and_leaves_speech() -> None:
    rng = np.random.default_rng(0)
    clean = talk(3.0, 4)
    noise = 1e-3 * rng.standard_normal(len(clean)).astype(np.float32)
    noisy = np.round((clean + noise) * 32767).astype(np.int16)
    out = expanded(noisy)
    speech = np.abs(clean) > 0.02
    pause = np.convolve(np.abs(clean) > 1e-3, np.ones(1600), "same") == 0
    assert np.square(out[speech] - noisy[speech] / 32768).mean() < 1e-9
    drop = 10 * np.log10(np.square(out[pause]).mean() / np.square(noisy[pause] / 32768).mean())
    assert drop == pytest.approx(-20, abs=1.5)
    assert np.array_equal(expanded(np.zeros(RATE, np.int16)), np.zeros(RATE, np.float32))
