"""`sciddm demo speech`: a noisy recording that needs no file and no speaker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.audio import open_audio, save_audio
from sciddm.metrics.speech import si_sdr
from sciddm.pipelines.demonstration import show_job
from sciddm.pipelines.engine.batch import make_folder
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.summary import Fact
from sciddm.pipelines.speech.run import enhance_file, load_pipeline
from sciddm.simulation.speech.synthetic import mix, pink_noise, speech_like

__all__ = ["run_demo"]

_MODEL = "speech-denoise"
_RATE, _SECONDS, _SNR_DB, _SEED = 16_000, 8.0, 5.0, 0


def run_demo(folder: Path, quality: str) -> None:
    """Makes a noisy recording, writes it, and does what the command line would do with it.

    Writes clean.wav and noisy.wav; enhanced.wav and enhanced.json; and enhanced.html, the report.
    Earlier files of these names in the folder are replaced.

    Args:
        folder: made if it is not there.
        quality: fast, balanced or best.

    Raises:
        ModelError: the bundled model is missing.
        OutputError: the folder cannot be written.
    """
    load_pipeline(_MODEL)  # before anything is written
    make_folder(folder)
    say("note", f"making {_SECONDS:g} s of synthetic speech in pink noise at {_SNR_DB:g} dB")
    clean = speech_like(_SECONDS, _RATE, _SEED)
    noisy = mix(clean, pink_noise(len(clean), _SEED), _SNR_DB)
    top = max(1.0, float(np.abs(noisy).max()) / 0.95)
    source, target = folder / "noisy.wav", folder / "enhanced.wav"
    for path, wave in ((folder / "clean.wav", clean), (source, noisy)):
        sound = xr.DataArray(
            (wave / top)[None].astype(np.float32), dims=("channel", "time"), attrs={"rate": _RATE}
        )
        save_audio(sound, path, overwrite=True)
    options = {
        "model": _MODEL,
        "quality": quality,
        "samples": None,
        "seed": _SEED,
        "attenuation_limit": None,
    }
    command = f"sciddm speech enhance {source} -o {target} --seed {_SEED} --quality {quality}"

    def facts() -> Iterator[Fact]:
        for key, label, path in (("noisy", "noisy ", source), ("enhanced", "", target)):
            value = si_sdr(open_audio(path).values[0], clean)
            yield Fact(f"{key}_si_sdr_db", f"{label}SI-SDR", value, f"{value:.1f} dB")

    show_job(
        source,
        target,
        enhance_file,
        options,
        command,
        page=folder / "enhanced.html",
        simulated=[source, folder / "clean.wav"],
        facts=facts,
        verb="see and hear",
    )
