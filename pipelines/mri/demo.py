"""`sciddm demo mri`: a scan of a head that needs no file and no patient."""

from __future__ import annotations

from pathlib import Path

from sciddm import data_adapters
from sciddm.pipelines.demonstration import show_job
from sciddm.pipelines.engine.batch import make_folder
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.mri.run import load_pipeline, reconstruct_file
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan

__all__ = ["run_demo"]

_MODEL = "mri-brain"
_SHAPE, _PIXEL_MM, _SLICE_MM = (256, 224), 0.9, 5.0
_COILS, _SNR_DB, _ACCELERATION, _ACS, _SEED = 8, 30.0, 4.0, 16, 0


def run_demo(folder: Path, quality: str) -> None:
    """Simulates a fully sampled scan, writes it, and does what the command line would do with it.

    Writes scan.h5, the raw data; head.nii.gz, head_std.nii.gz and head.json; and head.html, the
    report. Earlier files of these names in the folder are replaced.

    Args:
        folder: made if it is not there.
        quality: fast, balanced or best.

    Raises:
        ModelError: the bundled model is missing.
        OutputError: the folder cannot be written.
    """
    load_pipeline(_MODEL)  # before anything is written
    make_folder(folder)
    say(
        "note",
        f"simulating {_COILS} coils, {_SHAPE[0]} x {_SHAPE[1]}, {_SNR_DB:g} dB, of which every "
        f"{_ACCELERATION:g}th line is kept",
    )
    scan = simulate_scan(
        head_phantom(_SHAPE, seed=_SEED, contrast="t2"),
        _COILS,
        snr_db=_SNR_DB,
        seed=_SEED,
        voxel_size_mm=(_SLICE_MM, _PIXEL_MM, _PIXEL_MM),
    )
    source, target = folder / "scan.h5", folder / "head.nii.gz"
    data_adapters.save_kspace(scan, source, overwrite=True)
    options = {
        "model": _MODEL,
        "quality": quality,
        "samples": None,
        "seed": _SEED,
        "maps": None,
        "noise_std": None,
        "keep_samples": False,
        "undersample": _ACCELERATION,
        "mask": "random",
        "acs": _ACS,
        "axis": "ky",
    }
    command = (
        f"sciddm mri reconstruct {source} -o {target} --undersample {_ACCELERATION:g} "
        f"--mask random --acs {_ACS} --seed {_SEED} --quality {quality}"
    )
    show_job(
        source,
        target,
        reconstruct_file,
        options,
        command,
        page=folder / "head.html",
        simulated=[source],
    )
