"""What DPM-Solver-v3 knows of a network, beside the network's weights in its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sciddm.errors import ModelError
from sciddm.sampling.dpm_v3 import SolverStatistics
from sciddm.zoo.folder import weights_hash
from sciddm.zoo.names import STATISTICS

__all__ = ["read_solver_statistics", "save_solver_statistics"]

_PARTS = ("levels", "slope", "growth", "offset")
_HASH = "weights_sha256"


def save_solver_statistics(statistics: SolverStatistics, folder: str | Path) -> Path:
    """Writes ``solver.safetensors`` into a model folder, with the hash of the weights it is of.

    Args:
        statistics: of the folder's denoiser without guidance (``sampling.solver_statistics``).
        folder: a model folder.

    Returns:
        the file.
    """
    target = Path(folder) / STATISTICS
    arrays = {name: np.ascontiguousarray(getattr(statistics, name)) for name in _PARTS}
    save_file(arrays, target, {_HASH: weights_hash(folder)})
    return target


def read_solver_statistics(folder: str | Path) -> SolverStatistics:
    """The statistics of a model folder.

    Raises:
        ModelError: there are none, the file is damaged, or they are of other weights.
    """
    source = Path(folder) / STATISTICS
    try:
        with safe_open(source, "np") as stored:
            digest = (stored.metadata() or {}).get(_HASH)
            parts = {name: stored.get_tensor(name).astype(np.float64) for name in _PARTS}
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"{source}: no readable solver statistics ({error}): measure them with "
            "sampling.solver_statistics"
        ) from error
    if digest != weights_hash(folder):
        raise ModelError(
            f"{source}: the statistics are of other weights than the folder's: measure them again "
            "with sampling.solver_statistics"
        )
    grid, count = parts["levels"], parts["levels"].size
    fits = grid.ndim == 1 and count > 3 and bool((np.diff(grid) > 0).all())
    fits = fits and all(parts[n].ndim == 2 and len(parts[n]) == count for n in _PARTS[1:])
    if not fits or not all(np.isfinite(v).all() for v in parts.values()):
        raise ModelError(f"{source}: these are no solver statistics: measure them again")
    return SolverStatistics(**parts)
