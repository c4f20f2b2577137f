"""`sciddm demo ct`: a low-dose scan of a body that needs no file and no patient."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sciddm.data_adapters.ct import open_ct, save_ct
from sciddm.metrics.hounsfield import psnr, rmse
from sciddm.pipelines.ct.run import denoise_file, load_denoiser
from sciddm.pipelines.ct.simulate import low_dose_volume
from sciddm.pipelines.demonstration import show_job
from sciddm.pipelines.engine.batch import make_folder
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.summary import Fact
from sciddm.simulation.ct.phantom import body_phantom

__all__ = ["run_demo"]

_METHOD, _MODEL = "residual", "ct-denoise"
_SHAPE, _SLICES, _PIXEL_MM, _SLICE_MM = (256, 256), 3, 1.4, 3.0
_DOSE, _SEED = 0.25, 0


def run_demo(folder: Path, quality: str) -> None:
    """Simulates a scan at a quarter of the dose and does what the command line would do with it.

    Writes full.nii.gz, the body; low-dose/, the scan as a DICOM series; denoised/ and
    denoised_std/, its result, likewise, with denoised.json; and denoised.html, the report. Earlier
    ones of these names in the folder are replaced.

    Args:
        folder: made if it is not there.
        quality: fast, balanced or best.

    Raises:
        ModelError: the bundled model is missing.
        OutputError: the folder cannot be written.
    """
    load_denoiser(_METHOD, _MODEL)  # before anything is written
    make_folder(folder)
    say(
        "note",
        f"simulating {_SLICES} slices of {_SHAPE[0]} x {_SHAPE[1]} at {_DOSE:.0%} of the dose",
    )
    body = body_phantom(_SHAPE, _SLICES, pixel_mm=_PIXEL_MM, slice_mm=_SLICE_MM, seed=_SEED)
    low = low_dose_volume(body, _DOSE, seed=_SEED)
    truth, source, target = folder / "full.nii.gz", folder / "low-dose", folder / "denoised"
    save_ct(body, truth, description="body phantom", overwrite=True)
    save_ct(low, source, description=f"body phantom at {_DOSE:.0%} dose", overwrite=True)
    options = {
        "method": _METHOD,
        "model": _MODEL,
        "quality": quality,
        "samples": None,
        "seed": _SEED,
        "strength": 1.0,
        "series": None,
    }
    command = f"sciddm ct denoise {source} -o {target} --seed {_SEED} --quality {quality}"

    def facts() -> Iterator[Fact]:
        for key, label, path in (("low_dose", "low-dose ", source), ("denoised", "", target)):
            image = open_ct(path).values
            for name, value, unit in (
                ("rmse_hu", rmse(image, body.values), "HU"),
                ("psnr_db", psnr(image, body.values), "dB"),
            ):
                words = f"{label}{name.split('_')[0].upper()}"
                yield Fact(f"{key}_{name}", words, value, f"{value:.2f} {unit}")

    show_job(
        source,
        target,
        denoise_file,
        options,
        command,
        page=folder / "denoised.html",
        simulated=[source, truth],
        facts=facts,
    )
