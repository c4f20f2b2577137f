"""Metrics against closed forms and their packages' own examples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sciddm.errors import InputError
from sciddm.metrics.speech import LevelMeter, estoi, pause_masks, pesq, reduction_db, si_sdr
from sciddm.simulation.speech.synthetic import mix, pink_noise, speech_like


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return speech_like(2.0, 16000, 3)


def test_si_sdr_of_orthogonal_noise():
    t = 2 * np.pi * np.arange(1000) / 1000
    clean, noise = np.sin(5 * t), np.cos(5 * t)
    assert si_sdr(3 * (clean + 0.1 * noise), clean) == pytest.approx(20.0)
    # An offset of either is not an error; noise along the signal is gain.
    assert si_sdr(clean + 0.1 * noise + 0.7, clean - 0.2) == pytest.approx(20.0)
    assert si_sdr(-2 * clean, clean) == math.inf or si_sdr(-2 * clean, clean) > 250
    assert si_sdr(noise, clean) < -200


def test_si_sdr_is_the_snr_for_noise_that_is_uncorrelated(speech):
    noisy = mix(speech, pink_noise(len(speech), 1), 5.0)
    assert si_sdr(noisy, speech) == pytest.approx(5.0, abs=0.3)


def test_si_sdr_refuses_silence_and_other_lengths(speech):
    with pytest.raises(InputError, match="silent"):
        si_sdr(speech, 0 * speech)
    with pytest.raises(InputError, match="equal length"):
        si_sdr(speech[1:], speech)


def test_pesq_of_a_copy_is_its_maximum(speech):
    pytest.importorskip("pesq", reason="the extra speech-metrics is not installed")
    assert pesq(speech, speech, 16000) == pytest.approx(4.643888, abs=1e-5)
    noisy = mix(speech, pink_noise(len(speech), 1), 5.0)
    assert pesq(noisy, speech, 16000) < 3
    with pytest.raises(InputError, match="8 and 16 kHz"):
        pesq(speech, speech, 44100)
    with pytest.raises(InputError, match="cannot be computed"):
        pesq(0 * speech, 0 * speech, 16000)


def test_estoi_falls_with_noise(speech):
    assert estoi(speech, speech, 16000) == pytest.approx(1.0, abs=1e-6)
    values = [
        estoi(mix(speech, pink_noise(len(speech), 1), snr), speech, 16000) for snr in (15, 5, -5)
    ]
    assert values == sorted(values, reverse=True)
    with pytest.raises(InputError, match=r"0\.4 s"):
        estoi(speech[:1600], speech[:1600], 16000)


@pytest.mark.parametrize("block", [1, 777, 100_000])
def test_the_level_meter_looks_where_it_is_loud(block):
    rate = 8000
    rng = np.random.default_rng(0)
    loud = np.repeat([0.01, 0.01, 1.0, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01], rate // 20)
    noisy = (loud * rng.standard_normal(loud.size))[None]
    enhanced = np.where(loud == 1.0, 0.5, 0.0) * noisy  # halved where loud, removed elsewhere
    meter = LevelMeter(rate)
    step = block if block > 1 else 501
    for i in range(0, noisy.shape[1], step):
        meter.push(noisy[:, i : i + step], enhanced[:, i : i + step])
    assert meter.frames == noisy.shape[1]
    assert meter.change_db() == pytest.approx(20 * math.log10(0.5), abs=1e-9)


def test_the_level_meter_of_silence():
    meter = LevelMeter(8000)
    meter.push(np.zeros((1, 900)), np.zeros((1, 900)))
    assert math.isnan(meter.change_db())
    meter = LevelMeter(8000)
    meter.push(np.ones((1, 10)), np.zeros((1, 10)))  # shorter than a frame
    assert meter.change_db() == -math.inf


def test_pauses_are_far_from_speech_and_gaps_beside_it() -> None:
    rate = 1000
    clean = np.zeros(6 * rate)
    clean[2000:3000] = clean[3200:4000] = 1.0
    far, near = pause_masks(clean, rate, 0.3)
    assert far[:1600].all()
    assert not far[1750:4250].any()
    assert far[4400:].all()
    assert near[3050:3150].all()
    assert near[1750:1950].all()
    assert not near[2000:3000].any()
    assert not (far & near).any()


def test_reduction_is_the_level_of_what_is_left() -> None:
    noisy = np.random.default_rng(0).standard_normal(1000)
    enhanced = np.where(np.arange(1000) < 500, 0.1, 1.0) * noisy
    mask = np.arange(1000) < 500
    assert reduction_db(noisy, enhanced, mask) == pytest.approx(20)
    assert reduction_db(noisy, enhanced, ~mask) == pytest.approx(0)
    assert reduction_db(noisy, 0 * noisy, mask) == math.inf
    assert math.isnan(reduction_db(noisy, noisy, np.zeros(1000, bool)))
