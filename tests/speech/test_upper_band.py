"""What lies above a model's band is kept, at the gain of the highest part of the model's band."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from speech_models import scaling

from sciddm.physics.speech.stft import STFT
from sciddm.physics.speech.upper_band import band_gain
from sciddm.pipelines.speech.pipeline import SpeechEnhancement


def _recording(hz: tuple[float, ...], rate: int, seconds: float = 1.0) -> xr.DataArray:
    t = np.arange(round(rate * seconds)) / rate
    fade = np.hanning(len(t))
    wave = sum(0.2 * fade * np.sin(2 * np.pi * f * t) for f in hz)
    return xr.DataArray(
        np.asarray(wave, np.float32)[None], dims=("channel", "time"), attrs={"rate": rate}
    )


@pytest.mark.parametrize("rate", [32_000, 44_100, 48_000, 96_000])
def test_a_model_that_changes_nothing_keeps_every_band(rate: int) -> None:
    noisy = _recording((1000.0, 6500.0, 7900.0, 8100.0, 15_000.0), rate)
    out = SpeechEnhancement(scaling(1.0))(noisy, quality="fast")["enhanced"]
    np.testing.assert_allclose(out, noisy, atol=1e-4)


def test_upper_band_gets_the_gain_of_the_highest_part_of_the_lower() -> None:
    noisy = _recording((1000.0, 6500.0, 15_000.0), 48_000)
    result = SpeechEnhancement(scaling(0.5))(noisy, quality="fast")
    spectra = [np.abs(np.fft.rfft(result[name].values[0])) for name in ("enhanced", "noisy")]
    for hz in (1000, 6500, 15_000):  # amplitudes are squared in the compressed domain: 0.25
        assert spectra[0][hz] / spectra[1][hz] == pytest.approx(0.25, rel=0.02)
    assert "8 kHz" in result.attrs["upper_band"]


def test_recordings_that_the_model_covers_have_no_upper_band() -> None:
    result = SpeechEnhancement(scaling(0.5))(_recording((1000.0,), 16_000), quality="fast")
    assert "upper_band" not in result.attrs


def test_gain_follows_the_band_in_time() -> None:
    stft = STFT()
    rng = np.random.default_rng(0)
    wave = torch.from_numpy(rng.standard_normal(16_000).astype(np.float32))
    Y = stft.analyse(wave)
    factors = torch.ones(Y.shape[-1])
    factors[63:] = 0.1**0.5  # 20 dB in the waveform's amplitude
    gain = band_gain(Y * factors, Y, stft, 16_000)
    assert gain.shape == (16_000,)
    assert float(gain[:7000].min()) > 0.999
    assert float(gain[9000:].mean()) == pytest.approx(0.1, rel=0.01)
    # Silence, and estimates that are louder than the recording, have gains between 0 and 1.
    assert float(band_gain(0 * Y, 0 * Y, stft, 16_000).max()) == 0
    assert float(band_gain(3 * Y, Y, stft, 16_000).max()) == 1
