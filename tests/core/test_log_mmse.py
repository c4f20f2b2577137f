"""LogMMSE: gain against its integral, tracked noise, state, limits."""

from __future__ import annotations

import pytest
import torch
from scipy.integrate import quad

from sciddm.classical.log_mmse import LogMMSE, NoiseState


def _noise(frames: int, level: float = 1.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(1, 64, frames, dtype=torch.complex64, generator=generator)


def test_gain_is_that_of_ephraim_and_malah() -> None:
    """With s^2 = 1 and x, |y|^2 of one frame: G = x / (1 + x) exp(E1(v) / 2)."""
    model = LogMMSE(60.0)
    state = NoiseState(torch.ones(1, 1), torch.zeros(1, 1), torch.full((1, 1), 5.0), 99)
    gain = float(model._gain(torch.full((1, 1), 9.0), state))
    noise = float(state.noise)  # after the update
    x = 0.98 * 5.0 + 0.02 * (9.0 / noise - 1)
    v = x / (1 + x) * 9.0 / noise
    integral = quad(lambda t: 2.718281828459045**-t / t, v, 60)[0]
    assert gain == pytest.approx(x / (1 + x) * 2.718281828459045 ** (integral / 2), rel=1e-4)


def test_steady_noise_is_tracked_and_taken_away() -> None:
    model, Y = LogMMSE(30.0), _noise(400, 0.3)
    out, state = model.run(Y, model.start(1, 64))
    assert float(state.noise.mean()) == pytest.approx(0.09, rel=0.25)
    reduction = Y[..., 100:].abs().square().mean() / out[..., 100:].abs().square().mean()
    assert float(reduction) > 10**1.5
    assert float((out.abs() / Y.abs()).min()) >= 10 ** (-30 / 20) * 0.999


def test_noise_that_gets_louder_is_followed() -> None:
    model = LogMMSE()
    state = model.start(1, 64)
    _, state = model.run(_noise(200, 0.1), state)
    _, state = model.run(_noise(600, 1.0, 1), state)
    assert float(state.noise.mean()) == pytest.approx(1.0, rel=0.3)


def test_pieces_are_the_whole_and_a_loud_tone_stays() -> None:
    model, Y = LogMMSE(), _noise(60)
    Y[:, 10, 30:] += 100
    whole, _ = model.run(Y, model.start(1, 64))
    state, parts = model.start(1, 64), []
    for piece in torch.split(Y, 7, -1):
        out, state = model.run(piece, state)
        parts.append(out)
    torch.testing.assert_close(torch.cat(parts, -1), whole)
    assert float((whole[:, 10, 33:] / Y[:, 10, 33:]).abs().min()) > 0.98


def test_silence_is_silence_and_no_limit_is_refused() -> None:
    model = LogMMSE()
    out, _ = model.run(torch.zeros(2, 4, 20, dtype=torch.complex64), model.start(2, 4))
    assert not out.any()
    with pytest.raises(ValueError, match="limit"):
        LogMMSE(0)
