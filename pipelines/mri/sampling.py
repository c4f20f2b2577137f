"""How a scan samples k-space: on the grid, where a mask says, or along a trajectory.

Both give the same to a reconstruction: data (slice, coil, ...), the noise between coils, one slice
as a measurement, and which entries were measured. All slices lie on the CPU; what is given of one
lies on the current device.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sciddm.device import current
from sciddm.errors import InputError
from sciddm.physics.mri.encoding import EncodedSlice, encode
from sciddm.physics.mri.masks import infer_mask
from sciddm.physics.mri.noise import (
    ComplexArray,
    chosen_covariance,
    covariance_candidates,
    estimate_covariance,
    noise_doubt,
)

__all__ = ["OnGrid", "OnTrajectory", "Sampling", "grid_of", "sampling_of"]

#: Pixels up to which a scan is small: more take too long, and have less of what this is for.
_SMALL = 192 * 192


class Sampling(ABC):
    """The data of a scan, and how they are read.

    Attributes:
        kspace: (slice, coil, first, second) complex64.
        dims: names of the last two axes.
        size: (y, x) of the image.
        remarks: sentences of the reader that are to be warned with.
    """

    dims: tuple[str, str]
    size: tuple[int, int]

    def __init__(self, scan: xr.Dataset) -> None:
        self.kspace = torch.from_numpy(np.ascontiguousarray(scan["kspace"].values)).to(
            torch.complex64
        )
        if not torch.isfinite(torch.view_as_real(self.kspace)).all():
            raise InputError("k-space holds NaN or infinite values: repair or remove them")
        # A dead coil has no noise either.
        self.alive = (self.kspace != 0).any(-1).any(-1).any(0)
        self.remarks = [str(sentence) for sentence in scan.attrs.get("scan_remarks", [])]
        # Of an estimate that coil compression made samples of.
        self._doubt = scan.attrs.get("noise_doubt")
        self._noise = scan["noise"].values[self.alive.numpy()] if "noise" in scan else None

    @property
    def shape_of_maps(self) -> tuple[int, int, int, int]:
        """(slice, coil, y, x), dead coils included."""
        slices, coils = self.kspace.shape[:2]
        return (slices, coils, *self.size)

    def covariance(self, noise_std: float | None = None) -> Tensor:
        """E[n n^H] (coil, coil) of the living coils, one for all slices: coils and receiver are
        the same.

        Args:
            noise_std: sqrt(E|n|^2) of every channel, in place of an estimate.

        Raises:
            InputError: a level that is not positive, or nothing to estimate it from.
        """
        if noise_std is None:
            return self._estimated_covariance()
        if not noise_std > 0:
            raise InputError(f"the noise level must be positive, not {noise_std}")
        return torch.eye(int(self.alive.sum()), dtype=torch.complex64) * noise_std**2

    @abstractmethod
    def _covariances(self) -> dict[str, ComplexArray]:
        """Estimates from the scan's own k-space, by what they are from."""

    @cached_property
    def _candidates(self) -> dict[str, ComplexArray]:
        return self._covariances()

    def _estimated_covariance(self) -> Tensor:
        """``covariance`` from the scan's noise samples or its own k-space."""
        if self._noise is None:
            covariance = chosen_covariance(self._candidates)
        else:
            data = self.kspace[:, self.alive]
            covariance = estimate_covariance(
                data.numpy(), np.ones(data.shape[-2:], bool), self._noise
            )
        return torch.from_numpy(covariance).to(torch.complex64)

    def own_noise_levels(self) -> list[float]:
        """sqrt(E|n|^2), mean over the living coils, by each part of the scan that shows noise."""
        return [float(np.sqrt(np.diag(psi).real.mean())) for psi in self._candidates.values()]

    def noise_doubt(self) -> str | None:
        """A sentence where the estimate of ``covariance`` may be wrong; None with a noise scan."""
        if self._noise is not None:
            return self._doubt
        return noise_doubt(self._candidates, float(self.kspace.abs().max()))

    @abstractmethod
    def encode(
        self,
        item: int,
        covariance: Tensor,
        maps: Tensor | None,
        iterations: int,
        finer: float = 1.0,
    ) -> EncodedSlice:
        """Slice ``item`` of the living coils as a measurement; ``maps`` are theirs.

        Scans on the grid whose maps are not given can be seen on a ``finer`` one; see ``grid_of``.
        """

    @abstractmethod
    def measured(self, item: int) -> Tensor:
        """(first, second) bool."""

    def lines(self, item: int) -> tuple[Tensor, Tensor] | None:
        """k-space (coil, ky, kx) of the living coils and its mask (ky, kx), of which some can be
        kept out; None along a trajectory."""
        return None

    def turns(self, item: int) -> Tensor | None:
        """(ky,), when each line was measured; None where the file does not tell."""
        return None

    @property
    @abstractmethod
    def acceleration(self) -> float:
        """Cells of k-space for every one that was measured."""


