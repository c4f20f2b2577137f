"""The problems of the speech benchmark, as files that every method reads.

Noise: every utterance of dev/clean in noise of dev/noise at -5, 0, 5, 10 and 15 dB, a noise and a
place in it drawn with a seed; the SNR is that of the powers over the whole utterance.
Reverberation: the same utterances in two recorded rooms that no training uses; the reference is
the dry speech through the direct sound and the 2.5 ms after it, aligned with the recording.

The mfa_* utterances, all of one atypical voice, are a group of their own.

    python -m benchmarks.speech_problems FOLDER          write them
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The place in this list seeds a mixture: new levels go to its end.
SNRS_DB = (0, 5, 10, 15, -5)
RATE = 16_000
SEED = 2024
_EARLY_S = 0.0025


@dataclass
class Problem:
    """A recording and its reference.

    Attributes:
        noisy: (time,) what a method is given.
        clean: (time,) the reference, as loud as the speech in `noisy`.
        info: name; kind ("noise" or "room"); group ("dev" or "mfa"); condition ("5 dB" or the
            room's name); source and what else identifies it.
    """

    noisy: NDArray[np.float32]
    clean: NDArray[np.float32]
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Its duration."""
        return len(self.noisy) / RATE

    def save(self, folder: Path) -> Path:
        path = folder / f"{self.info['name']}.npz"
        np.savez(path, noisy=self.noisy, clean=self.clean, info=json.dumps(self.info))
        return path

    @classmethod
    def load(cls, path: Path) -> Problem:
        with np.load(path) as file:
            return cls(file["noisy"], file["clean"], json.loads(str(file["info"])))

    def digest(self) -> str:
        """Identifies the data that a method saw and is scored by."""
        return hashlib.sha256(self.noisy.tobytes() + self.clean.tobytes()).hexdigest()[:16]


def load_problems(folder: Path, kind: str | None = None) -> list[Problem]:
    """All problems of a folder, by name; those of one kind if given."""
    problems = [Problem.load(p) for p in sorted(Path(folder).glob("*.npz"))]
    return [p for p in problems if kind is None or p.info["kind"] == kind]


def data_root() -> Path:
    return Path(os.environ.get("SCIDDM_DATA", "../shared/data")) / "speech"


def build(folder: Path, mfa: bool = True) -> list[Path]:
    """Writes all problems that are not there yet.

    Args:
        folder: made if it is not there.
        mfa: with the utterances of the atypical voice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = data_root()
    speech = sorted((root / "dev" / "clean").glob("*.flac"))
    noises = sorted(p for p in (root / "dev" / "noise").iterdir() if p.suffix in (".flac", ".ogg"))
    if not speech or not noises:
        raise SystemExit(f"{root}/dev: no data: set SCIDDM_DATA to the folder that holds speech/")
    written = []
    for i, path in enumerate(speech):
        if path.name.startswith("mfa_") and not mfa:
            continue
        for j, snr in enumerate(SNRS_DB):
            name = f"noise-{path.stem}-{snr:02d}dB"
            if not (folder / f"{name}.npz").exists():
                rng = np.random.default_rng([SEED, i, j])
                noise = noises[int(rng.integers(len(noises)))]
                written.append(_noisy(name, path, noise, snr, rng).save(folder))
        for room in rooms():
            name = f"room-{path.stem}-{room}"
            if not (folder / f"{name}.npz").exists():
                written.append(_reverberant(name, path, room).save(folder))
    return written


def rooms() -> tuple[str, ...]:
    from sciddm.pipelines.speech.training_data import RESERVED_ROOMS

    return RESERVED_ROOMS


def _noisy(name: str, path: Path, noise: Path, snr: int, rng: np.random.Generator) -> Problem:
    from sciddm.simulation.speech.synthetic import mix

    clean, sound = _read(path), _read(noise)
    start = int(rng.integers(len(sound)))
    sound = np.resize(np.roll(sound, -start), len(clean))  # repeats what is too short
    info = {"name": name, "kind": "noise", "condition": f"{snr} dB", "noise": noise.stem}
    return _problem(mix(clean, sound, snr), clean, path, info)


def _reverberant(name: str, path: Path, room: str) -> Problem:
    from scipy.signal import fftconvolve

    from sciddm.simulation.speech.rooms import split_direct

    dry = _read(path)
    with np.load(data_root() / "rirs_16k_f32.npz") as file:
        response, direct, _ = split_direct(file[room].astype(np.float64), RATE, _EARLY_S)
    wet, clean = (fftconvolve(dry, h)[: len(dry)] for h in (response, direct))
    return _problem(wet, clean, path, {"name": name, "kind": "room", "condition": room})


def _problem(noisy: NDArray, clean: NDArray, path: Path, info: dict[str, Any]) -> Problem:
    scale = 0.9 / max(float(np.abs(noisy).max()), float(np.abs(clean).max()))
    group = "mfa" if path.name.startswith("mfa_") else "dev"
    return Problem(
        (scale * noisy).astype(np.float32),
        (scale * clean).astype(np.float32),
        {**info, "group": group, "speech": path.stem},
    )


def _read(path: Path) -> NDArray[np.float64]:
    from sciddm.data_adapters.audio import open_audio

    sound = open_audio(path)
    if sound.attrs["rate"] != RATE or sound.sizes["channel"] != 1:
        raise SystemExit(f"{path}: the benchmark needs {RATE} Hz and one channel")
    return sound.values[0].astype(np.float64)


if __name__ == "__main__":
    for path in build(Path(sys.argv[1])):
        print(path)
