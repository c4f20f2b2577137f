"""Active acquisition tried on a scan that was sampled in full."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.errors import InputError
from sciddm.pipelines.mri.active import ActiveAcquisition, Axis, Criterion
from sciddm.pipelines.mri.describe import sampling_mask
from sciddm.pipelines.mri.pipeline import MRIReconstruction
from sciddm.pipelines.mri.retrospective import with_reference
from sciddm.progress import Progress
from sciddm.simulation.mri.scan import undersample

__all__ = ["Acquisition", "acquired", "measure"]


@dataclass(frozen=True)
class Acquisition:
    """What is acquired and how it is chosen: see `active.ActiveAcquisition`."""

    lines: int
    centre: int = 12
    axis: Axis = "ky"
    criterion: Criterion | None = None
    particles: int = 8
    seed: int = 0
    noise_std: float | None = None


def acquired(
    scan: xr.Dataset,
    pipeline: MRIReconstruction,
    request: Acquisition,
    progress: Progress | None = None,
) -> xr.Dataset:
    """The scan with the samples that an active acquisition of each slice would have taken.

    Args:
        scan: kspace (slice, coil, ky, kx), sampled in full.
        pipeline: of the prior that chooses.
        request: budget and criterion.
        progress: is told of every line.

    Returns:
        kspace, mask (slice, ky, kx), order (slice, number), in which lines or samples were taken,
        and reference (slice, y, x).

    Raises:
        InputError: the scan is undersampled already, or the budget does not fit it.
    """
    if not sampling_mask(scan).all():
        raise InputError(
            f"{scan.attrs.get('source', 'the scan')} is undersampled: an acquisition can be "
            "tried on fully sampled scans only"
        )
    kspace = scan["kspace"].transpose("slice", "coil", "ky", "kx").values
    scan = with_reference(scan)
    masks, orders = [], []
    for i, full in enumerate(kspace):
        active = ActiveAcquisition(
            pipeline,
            full.shape,
            request.lines,
            centre=request.centre,
            axis=request.axis,
            criterion=request.criterion,
            particles=request.particles,
            seed=request.seed,
            noise_std=request.noise_std,
        )
        while (number := active.next()) is not None:
            active.observe(number, measure(full, number, request.axis))
            if progress is not None:
                done = i * active.budget + len(active.order)
                progress(done, len(kspace) * active.budget, f"slice {i + 1} of {len(kspace)}")
        masks.append(active.mask)
        orders.append(active.order)
    result = undersample(scan, np.stack(masks))
    return result.assign(order=(("slice", "number"), np.array(orders))).assign_attrs(
        mask_kind=f"active {active.criterion}",
        mask_lines=request.lines,
        mask_acs=request.centre,
        mask_axis=request.axis,
        mask_seed=request.seed,
        mask_particles=request.particles,
        mask_model=pipeline.provenance["model"],
    )


def measure(kspace: NDArray[np.complex64], number: int, axis: Axis) -> NDArray[np.complex64]:
    """The line (coil, n) or sample (coil,) of fully sampled k-space (coil, ky, kx)."""
    if axis == "both":
        ky, kx = divmod(number, kspace.shape[-1])
        return kspace[:, ky, kx]
    return kspace[:, number] if axis == "ky" else kspace[:, :, number]
