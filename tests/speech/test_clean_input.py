"""A recording without noise comes back; noise of any kind is still taken away."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from speech_models import regeneration, scaling

from sciddm.errors import InputError
from sciddm.physics.speech.clean_input import CleanInput
from sciddm.physics.speech.stft import STFT
from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.simulation.speech.synthetic import speech_like

RATE = 16_000
PART, STFT_ = CleanInput(), STFT()


def _weights(noisy: np.ndarray, estimate: np.ndarray) -> torch.Tensor:
    y, e = (STFT_.analyse(torch.from_numpy(w.astype(np.float32))) for w in (noisy, estimate))
    return PART.weights(e, y, STFT_, RATE)


def _clean() -> np.ndarray:
    return speech_like(4.0, RATE, seed=1)


def test_clean_speech_that_is_changed_little_comes_back() -> None:
    clean = _clean()
    y = STFT_.analyse(torch.from_numpy(clean.astype(np.float32)))
    w = PART.weights(0.98 * y, y, STFT_, RATE)
    assert w.min() > 0.99
    torch.testing.assert_close(PART.blend(0.9 * y, y, w, STFT_), y, rtol=0, atol=1e-3)


def test_noise_is_taken_away_however_little_there_is_to_take() -> None:
    clean, rng = _clean(), np.random.default_rng(0)
    for level in (5, 15, 25, 35):  # dB below the speech
        noise = rng.standard_normal(len(clean))
        noise *= clean.std() / noise.std() * 10 ** (-level / 20)
        assert _weights(clean + noise, clean).max() < 0.01, level
    burst = np.zeros(len(clean))
    burst[30_000:34_000] = 0.3 * rng.standard_normal(4000)
    w = _weights(clean + burst, clean)
    assert w[240:270].max() < 0.01
    # A speaker whom the model takes away is much, too.
    assert _weights(clean, 0.5 * clean).max() < 0.01


def test_what_is_further_away_than_its_reach_changes_nothing() -> None:
    clean = np.concatenate([_clean(), _clean(), _clean()])
    loud = clean.copy()
    loud[-16_000:] += np.random.default_rng(0).standard_normal(16_000)
    a, b = _weights(clean, 0.999 * clean), _weights(loud, 0.999 * clean)
    end = (len(clean) - 16_000) // 128 - PART.context(STFT_, RATE) - 2
    torch.testing.assert_close(a[:end], b[:end], rtol=0, atol=1e-6)
    assert (a[end:] - b[end:]).max() > 0.5


def test_values_are_checked() -> None:
    with pytest.raises(InputError, match="> 0"):
        CleanInput(floor=0)


def _data(wave: np.ndarray) -> xr.DataArray:
    values = wave.astype(np.float32)[None]
    return xr.DataArray(values, dims=("channel", "time"), attrs={"rate": RATE, "source": "x.wav"})


def test_a_pipeline_says_how_much_came_back_and_keeps_the_setting() -> None:
    clean = _data(_clean())
    pipeline = SpeechEnhancement(scaling(0.98), clean=PART)  # 0.98^2 of the waveform
    result = pipeline(clean, quality="fast")
    assert result.attrs["unchanged_share"] > 0.9
    np.testing.assert_allclose(result["enhanced"], clean, atol=2e-3)
    noisy = clean + 0.02 * np.random.default_rng(0).standard_normal(clean.shape)
    noisy.attrs = clean.attrs
    result = pipeline(noisy, quality="fast")
    assert result.attrs["unchanged_share"] == 0
    np.testing.assert_allclose(result["enhanced"], 0.98**2 * noisy, atol=1e-4)
    assert pipeline.front.representation["clean_input"] == PART.config


def test_music_is_named_and_intervals_are_judged_by_the_card() -> None:
    notes = np.repeat([220.0, 330, 440, 294, 392], RATE)
    song = _data(0.1 * np.sin(2 * np.pi * np.cumsum(notes) / RATE))
    card = {"balanced": {"spread": 2.0, "by_level": [0.7, 0.9, 0.95, 0.97]}}
    pipeline = SpeechEnhancement(regeneration(), calibration=card)
    attrs = pipeline(song, samples=2).attrs
    assert attrs["verdict_familiar"] == "no"
    assert attrs["verdict_calibrated"] == "no"
    assert any("music" in text for text in json.loads(attrs["warnings"]))
    finding = json.loads(attrs["verdict"])["calibrated"]
    assert (finding["figure"], finding["limit"]) == (0.7, 0.85)
    assert "hold 70 to 97 %" in finding["sentence"]
    attrs = pipeline(_data(_clean())).attrs
    assert attrs["verdict_familiar"] == "not checked"
    assert attrs["verdict_calibrated"] == "not checked"  # one sample has no interval
    assert not any("music" in text for text in json.loads(attrs["warnings"]))
