"""What ``sciddm demo mri`` simulates: a scan of a head that needs no file and no patient."""

from __future__ import annotations

from pathlib import Path

from sciddm.data_adapters import save_kspace
from sciddm.pipelines.engine.domain import Example
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan

__all__ = ["simulate"]

_SHAPE, _PIXEL_MM, _SLICE_MM = (256, 224), 0.9, 5.0
_COILS, _SNR_DB, _ACCELERATION, _ACS, _SEED = 8, 30.0, 4.0, 16, 0


def simulate(folder: Path) -> Example:
    """Writes scan.h5, fully sampled raw data of 8 coils at 30 dB; every 4th line is to be kept."""
    scan = simulate_scan(
        head_phantom(_SHAPE, seed=_SEED, contrast="t2"),
        _COILS,
        snr_db=_SNR_DB,
        seed=_SEED,
        voxel_size_mm=(_SLICE_MM, _PIXEL_MM, _PIXEL_MM),
    )
    source = folder / "scan.h5"
    save_kspace(scan, source, overwrite=True)
    options = {"undersample": _ACCELERATION, "acs": _ACS, "seed": _SEED}
    return Example(source, folder / "head.nii.gz", (source,), options)
