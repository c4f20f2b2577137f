"""Music keeps its pitch, speech glides, hum never ends."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.physics.speech.steady_tones import LIMIT, SteadyTones
from sciddm.simulation.speech.music import music
from sciddm.simulation.speech.synthetic import mix, pink_noise, speech_like

RATE = 16_000


def _share(wave: np.ndarray, rate: int = RATE, size: int = 10**6) -> float | None:
    tones = SteadyTones(rate)
    for start in range(0, len(wave), size):
        tones.push(wave[None, start : start + size])
    return tones.finish()


def test_music_is_told_from_speech() -> None:
    rng = np.random.default_rng(1)
    clips = [music(5 * RATE, RATE, rng).astype(float) for _ in range(20)]
    speech = [speech_like(5.0, RATE, seed) for seed in range(20)]
    noisy = [mix(s, pink_noise(len(s), 3), 5.0) for s in speech]
    assert np.mean([_share(m) > LIMIT for m in clips]) >= 0.6  # type: ignore[operator]
    assert max(_share(s) for s in speech + noisy) < LIMIT / 2  # type: ignore[type-var, operator]


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_notes_are_tonal_at_every_rate_and_a_glide_is_not(rate: int) -> None:
    t = np.arange(6 * rate) / rate
    notes = np.repeat([220.0, 330, 440, 294, 392, 262], rate)
    rng = np.random.default_rng(0)
    noise = 1e-3 * rng.standard_normal(len(t))
    assert _share(np.sin(2 * np.pi * np.cumsum(notes) / rate) + noise, rate) > 0.7
    glide = 200 * 2 ** (0.7 * np.sin(2 * np.pi * 1.5 * t))
    assert _share(np.sin(2 * np.pi * np.cumsum(glide) / rate) + noise, rate) < 0.2
    assert _share(np.sin(2 * np.pi * 100 * t) + 0.1 * noise, rate) < 0.05  # hum
    assert _share(noise, rate) < 0.05


def test_blocks_do_not_matter_and_little_sound_is_not_judged() -> None:
    wave = music(20 * RATE, RATE, np.random.default_rng(2))
    assert _share(wave, size=777) == pytest.approx(_share(wave), abs=1e-9)
    assert _share(wave[: RATE // 2]) is None
    assert _share(np.zeros(4 * RATE)) is None
    assert SteadyTones(RATE).finish() is None
