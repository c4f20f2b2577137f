"""`sciddm demo hsi`: a satellite's view of fields that needs no file and no satellite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sciddm.pipelines.demonstration import show_job
from sciddm.pipelines.engine.batch import make_folder
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.scores import Score
from sciddm.pipelines.engine.summary import Fact
from sciddm.pipelines.hsi.evaluate import compare
from sciddm.pipelines.hsi.methods import build_method
from sciddm.pipelines.hsi.run import denoise_file
from sciddm.pipelines.hsi.scenes import Wanted, simulate_file

__all__ = ["run_demo"]

_METHOD = "subspace"
_SCENE = Wanted(lines=128, samples=144, bands=80, case="finch", level=0.03, seed=0)


def run_demo(folder: Path, quality: str, method: str = _METHOD) -> None:
    """Simulates a scene of FINCH, writes it, and does what the command line would do with it.

    Writes scene.hdr and truth.hdr (ENVI), noisy and clean; denoised.hdr, denoised_std.hdr and
    denoised.json; and denoised.html, the report. Earlier files of these names in the folder are
    replaced.

    Args:
        folder: made if it is not there.
        quality: fast, balanced or best.
        method: name of the method.

    Raises:
        ModelError: the bundled model is missing.
        OutputError: the folder cannot be written.
    """
    build_method(method, None, quality)  # before anything is written
    make_folder(folder)
    say(
        "note",
        f"simulating {_SCENE.lines} x {_SCENE.samples} pixels of {_SCENE.bands} bands with noise, "
        "stripes and dead pixels",
    )
    source, truth, target = (folder / f"{n}.hdr" for n in ("scene", "truth", "denoised"))
    simulate_file(_SCENE, source, truth, overwrite=True)
    options = {
        "method": method,
        "model": None,
        "quality": quality,
        "noise_std": None,
        "seed": 0,
        "tile": None,
    }
    command = (
        f"sciddm hsi denoise {source} -o {target} --method {method} --seed 0 --quality {quality}"
    )

    def facts() -> Iterator[Fact]:
        for label, cube in (("noisy", source), ("denoised", target)):
            score = Score(label)
            compare(truth, cube, score, 1.0)
            for key, words, form in (
                ("psnr_db", "PSNR", "{:.2f} dB"),
                ("sam_deg", "SAM", "{:.2f} deg"),
            ):
                value = score.values[key]
                yield Fact(f"{label}_{key}", f"{words}, {label}", value, form.format(value))

    show_job(
        source,
        target,
        denoise_file,
        options,
        command,
        page=target.with_suffix(".html"),
        simulated=[source, truth],
        facts=facts,
    )
