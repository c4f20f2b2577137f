"""`sciddm demo ultrasound`: a beating heart behind haze, that needs no file and no scanner."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sciddm.data_adapters.ultrasound import save_frames
from sciddm.pipelines.engine.comparison import agreement
from sciddm.pipelines.engine.domain import Example
from sciddm.pipelines.ultrasound.requests import evaluate
from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan

__all__ = ["simulate"]

_SCAN = Wanted(depth=512, lines=96, frames=4, view="four-chamber", seed=3)
_TOLD = ("psnr_db", "gcnr", "ks_tissue")


def simulate(folder: Path) -> Example:
    """Writes scan.h5 and truth.h5, its tissue; what is known of the result is measured on both."""
    source, truth, target = (folder / f"{n}.h5" for n in ("scan", "truth", "dehazed"))
    hazy, clean = simulate_scan(_SCAN)
    save_frames(hazy, source, overwrite=True)
    save_frames(clean, truth, overwrite=True)

    columns = {key: evaluate.columns[key] for key in _TOLD}
    facts = partial(agreement, evaluate, clean, {"hazy": source, "dehazed": target}, columns)
    return Example(source, target, (source, truth), {"gamma": 1.0}, facts, truth)
