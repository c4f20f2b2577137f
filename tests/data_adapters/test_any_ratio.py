"""Conversion by any ratio: sines stay sines, blocks do not matter, tables stay small."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciddm.data_adapters.audio import any_ratio
from sciddm.data_adapters.audio.resampling import (
    _any_ratio,
    _is_large,
    live_resampler,
    resample,
    resample_blocks,
)


def _sines(rate: int, samples: int, hz: tuple[float, ...]) -> np.ndarray:
    t = np.arange(samples) / rate
    return sum((np.sin(2 * np.pi * f * t + f) for f in hz), np.zeros(samples))


@pytest.mark.parametrize(
    ("rate", "new_rate"), [(7999, 16_000), (11_127, 16_000), (44_056, 16_000), (16_000, 44_101)]
)
def test_sines_come_out_as_sines(rate: int, new_rate: int) -> None:
    hz = (310.3, 1999.7, 0.3 * min(rate, new_rate))
    x = torch.from_numpy(_sines(rate, rate, hz).astype(np.float32))[None]
    assert _is_large(rate, new_rate)
    y = resample(x, rate, new_rate)[0].numpy()
    assert len(y) == new_rate
    error = np.abs(y - _sines(new_rate, new_rate, hz))[2000:-2000]
    assert error.max() < 3e-6


@pytest.mark.parametrize("ratio", [(48_000, 16_000), (16_000, 48_000), (8000, 16_000)])
def test_agrees_with_the_table_of_all_phases(ratio: tuple[int, int]) -> None:
    x = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    convert = _any_ratio(*ratio)
    y = torch.cat([convert.push(x), convert.finish()], -1)
    torch.testing.assert_close(y, resample(x, *ratio), rtol=0, atol=1e-5)


def test_blocks_do_not_matter() -> None:
    x = torch.randn(1, 9000, generator=torch.Generator().manual_seed(0))
    whole = resample(x, 7999, 16_000)
    pieces = resample_blocks(torch.split(x, [1, 0, 700, 5000, 3299], -1), 7999, 16_000)
    torch.testing.assert_close(torch.cat(list(pieces), -1), whole, rtol=0, atol=1e-6)
    assert list(resample_blocks(iter(()), 7999, 16_000)) == []


def test_tables_and_what_is_held_stay_small_for_any_ratio() -> None:
    convert = _any_ratio(44_056, 16_000)
    assert convert._rows.numel() < 2**19
    for _ in range(5):
        convert.push(torch.zeros(1, 44_056))
        assert convert._held.shape[-1] < 3 * convert._half


def test_live_conversion_looks_two_milliseconds_ahead() -> None:
    down, up = live_resampler(48_000, 16_000), live_resampler(16_000, 48_000)
    assert down.lookahead / 48_000 < 0.0023
    assert up.lookahead / 16_000 < 0.0023
    # Above what the new rate can hold, a sine is gone.
    x = torch.from_numpy(_sines(48_000, 48_000, (10_000.0,)).astype(np.float32))[None]
    y = torch.cat([down.push(x), down.finish()], -1)
    assert float(y[..., 1000:-1000].abs().max()) < 1e-4
    assert any_ratio.AnyRatio is type(down)
