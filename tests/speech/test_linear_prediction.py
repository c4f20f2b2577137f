"""Weighted prediction error against its closed form, and on a recording of any length."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from speech_models import scaling

from sciddm.classical.linear_prediction import LinearPrediction
from sciddm.errors import InputError
from sciddm.pipelines.speech.pipeline import SpeechEnhancement


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


def test_one_iteration_is_weighted_least_squares():
    """g minimises sum |y_t - sum_k conj(g_k) y_(t - delay - k)|^2 / |y_t|^2."""
    method = LinearPrediction(taps=4, delay=3, iterations=1)
    Y = noise(3, 80)
    for y, x in zip(Y.numpy(), method.predict(Y).numpy(), strict=True):
        past = np.stack([np.concatenate([np.zeros(3 + k), y])[:80] for k in range(4)], axis=1)
        root = 1 / np.abs(y)
        g = np.linalg.lstsq(past * root[:, None], y * root, rcond=None)[0]
        np.testing.assert_allclose(x, y - past @ g, atol=1e-6)


def test_echoes_of_a_sparse_sound_are_found():
    """y_t = x_t + sum_k c_k y_(t - delay - k) is undone up to the error of estimating c."""
    taps, delay, frames, iterations = 3, 2, 4000, 3
    x = noise(2, frames, seed=1) * (2 * noise(2, frames, seed=2).real).exp()
    c = torch.tensor([[0.5, -0.2j, 0.1], [0.3j, 0.2, -0.1]], dtype=torch.complex128)
    y = x.clone()
    for t in range(frames):
        for k in range(taps):
            if t >= delay + k:
                y[:, t] += c[:, k] * y[:, t - delay - k]
    out = LinearPrediction(taps=taps, delay=delay, iterations=iterations).predict(y)
    before, after = ((v - x).abs().square().mean() / x.abs().square().mean() for v in (y, out))
    assert before > 0.3
    assert after < 0.01 * before


def test_nothing_earlier_than_the_delay_is_touched_and_silence_stays():
    Y = noise(2, 100)
    Y[1] = 0
    out = LinearPrediction(taps=5, delay=7).predict(Y)
    assert torch.equal(out[:, :7], Y[:, :7])
    assert torch.equal(out[1], Y[1])
    assert not torch.allclose(out[0], Y[0])


def late_room(seconds: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(dry, reverberant): bursts, and an exponential tail that begins 50 ms later."""
    rng = np.random.default_rng(seed)
    n = int(16_000 * seconds)
    gate = np.repeat(rng.random(n // 1600 + 1) < 0.5, 1600)[:n]
    dry = gate * rng.standard_normal(n)
    tail = rng.standard_normal(6000) * np.exp(-np.arange(6000) / 1500)
    tail[:800] = 0
    tail *= 0.7 / np.linalg.norm(tail)
    wet = dry + np.convolve(dry, tail)[:n]
    return torch.from_numpy(dry).float(), torch.from_numpy(wet).float()


def test_a_late_tail_is_reduced():
    dry, wet = late_room(6.0)
    out = LinearPrediction(taps=40)(wet)
    assert (out - dry).square().sum() < 0.75 * (wet - dry).square().sum()


@settings(max_examples=8, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 47_999), max_size=5),
    level=st.floats(1e-3, 1e3),
)
def test_blocks_and_level_make_no_difference(cuts, level):
    _, wet = late_room(3.0)
    method = LinearPrediction(seconds=1.0)
    whole = torch.cat(list(method.stream([wet], len(wet))))
    edges = [0, *sorted(set(cuts)), len(wet)]
    blocks = [level * wet[i:j] for i, j in pairwise(edges)]
    out = torch.cat(list(method.stream(blocks, len(wet))))
    assert out.shape == wet.shape
    torch.testing.assert_close(out / level, whole, atol=1e-2, rtol=0)


def test_a_short_recording_is_one_piece_and_a_shorter_one_is_left_alone():
    _, wet = late_room(3.0)
    method = LinearPrediction()
    assert torch.equal(torch.cat(list(method.stream([wet], len(wet)))), method(wet))
    assert torch.equal(method(wet[:2000]), wet[:2000])


def test_the_model_sees_what_is_left():
    """With a model that changes nothing the recording comes back without its late part."""
    _, wet = late_room(2.0)
    wet = wet / wet.abs().max()
    data = xr.DataArray(wet[None].numpy(), dims=("channel", "time"), attrs={"rate": 16_000})
    method = LinearPrediction(taps=10)
    result = SpeechEnhancement(scaling(1.0), prediction=method)(data)
    level = wet - wet.mean()
    wanted = level.abs().max() * method(level / level.abs().max()) + wet.mean()
    np.testing.assert_allclose(result["enhanced"][0], wanted, atol=2e-5)
    assert np.abs(result["enhanced"][0] - wet.numpy()).max() > 0.01


def test_arguments_are_checked():
    with pytest.raises(InputError, match="at least 1"):
        LinearPrediction(delay=0)
    with pytest.raises(InputError, match="overlap"):
        LinearPrediction(hop=400)
