"""The pause gate: how much more it takes, where, and that speech is left alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciddm.errors import InputError
from sciddm.physics.speech.pause_gate import PauseGate
from sciddm.physics.speech.stft import STFT

RATE = 16_000
FRONT = STFT()
GATE = PauseGate(below=10.0, slope=2.0, most=20.0, seconds=0.15)


def _spectrogram(seconds: float = 4.0) -> torch.Tensor:
    rng = np.random.default_rng(0)
    wave = rng.standard_normal(round(seconds * RATE)).astype(np.float32)
    return FRONT.analyse(torch.from_numpy(0.1 * wave))


def _decibels(after: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Level of each frame against another spectrogram's."""
    powers = [FRONT.expand(Z).abs().square().sum(-2) for Z in (after, before)]
    return 10 * torch.log10(powers[0] / powers[1])


@pytest.mark.parametrize(("gain", "more"), [(-5.0, 0.0), (-10.0, 0.0), (-14.0, 8.0), (-30.0, 20.0)])
def test_what_is_far_below_the_recording_goes_further_below(gain: float, more: float) -> None:
    Y = _spectrogram()
    estimate = Y * 10 ** (FRONT.exponent * gain / 20)
    out = GATE(estimate, Y, FRONT, RATE)
    torch.testing.assert_close(
        _decibels(out, Y), torch.full((Y.shape[-1],), gain - more), rtol=0, atol=0.01
    )


def test_nothing_changes_within_the_reach_of_speech() -> None:
    Y = _spectrogram()
    gains = torch.full((Y.shape[-1],), -25.0)
    gains[200:260] = -2.0
    estimate = Y * 10 ** (FRONT.exponent * gains / 20)
    taken = _decibels(GATE(estimate, Y, FRONT, RATE), estimate)
    reach = round(0.15 * RATE / FRONT.hop)
    # The maximum reaches so far, and its mean as far again.
    assert float(taken[200:260].abs().max()) < 1e-3
    far = 2 * reach + 1
    assert far == GATE.context(FRONT, RATE) + 1 or far > GATE.context(FRONT, RATE)
    torch.testing.assert_close(
        taken[: 200 - far], torch.full((200 - far,), -20.0), atol=1e-2, rtol=0
    )
    assert float(taken[260:].diff().abs().max()) < 3  # no switch


def test_silence_and_nonsense() -> None:
    Z = torch.zeros(256, 50, dtype=torch.complex64)
    assert not GATE(Z, Z, FRONT, RATE).any()
    with pytest.raises(InputError):
        PauseGate(slope=0)
    assert PauseGate(**GATE.config) == GATE
