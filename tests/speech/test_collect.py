"""Results in memory or, where they are long, on the disk: the same values, without a time axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from speech_models import scaling

from sciddm.pipelines.speech import collect
from sciddm.pipelines.speech.pipeline import SpeechEnhancement


@pytest.mark.parametrize("limit", [2**27, 1000])
def test_long_results_lie_on_the_disk_and_have_no_time_axis(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "_IN_MEMORY", limit)
    monkeypatch.setattr(collect, "_TIMES", limit)
    wave = (0.1 * np.random.default_rng(0).standard_normal((2, 3000))).astype(np.float32)
    noisy = xr.DataArray(wave, dims=("channel", "time"), attrs={"rate": 16_000})
    pipeline = SpeechEnhancement(scaling(1.0))
    result = collect.collected(pipeline.open(noisy, quality="fast"), lambda: tmp_path)
    np.testing.assert_allclose(result["enhanced"], wave, atol=1e-4)
    np.testing.assert_array_equal(result["noisy"], wave)
    long = limit == 1000
    assert ("time" in result.coords) != long
    assert any(tmp_path.iterdir()) == long
    assert result.attrs["rate"] == 16_000
