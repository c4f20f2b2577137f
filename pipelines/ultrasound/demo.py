"""`sciddm demo ultrasound`: a beating heart behind haze, that needs no file and no scanner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sciddm.data_adapters.ultrasound import open_frames, save_frames
from sciddm.pipelines.engine.domain import Example
from sciddm.pipelines.engine.scores import Score
from sciddm.pipelines.engine.summary import Fact
from sciddm.pipelines.ultrasound.evaluate import measure
from sciddm.pipelines.ultrasound.requests import evaluate
from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan

__all__ = ["simulated_example"]

_SCAN = Wanted(depth=512, lines=96, frames=4, view="four-chamber", seed=3)
_TOLD = ("psnr_db", "gcnr", "ks_tissue")


def simulated_example(folder: Path) -> Example:
    """Writes scan.h5 and truth.h5, its tissue; what is known of the result is measured on both."""
    source, truth, target = (folder / f"{n}.h5" for n in ("scan", "truth", "dehazed"))
    hazy, clean = simulate_scan(_SCAN)
    save_frames(hazy, source, overwrite=True)
    save_frames(clean, truth, overwrite=True)

    def facts() -> Iterator[Fact]:
        for label, scan in (("hazy", source), ("dehazed", target)):
            score = Score(label)
            measure(open_frames(scan), clean, score)
            for key in _TOLD:
                if key in score.values:
                    words, form = evaluate.columns[key]
                    value = score.values[key]
                    yield Fact(f"{label}_{key}", f"{words}, {label}", value, form.format(value))

    return Example(source, target, (source, truth), {"gamma": 1.0}, facts)
