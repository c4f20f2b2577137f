"""What ``sciddm demo speech`` simulates: a noisy recording that needs no file and no speaker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.audio import open_audio, save_audio
from sciddm.metrics.speech import si_sdr
from sciddm.pipelines.engine.domain import Example
from sciddm.pipelines.engine.summary import Fact
from sciddm.simulation.speech.synthetic import mix, pink_noise, speech_like

__all__ = ["simulate"]

_RATE, _SECONDS, _SNR_DB, _SEED = 16_000, 8.0, 5.0, 0


def simulate(folder: Path) -> Example:
    """Writes clean.wav and noisy.wav."""
    clean = speech_like(_SECONDS, _RATE, _SEED)
    noisy = mix(clean, pink_noise(len(clean), _SEED), _SNR_DB)
    top = max(1.0, float(np.abs(noisy).max()) / 0.95)
    truth, source, target = (folder / f"{n}.wav" for n in ("clean", "noisy", "enhanced"))
    for path, wave in ((truth, clean), (source, noisy)):
        sound = xr.DataArray(
            (wave / top)[None].astype(np.float32), dims=("channel", "time"), attrs={"rate": _RATE}
        )
        save_audio(sound, path, overwrite=True)

    def agreement() -> Iterator[Fact]:
        for key, label, path in (("noisy", "noisy ", source), ("enhanced", "", target)):
            value = si_sdr(open_audio(path).values[0], clean)
            yield Fact(f"{key}_si_sdr_db", f"{label}SI-SDR", value, f"{value:.1f} dB")

    return Example(source, target, (source, truth), {"seed": _SEED}, agreement, truth)
