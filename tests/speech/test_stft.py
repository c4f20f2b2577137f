"""The compressed spectrogram: values against their definition, inversion, gradients of silence."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.errors import InputError
from sciddm.physics.speech.stft import STFT


def noise(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    wave = torch.randn(shape, generator=generator, dtype=dtype)
    return wave / wave.abs().max()


def test_the_transform_is_scipys_with_compressed_amplitudes():
    wave = noise(4000, dtype=torch.float64)
    stft = STFT()
    padded = np.pad(wave.numpy(), 255, mode="reflect")
    _, _, X = scipy.signal.stft(
        padded, nperseg=510, noverlap=510 - 128, window="hann", boundary=None, padded=False
    )
    X = X * 510 / 2  # scipy divides by the sum of its window
    wanted = 0.15 * np.sqrt(np.abs(X)) * np.exp(1j * np.angle(X))
    Z = stft.analyse(wave)
    assert Z.shape == (stft.bins, stft.frames(4000)) == (256, 32)
    np.testing.assert_allclose(Z.numpy(), wanted, atol=1e-12)


def test_a_sine_of_one_bin_peaks_there_with_half_the_sum_of_the_window():
    k, n = 40, 510
    wave = torch.cos(2 * math.pi * k * torch.arange(8 * n, dtype=torch.float64) / n)
    Z = STFT().analyse(wave)[:, 15]
    assert Z.abs().argmax() == k
    assert abs(Z[k]) == pytest.approx(0.15 * math.sqrt(n / 4), rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(
    length=st.integers(1, 3000),
    n_fft=st.sampled_from([510, 512, 64]),
    exponent=st.sampled_from([0.5, 0.667, 1.0]),
    level=st.sampled_from([1.0, 1e-2, 1e-6, 0.0]),
)
def test_synthesis_undoes_analysis(length, n_fft, exponent, level):
    stft = STFT(n_fft=n_fft, hop=n_fft // 4, factor=0.15, exponent=exponent)
    wave = level * noise(2, length, seed=length)
    Z = stft.analyse(wave)
    assert Z.shape[-1] == stft.frames(length)
    torch.testing.assert_close(stft.synthesise(Z, length), wave, rtol=0, atol=2e-6 * level)


def test_round_trip_of_published_front_end():
    wave = noise(32640)
    error = STFT().synthesise(STFT().analyse(wave), 32640) - wave
    assert STFT().frames(32640) == 256
    assert error.abs().max() < 5e-7
    assert error.square().mean().sqrt() < 1e-7


@pytest.mark.parametrize("level", [0.0, 1e-8, 1.0])
def test_gradients_are_finite_in_both_directions(level):
    wave = (level * noise(2000)).requires_grad_()
    Z = STFT().analyse(wave)
    Z.abs().square().sum().backward()
    assert torch.isfinite(wave.grad).all()
    Z = Z.detach().requires_grad_()
    STFT().synthesise(Z, 2000).square().sum().backward()
    assert torch.isfinite(torch.view_as_real(Z.grad)).all()


def test_the_gradient_is_the_difference_quotient():
    stft = STFT(n_fft=16, hop=4)
    wave = noise(40, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: torch.view_as_real(stft.analyse(w)), wave)


def test_config_makes_the_same_transform():
    stft = STFT(n_fft=1534, hop=384, factor=0.065, exponent=0.667)
    assert STFT(**stft.config) == stft
    assert stft.bins == 768


@pytest.mark.parametrize("bad", [{"hop": 0}, {"hop": 400}, {"factor": 0.0}, {"exponent": 2.0}])
def test_settings_that_cannot_be_inverted_are_refused(bad):
    with pytest.raises(InputError, match="STFT"):
        STFT(**bad)
