"""The bundled causal model: quiet pauses, and the same from a pipe as from a file."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.simulation.speech.synthetic import speech_like

RATE = 16_000


def test_a_pause_is_quiet_and_a_pipe_gives_what_a_file_gives() -> None:
    rng = np.random.default_rng(5)
    speech = np.concatenate([np.zeros(2 * RATE), 0.3 * speech_like(2.0, RATE, 5)])
    noisy = (speech + 0.02 * rng.standard_normal(len(speech))).astype(np.float32)
    pipeline = SpeechEnhancement.from_pretrained("speech-live")
    assert pipeline.causal
    data = xr.DataArray(noisy[None], dims=("channel", "time"), attrs={"rate": RATE})
    result = pipeline(data, quality="fast", std=True)
    enhanced = result["enhanced"].values
    pause = slice(RATE, 2 * RATE - 1000)
    quieter = 20 * np.log10(noisy[pause].std() / enhanced[0, pause].std())
    assert quieter > 25
    assert result["std"].values[0, pause].max() < 0.02
    live = pipeline.live(RATE)
    pieces = [live.push(piece) for piece in np.split(noisy[None], [777, 20_000], axis=1)]
    piped = np.concatenate([*pieces, live.finish()], axis=1)
    np.testing.assert_allclose(piped, enhanced, atol=1e-5)
