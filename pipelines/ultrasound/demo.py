"""`sciddm demo ultrasound`: a beating heart behind haze, that needs no file and no scanner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sciddm.data_adapters.ultrasound import open_frames
from sciddm.pipelines.demonstration import show_job
from sciddm.pipelines.engine.batch import make_folder
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.scores import Score
from sciddm.pipelines.engine.summary import Fact
from sciddm.pipelines.ultrasound.evaluate import COLUMNS, measure
from sciddm.pipelines.ultrasound.run import dehaze_file, load_pipeline
from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_file

__all__ = ["run_demo"]

_SCAN = Wanted(depth=512, lines=96, frames=4, view="four-chamber", seed=3)
_TOLD = ("psnr_db", "gcnr", "ks_tissue")


def run_demo(folder: Path, quality: str) -> None:
    """Simulates a hazy clip, writes it, and does what the command line would do with it.

    Writes scan.h5 and truth.h5, dehazed.h5 and .json, and dehazed.html, the report. Earlier files
    of these names in the folder are replaced.

    Args:
        folder: made if it is not there.
        quality: fast, balanced or best.

    Raises:
        ModelError: the bundled models are missing.
        OutputError: the folder cannot be written.
    """
    load_pipeline(None, None).load("rf")  # before anything is written
    make_folder(folder)
    say("note", f"simulating {_SCAN.frames} frames of a heart behind haze")
    source, truth, target = (folder / f"{n}.h5" for n in ("scan", "truth", "dehazed"))
    simulate_file(_SCAN, source, truth, overwrite=True)
    options = {
        "tissue_model": None,
        "haze_model": None,
        "quality": quality,
        "gamma": 1.0,
        "guidance": None,
        "samples": None,
        "seed": 0,
        "range_db": None,
    }
    command = f"sciddm ultrasound dehaze {source} -o {target} --seed 0 --quality {quality}"

    def facts() -> Iterator[Fact]:
        clean = open_frames(truth)
        for label, scan in (("hazy", source), ("dehazed", target)):
            score = Score(label)
            measure(open_frames(scan), clean, score)
            for key in _TOLD:
                if key in score.values:
                    words, form = COLUMNS[key]
                    value = score.values[key]
                    yield Fact(f"{label}_{key}", f"{words}, {label}", value, form.format(value))

    show_job(
        source,
        target,
        dehaze_file,
        options,
        command,
        page=target.with_suffix(".html"),
        simulated=[source, truth],
        facts=facts,
    )
