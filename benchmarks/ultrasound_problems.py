"""Problems of the ultrasound benchmark: simulated scans with known tissue and known haze.

    test    hearts in three views, haze at three levels, seeds that no training sees
    tune    other seeds of the same: the parameters of classical methods
    --tiny  small scans, two of each: to try the benchmark itself

Training draws its maps and beams from other seeds, but from the same simulation: the table shows
how well methods do where the models know the physics, not how well they do on a scanner.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.physics.ultrasound.representation import log_compressed
from sciddm.physics.ultrasound.waves import envelope
from sciddm.pipelines.ultrasound.evaluate import RANGE_DB
from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan

VIEWS = ("four-chamber", "short-axis", "long-axis")
HAZE_DB = (-36.0, -28.0, -20.0)
_FIRST_SEED = {"test": 91_000, "tune": 92_000}


@dataclass
class UltrasoundProblem:
    """One frame.

    Attributes:
        hazy, clean, haze: (depth, lateral) RF.
        tissue_roi, blood_roi: (depth, lateral).
        info: name, role, view, haze_db, fs, fc, c.
    """

    hazy: NDArray[np.float32]
    clean: NDArray[np.float32]
    haze: NDArray[np.float32]
    tissue_roi: NDArray[np.bool_]
    blood_roi: NDArray[np.bool_]
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def top(self) -> float:
        """Amplitude of 0 dB: the largest of the hazy scan, which every method knows."""
        return float(envelope(self.hazy).max())

    def image(self, rf: NDArray[np.floating]) -> NDArray[np.float32]:
        """Log-compressed amplitude over 60 dB, 0 to 1."""
        return log_compressed(envelope(rf), self.top, RANGE_DB)

    def dataset(self) -> xr.Dataset:
        """The hazy frame in the form that the pipeline takes."""
        kept = {k: self.info[k] for k in ("fs", "fc", "c")}
        return xr.Dataset(
            {"frames": (("frame", "depth", "lateral"), self.hazy[None])},
            attrs={"kind": "rf", "source": self.info["name"], **kept},
        )

    def save(self, folder: Path) -> None:
        arrays = {k: v for k, v in vars(self).items() if k != "info"}
        np.savez(folder / f"{self.info['name']}.npz", **arrays, about=json.dumps(self.info))

    @classmethod
    def load(cls, path: Path) -> UltrasoundProblem:
        with np.load(path) as file:
            arrays = {k: file[k] for k in file.files}
        info = json.loads(str(arrays.pop("about")))
        return cls(**arrays, info=info)

    def digest(self) -> str:
        """Identifies the data that a method saw and is scored by."""
        h = hashlib.sha256()
        for array in (self.hazy, self.clean, self.tissue_roi, self.blood_roi):
            h.update(np.ascontiguousarray(array).tobytes())
        return h.hexdigest()[:16]


def build(folder: Path, *, tiny: bool = False) -> None:
    """Writes the problems that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for role, first in _FIRST_SEED.items():
        number = 0
        for view in VIEWS[:1] if tiny else VIEWS:
            for haze_db in HAZE_DB[1:] if tiny else HAZE_DB:
                name = f"{role}-{view}{haze_db:g}dB"
                if not (folder / f"{name}.npz").exists():
                    _problem(name, role, view, haze_db, first + number, tiny).save(folder)
                number += 1


def load_problems(folder: Path, role: str) -> list[UltrasoundProblem]:
    """The problems of a role, by name."""
    found = (UltrasoundProblem.load(p) for p in sorted(folder.glob("*.npz")))
    return [p for p in found if p.info["role"] == role]


def _problem(
    name: str, role: str, view: str, haze_db: float, seed: int, tiny: bool
) -> UltrasoundProblem:
    """The first scan from `seed` on that shows enough of both regions."""
    size = (256, 64) if tiny else (768, 128)
    for tried in range(seed, seed + 100_000, 1000):
        wanted = Wanted(depth=size[0], lines=size[1], view=view, haze_db=haze_db, seed=tried)
        hazy, clean = simulate_scan(wanted)
        rois = [clean[f"{n}_roi"][0].values for n in ("tissue", "blood")]
        if min(r.sum() for r in rois) > 0.01 * np.prod(size):
            break
    kept = {k: float(hazy.attrs[k]) for k in ("fs", "fc", "c")}
    about = {"name": name, "role": role, "view": view, "haze_db": haze_db, "seed": tried, **kept}
    arrays = (d["frames"][0].values for d in (hazy, clean))
    return UltrasoundProblem(*arrays, clean["true_haze"][0].values, rois[0], rois[1], about)
