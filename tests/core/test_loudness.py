"""The distance of loudness patterns: what it does not hear, and what it hears more of."""

from __future__ import annotations

import pytest
import torch

from sciddm.losses.loudness import _bands, _loudness, loudness_distance
from sciddm.losses.spectral_loss import SpectralLoss


def speech_like(seed: int = 0, frames: int = 250, bins: int = 256) -> torch.Tensor:
    """Complex spectrogram (1, F, T): noise of 1/f shape in bursts."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(1, bins, frames, dtype=torch.complex64, generator=generator)
    shape = 1 / (5 + torch.arange(bins))[:, None]
    gate = (torch.arange(frames) // 25 % 2).float() + 1e-3
    return 30 * X * shape * gate


def power(X: torch.Tensor) -> torch.Tensor:
    return X.abs().square()


def test_equal_sounds_are_at_no_distance_whatever_their_level():
    X = speech_like()
    for level in (1e-2, 1.0, 30.0):
        assert loudness_distance(power(level * X), power(X)) < 2e-3


def test_noise_counts_the_more_the_louder_it_is_and_not_when_it_cannot_be_heard():
    X, N = speech_like(), speech_like(seed=1)
    distances = [
        float(loudness_distance(power(X + 10 ** (-snr / 20) * N), power(X)))
        for snr in (0, 5, 10, 20, 40, 120)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 10 * distances[4]
    assert distances[-1] < 2e-3


def test_noise_in_pauses_disturbs_more_than_the_same_noise_under_speech():
    X = speech_like(frames=400)
    speech = torch.arange(400) // 25 % 2 == 1
    N = speech_like(seed=1, frames=400)
    N = N / N.abs().square().mean(1, keepdim=True).sqrt() * 0.03
    under, between = (loudness_distance(power(X + N * m), power(X)) for m in (speech, ~speech))
    assert between > 2 * under


def test_what_is_added_disturbs_more_than_what_is_lacking():
    """The asymmetric part: a band that is too loud for moments against the same band too faint.

    (One that always is counts little, as P.862 has it: that is a filter, not a disturbance.)
    """
    X = speech_like()
    band = torch.ones(256, 250)
    band[60:90, 50:100] = 10.0
    added, lacking = (loudness_distance(power(X * g), power(X)) for g in (band, 1 / band))
    always = loudness_distance(power(X * band[:, 75:76]), power(X))
    assert added > lacking > 3 * always


def test_zwickers_law():
    """Far above the threshold the loudness goes with the power to 0.23; below it is 0."""
    theta = torch.tensor([[0.5]])
    loud = _loudness(torch.tensor([[1e8, 2e8, 0.4]]), theta)[0]
    assert float(loud[1] / loud[0]) == pytest.approx(2**0.23, rel=2e-2)
    assert loud[2] == 0
    exact = 0.1866 * 1.0**0.23 * ((0.5 + 1e8) ** 0.23 - 1)
    assert float(loud[0]) == pytest.approx(exact, rel=1e-5)


def test_bands_hold_every_bin_above_the_lowest_two_once():
    bands, width, threshold = _bands(256, 16_000.0)
    assert torch.equal(bands.sum(0), torch.tensor([0.0, 0.0, *[1.0] * 254]))
    assert bool((width == 0.5).all())
    # Terhardt's threshold has its lowest point between 3 and 4 kHz, at -5 dB.
    khz = (bands @ torch.linspace(0, 8, 256)) / bands.sum(1)
    assert 3.0 < float(khz[threshold[:, 0].argmin()]) < 4.0
    assert float(10 * threshold.min().log10()) == pytest.approx(-4.98, abs=0.1)


def test_slopes_are_those_of_the_value():
    X, N = speech_like(frames=60, bins=64).to(torch.complex128), speech_like(1, 60, 64)
    P = power(X + 0.3 * N).requires_grad_(True)
    (slope,) = torch.autograd.grad(loudness_distance(P, power(X)).sum(), P)
    direction = P.detach() * torch.rand_like(P, dtype=torch.float64)
    step = 1e-6
    with torch.no_grad():
        up, down = (loudness_distance(P + s * direction, power(X)) for s in (step, -step))
    assert float((slope * direction).sum()) == pytest.approx(
        float(up - down) / (2 * step), rel=1e-3
    )


@pytest.mark.parametrize("level", [0.0, 1e-9, 1.0])
def test_the_loss_has_finite_slopes_for_silence_and_for_the_truth_itself(level):
    loss = SpectralLoss(0.0, 0.0, power=2.0, scale=0.1, loudness=1.0)
    truth = speech_like()[:, None]
    for x in (truth, torch.zeros_like(truth)):
        z = (level * truth).requires_grad_(True)
        loss(z, x).sum().backward()
        assert z.grad is not None
        assert bool(torch.isfinite(torch.view_as_real(z.grad)).all())


def test_the_loss_undoes_the_compression_and_is_per_item():
    X, N = (torch.cat([speech_like(s), speech_like(s + 5)])[:, None] for s in (0, 1))
    loss = SpectralLoss(0.0, 0.0, power=2.0, loudness=0.7)
    compress = lambda V: V * V.abs().clamp_min(1e-12) ** -0.5  # noqa: E731
    values = loss(compress(X + N), compress(X))
    for i in range(2):
        exact = 0.7 * loudness_distance(power(X + N)[i], power(X)[i])
        torch.testing.assert_close(values[i : i + 1], exact, rtol=1e-3, atol=1e-5)
