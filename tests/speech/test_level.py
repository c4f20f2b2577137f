"""The local level: what it is for a known signal, how far a bang reaches, what a pause gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from sciddm.errors import InputError
from sciddm.metrics.speech import si_sdr
from sciddm.physics.speech.level import LocalLevel
from sciddm.physics.speech.stft import STFT
from sciddm.pipelines.speech import SpeechEnhancement
from sciddm.simulation.speech.synthetic import speech_like

RATE = 16_000
FRAME_STFT = STFT()


def _noise(seconds: float, level: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return level * torch.randn(round(seconds * RATE), generator=generator)


@pytest.mark.parametrize("decibels", [0.0, -40.0, -80.0])
def test_noise_of_any_level_is_brought_to_the_target(decibels: float) -> None:
    Z = FRAME_STFT.analyse(_noise(4.0, 10 ** (decibels / 20)))
    scaled = Z * LocalLevel(3.0, 0.5).gains(Z, FRAME_STFT, RATE)
    rms = FRAME_STFT.expand(scaled).abs().square().mean(-2).sqrt()
    # The loudest of many frames is a little above their mean.
    assert 2.0 < float(rms.mean()) < 3.0
    assert float(rms.max()) == pytest.approx(3.0, rel=0.2)


def test_gains_follow_a_gain_of_the_recording() -> None:
    Z = FRAME_STFT.analyse(_noise(2.0))
    level = LocalLevel(3.0, 0.5)
    quiet = FRAME_STFT.analyse(1e-3 * _noise(2.0))
    ratio = level.gains(quiet, FRAME_STFT, RATE) / level.gains(Z, FRAME_STFT, RATE)
    torch.testing.assert_close(ratio, torch.full_like(ratio, 1e-3**-0.5), rtol=1e-3, atol=0)


def test_a_bang_changes_nothing_beyond_its_context() -> None:
    level = LocalLevel(3.0, 0.5)
    wave = _noise(6.0, 0.01)
    bang = wave.clone()
    bang[RATE : RATE + 100] = 10.0
    frames = [level.gains(FRAME_STFT.analyse(w), FRAME_STFT, RATE) for w in (wave, bang)]
    reach = level.context(FRAME_STFT, RATE)
    hit = RATE // FRAME_STFT.hop
    assert float((frames[1] / frames[0])[0, hit]) < 0.2
    torch.testing.assert_close(frames[0][..., hit + reach + 4 :], frames[1][..., hit + reach + 4 :])
    assert not torch.equal(frames[0][..., hit + reach - 40 :], frames[1][..., hit + reach - 40 :])


def test_silence_has_finite_gains_and_nonsense_is_refused() -> None:
    Z = FRAME_STFT.analyse(torch.zeros(RATE))
    assert torch.isfinite(LocalLevel().gains(Z, FRAME_STFT, RATE)).all()
    with pytest.raises(InputError):
        LocalLevel(target=0.0)


def test_configuration_makes_it_again() -> None:
    level = LocalLevel(2.0, 0.7)
    assert LocalLevel(**level.config) == level


def test_noise_in_a_pause_of_any_level_is_taken_down_by_the_bundled_model() -> None:
    """One full-scale sample elsewhere used to leave all but 5 dB of noise 40 dB below it."""
    pipeline = SpeechEnhancement.from_pretrained("speech-denoise")
    for decibels in (-20.0, -50.0):
        wave = np.append(_noise(2.5, 10 ** (decibels / 20)).numpy(), np.zeros(RATE, np.float32))
        wave[-1] = 1.0
        noisy = xr.DataArray(wave[None], dims=("channel", "time"), attrs={"rate": RATE})
        out = pipeline(noisy, quality="fast")["enhanced"].values[0]
        pause = slice(RATE // 2, 3 * RATE // 2)
        reduction = 10 * np.log10(np.mean(wave[pause] ** 2) / np.mean(out[pause] ** 2))
        assert reduction > 30


def test_a_bang_does_not_change_what_dereverb_makes_of_quiet_speech() -> None:
    """With the peak in place of the local level the model hardly works 30 dB below it."""
    rate = 16_000
    pipeline = SpeechEnhancement.from_pretrained("speech-dereverb")
    # The prediction learns from eight seconds, the bang among them: here the model alone.
    pipeline.front = replace(pipeline.front, prediction=None)
    tail = np.random.default_rng(0).standard_normal(rate // 2)
    tail *= np.exp(-np.arange(rate // 2) / 1600)
    tail[0] = 4.0
    wet = np.convolve(speech_like(3.0, rate, seed=2), tail)[: 3 * rate]
    quiet = np.concatenate([np.zeros(rate // 2), 0.01 * wet / np.abs(wet).max()])
    bang = quiet.copy()
    bang[100:150] = 1.0
    outs = []
    for wave in (quiet, bang):
        data = xr.DataArray(wave[None].astype(np.float32), dims=("channel", "time"))
        result = pipeline(data.assign_attrs(rate=rate), quality="fast")
        outs.append(result["enhanced"].values[0, 2 * rate :].astype(float))
    assert si_sdr(outs[1], outs[0]) > 14  # 17.6; 8.7 with the peak