class OnGrid(Sampling):
    """A Cartesian scan; entries that were not measured are 0."""

    dims = ("ky", "kx")

    def __init__(self, scan: xr.Dataset) -> None:
        super().__init__(scan)
        self.size = (self.kspace.shape[-2], self.kspace.shape[-1])
        self.mask = _mask(scan, self.kspace)
        self._turns = scan["turn"].values if "turn" in scan else None
        self.calibration: Tensor | None = None
        if "calibration" in scan:
            own = scan["calibration"].transpose("slice", "coil", "ky", "kx").values
            self.calibration = torch.from_numpy(np.ascontiguousarray(own)).to(torch.complex64)

    def _covariances(self) -> dict[str, ComplexArray]:
        return covariance_candidates(self.kspace[:, self.alive].numpy(), self.mask.numpy())

    def encode(
        self,
        item: int,
        covariance: Tensor,
        maps: Tensor | None,
        iterations: int,
        finer: float = 1.0,
    ) -> EncodedSlice:
        device = current()
        grid = None if maps is not None else grid_of(self.size, finer)
        own = None if self.calibration is None else self.calibration[item, self.alive].to(device)
        return encode(
            *self.lines(item),
            covariance.to(device),
            None if maps is None else maps.to(device),
            iterations=iterations,
            grid=grid,
            calibration=own,
        )

    def measured(self, item: int) -> Tensor:
        return self.mask[item].to(current())

    def lines(self, item: int) -> tuple[Tensor, Tensor]:
        return self.kspace[item, self.alive].to(current()), self.measured(item)

    def turns(self, item: int) -> Tensor | None:
        return None if self._turns is None else torch.from_numpy(self._turns[item]).to(current())

    @property
    def acceleration(self) -> float:
        return float(self.mask.numel() / self.mask.sum())


class OnTrajectory(Sampling):
    """Samples anywhere in k-space: kspace (slice, coil, shot, sample) with their positions."""

    dims = ("shot", "sample")

    def __init__(self, scan: xr.Dataset) -> None:
        super().__init__(scan)
        n, m = (int(v) for v in scan.attrs["image_shape"])
        self.size = (n, m)
        trajectory = scan["trajectory"].transpose(..., "shot", "sample", "axis").values
        self.trajectory = torch.from_numpy(np.array(trajectory, np.float32)).expand(
            self.kspace.shape[0], *self.kspace.shape[2:], 2
        )

    def _covariances(self) -> dict[str, ComplexArray]:
        from sciddm.physics.mri.trajectory import trajectory_covariances

        return trajectory_covariances(self.kspace[:, self.alive], self.trajectory)

    def encode(
        self,
        item: int,
        covariance: Tensor,
        maps: Tensor | None,
        iterations: int,
        finer: float = 1.0,
    ) -> EncodedSlice:
        from sciddm.physics.mri.trajectory import encode_trajectory

        device = current()
        return encode_trajectory(
            self.kspace[item, self.alive].to(device),
            self.trajectory[item].to(device),
            self.size,
            covariance.to(device),
            None if maps is None else maps.to(device),
            iterations=iterations,
        )

    def measured(self, item: int) -> Tensor:
        return torch.ones(self.kspace.shape[-2:], dtype=torch.bool, device=current())

    @property
    def acceleration(self) -> float:
        from sciddm.physics.mri.trajectory import visited_cells

        cells = [visited_cells(t, self.size) for t in self.trajectory]
        return float(np.mean([c.numel() / int(c.sum()) for c in cells]))


def sampling_of(scan: xr.Dataset) -> Sampling:
    """The scan's sampling: along a trajectory where it has one.

    Raises:
        InputError: NaN in the data, or a mask of another matrix.
    """
    return OnTrajectory(scan) if "trajectory" in scan else OnGrid(scan)


def grid_of(size: tuple[int, int], finer: float) -> tuple[int, int]:
    """(y, x) of the image to look for: finer than the scan's own if its matrix is small.

    No object ends at the last sample of k-space. On the scan's own grid its edges ring and lie
    between pixels, which priors of images take for texture; on a finer one they need not. What was
    found beyond the scan's k-space is cut off again. In gradient echoes of 128 x 110, simulated
    from finer images, that was worth 0.1 to 0.35 dB; images that were simulated on the scan's own
    grid, as no scanner has them, lose by it.

    Args:
        size: of the scan's image.
        finer: pixels for each of the scan's, at least, along an axis; 1 for its own grid.

    Returns:
        Multiples of 8, to which the networks pad images; the scan's own size if it is not small.
    """
    if finer == 1:
        return size
    fine = (8 * math.ceil(finer * size[0] / 8), 8 * math.ceil(finer * size[1] / 8))
    return fine if math.prod(fine) <= _SMALL else size


def _mask(scan: xr.Dataset, kspace: Tensor) -> Tensor:
    """(slice, ky, kx) bool: the scan's own mask where it has one, else where data are not 0."""
    shape = (kspace.shape[0], *kspace.shape[-2:])
    if "mask" not in scan:
        return torch.from_numpy(infer_mask(kspace.numpy())).expand(shape)
    mask = torch.from_numpy(scan["mask"].values.astype(bool))
    if mask.shape[-2:] != shape[-2:]:
        raise InputError(
            f"the mask is {tuple(mask.shape[-2:])} but k-space {tuple(shape[-2:])}: "
            "give a mask of the data's matrix"
        )
    return mask.expand(shape)
