"""A Cartesian scan that chooses its own next line (Active Diffusion Subsampling).

Particles of the reverse process carry what is believed about the image. Before each acquisition
they take one leg, guided by the data so far. Then the line is measured that will lower the image's
expected error most (criterion "error": `line_gain`), or that on which their predicted k-space
disagrees most, beyond what noise and their own blur explain (`sciddm.acquisition`).

Reference:
    Nolan, Stevens, van Nierop & van Sloun, Active Diffusion Subsampling, TMLR 2025. Differences:
    multi-coil data, a criterion that knows how coils tie lines together, guidance for each
    particle, the exact number of lines, and in the entropy a bandwidth, without which every line
    is a certain gain and none differs.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sciddm.acquisition import Belief, Groups, choose, resolvable_variance, scores
from sciddm.acquisition.line_gain import line_gain
from sciddm.denoiser import Denoiser
from sciddm.device import current, placed, to_device
from sciddm.errors import InputError
from sciddm.guidance import MMPS, DiffPIR, Guided
from sciddm.physics import CartesianMRI, Measurement, as_lines
from sciddm.physics.mri.encoding import Frame, encode
from sciddm.physics.mri.noise import estimate_covariance
from sciddm.pipelines.mri.pipeline import MRIReconstruction, Quality
from sciddm.sampling import karras

__all__ = ["CRITERIA", "ActiveAcquisition", "Axis", "Criterion"]

Axis = Literal["ky", "kx", "both"]
Criterion = Literal["error", "entropy", "variance", "ads_released"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
_AXES: dict[str, tuple[int, ...]] = {"ky": (-2,), "kx": (-1,), "both": (-2, -1)}

# The reverse process of a whole acquisition, from what the centre of k-space leaves open.
_SIGMA_MAX, _SIGMA_MIN, _RHO = 1.0, 0.05, 4.0
# Single samples are so many that they are chosen in rounds.
_ROUNDS = 24


class _Leg(NamedTuple):
    """Where the belief stands: estimates of the image and their own blur, maps and noise level."""

    estimates: Tensor  # (particle, 1, y, x)
    blur: float  # variance of a pixel, given a particle
    maps: Tensor  # (coil, y, x) of the whitened channels
    sigma: float


class ActiveAcquisition:
    """One slice, measured line by line; for a scanner or a simulator in the loop::

        scan = ActiveAcquisition(pipeline, (coils, ny, nx), lines=32)
        while (line := scan.next()) is not None:
            scan.observe(line, measure(line))
        result = scan.reconstruct()

    The central lines come first, as coil maps and phase are estimated from them; then one decision
    for each line. A decision costs one evaluation and one VJP of the network for each particle.

    Args:
        pipeline: of the prior, which also reconstructs in the end.
        shape: (coil, ky, kx) of k-space.
        lines: how many are measured in all, the centre among them. For axis "both" so many lines'
            worth of samples.
        centre: central lines (for "both" the side of a square) that come first.
        axis: "ky" or "kx", along which lines are numbered, or "both" for single samples.
        criterion: "error", for lines only (see `line_gain`), "entropy", "variance" or
            "ads_released" (see `sciddm.acquisition.criteria`); if not given, "error" for lines
            and "entropy" for samples.
        particles: of the belief, an even number.
        seed: of all noise.
        maps: coil sensitivity maps (coil, y, x); estimated from the centre if not given.
        noise_std: sqrt(E|n|^2) of a sample; estimated from the centre if not given.

    Raises:
        InputError: a budget that is smaller than the centre or larger than k-space, or criterion
            "error" for samples.
    """

    def __init__(
        self,
        pipeline: MRIReconstruction,
        shape: tuple[int, int, int],
        lines: int,
        *,
        centre: int = 12,
        axis: Axis = "ky",
        criterion: Criterion | None = None,
        particles: int = 8,
        seed: int = 0,
        maps: ArrayLike | None = None,
        noise_std: float | None = None,
    ) -> None:
        if pipeline.denoiser.sees_estimate:
            raise InputError("an acquisition is chosen with an unconditional model: take mri-brain")
        if criterion == "error" and axis == "both":
            raise InputError("criterion error is for whole lines: for samples take entropy")
        self.pipeline = pipeline
        placed(pipeline.denoiser)
        self.axis = axis
        self.groups = Groups(shape, _AXES[axis])
        self.criterion: Criterion = criterion or ("entropy" if axis == "both" else "error")
        self.particles = particles
        self.seed = seed
        self._maps = None if maps is None else torch.as_tensor(np.asarray(maps, np.complex64))
        self._noise_std = noise_std
        _, ny, nx = shape
        first = _central(axis, ny, nx, centre)
        self.budget = lines * nx if axis == "both" else lines
        if not len(first) <= self.budget <= self.groups.count:
            raise InputError(
                f"{self.budget} of {self.groups.count} {self.unit}s, of which {len(first)} in the "
                "centre: the number measured lies between those"
            )
        rest = self.budget - len(first)
        self._at_once = -(-rest // _ROUNDS) if axis == "both" else 1
        self._legs = -(-rest // self._at_once) if rest else 0
        self._queue = deque(first)
        self._kspace = torch.zeros(shape, dtype=torch.complex64)
        self._taken = torch.zeros(self.groups.count, dtype=torch.bool)
        self._frame: Frame | None = None
        self._belief: Belief | None = None
        self.order: list[int] = []

    @property
    def unit(self) -> str:
        """What is measured at a time."""
        return "sample" if self.axis == "both" else "line"

    @property
    def mask(self) -> NDArray[np.bool_]:
        """What has been measured, (ky, kx)."""
        shape = self.groups.shape
        return np.array(np.broadcast_to(self.groups.mask(self._taken).numpy()[0], shape[1:]))

    def next(self) -> int | None:
        """The number of the line (or sample, ky * nx + kx) to be measured now; None at the end.

        The same until it has been observed.

        Raises:
            InputError: the centre of k-space holds no signal, or no maps can be estimated.
        """
        while self._queue and self._taken[self._queue[0]]:
            self._queue.popleft()
        if self._queue:
            return self._queue[0]
        left = self.budget - int(self._taken.sum())
        if left <= 0:
            return None
        self._queue.extend(self._decide(min(self._at_once, left)))
        return self._queue[0]

    def observe(self, number: int, data: ArrayLike) -> None:
        """Takes in what was measured.

        Args:
            number: of the line or sample; the one that `next` named, or any other.
            data: (coil, n) for a line of n samples, (coil,) for a sample.

        Raises:
            InputError: an unknown number, one that was measured before, data of another shape or
                with values that are not finite.
        """
        if not 0 <= number < self.groups.count:
            raise InputError(f"there is no {self.unit} {number}: they are 0 to {self.groups.count}")
        if bool(self._taken[number]):
            raise InputError(f"{self.unit} {number} was measured before")
        place = self._place(number)
        values = torch.as_tensor(np.asarray(data, np.complex64))
        needed = tuple(self._kspace[place].shape)
        if values.shape != needed:
            raise InputError(f"{self.unit} {number} is {tuple(values.shape)}, not {needed}")
        if not bool(torch.isfinite(torch.view_as_real(values)).all()):
            raise InputError(f"{self.unit} {number} holds NaN or infinite values")
        self._kspace[place] = values
        self._taken[number] = True
        self.order.append(number)

    def reconstruct(self, quality: Quality = "balanced", **options: Any) -> xr.Dataset:
        """The pipeline's reconstruction of what has been measured by now."""
        scan = xr.Dataset(
            {
                "kspace": (("slice", "coil", "ky", "kx"), self._kspace.numpy()[None]),
                "mask": (("slice", "ky", "kx"), self.mask[None]),
            },
            attrs={"voxel_size_mm": [np.nan] * 3, "source": "active acquisition"},
        )
        maps = None if self._maps is None else self._maps.numpy()
        return self.pipeline(
            scan,
            quality=quality,
            seed=self.seed,
            maps=maps,
            noise_std=self._noise_std,
            **options,
        )

    def gains(self) -> Tensor:
        """The criterion for every line or sample, -inf where measured: one leg of the particles.

        `next` goes by it; a policy of one's own may, as often as lines are left.
        """
        leg, free = self._advance(), self._free
        if self.criterion == "error":
            maps, images = leg.maps, leg.estimates
            if self.axis == "kx":
                maps, images = maps.mT, images.mT
            return line_gain(images, maps, leg.sigma, free)
        return scores(self.criterion, *self._predict(leg)).masked_fill(~free, -torch.inf)

    @property
    def _free(self) -> Tensor:
        """What has not been measured, on the current device."""
        return ~self._taken.to(current())

    def _decide(self, count: int) -> list[int]:
        """The next numbers to measure."""
        if self.criterion == "error":
            return [int(self.gains().argmax())]
        return choose(self.criterion, *self._predict(self._advance()), self._free, count)

    def _advance(self) -> _Leg:
        """One leg of the particles with the data so far."""
        mask = to_device(self.mask)
        if self._belief is None or self._frame is None:
            self._frame, self._belief = self._begin(mask)
        measurement = self._frame.measurement(self._kspace.to(mask.device), mask)
        estimates, blur = self._belief.advance(as_lines(measurement))
        return _Leg(estimates, blur, self._frame.white_maps, measurement.sigma)

    def _predict(self, leg: _Leg) -> tuple[Tensor, float]:
        """What the particles predict of k-space.

        Returns:
            The data of every line or sample as each particle predicts them (particle, number,
            data), whitened and in the prior's units, and the variance of a real component for
            `sciddm.acquisition.scores`.
        """
        everywhere = torch.ones(self.groups.shape[1:], dtype=torch.bool, device=leg.maps.device)
        full = CartesianMRI(everywhere, leg.maps)
        predictions = self.groups.split(full(leg.estimates))
        # A particle's blur, white in the image, is shared among the coils.
        share = float(leg.maps.abs().square().mean())
        error = (leg.sigma**2 + leg.blur * share) / 2
        return predictions, max(error, resolvable_variance(predictions[:, self._free]))

    def _begin(self, mask: Tensor) -> tuple[Frame, Belief]:
        """Maps, phase, level and noise from what is there now; they stay for all decisions."""
        coils = len(self._kspace)
        if self._noise_std is None:
            covariance = torch.as_tensor(estimate_covariance(self._kspace.numpy(), self.mask))
        else:
            covariance = self._noise_std**2 * torch.eye(coils)
        maps = None if self._maps is None else self._maps.to(mask.device)
        covariance = covariance.to(mask.device, torch.complex64)
        encoded = encode(self._kspace.to(mask.device), mask, covariance, maps)
        m = encoded.measurement
        start = m.A.solve(m.A.adjoint(m.y[None]), 10 * m.sigma**2, iterations=10)
        grid = karras(self.pipeline.denoiser.process, self._legs, _SIGMA_MAX, _SIGMA_MIN, rho=_RHO)
        belief = Belief(
            self.pipeline.denoiser,
            _guide,
            grid,
            start,
            particles=self.particles,
            seed=self.seed,
        )
        return encoded.frame, belief

    def _place(self, number: int) -> tuple[Any, ...]:
        """Where a line or sample lies in k-space (coil, ky, kx)."""
        if self.axis == "both":
            return (slice(None), *divmod(number, self.groups.shape[-1]))
        return (slice(None), number) if self.axis == "ky" else (slice(None), slice(None), number)


def _guide(denoiser: Denoiser, measurement: Measurement) -> Guided:
    """As the reconstruction does it at its fastest: MMPS with one VJP, then a proximal step."""
    return DiffPIR(MMPS(denoiser, measurement, krylov=1), measurement, lam=2.0)


def _central(axis: Axis, ny: int, nx: int, width: int) -> list[int]:
    """Numbers of the central lines or samples, those nearest to DC first."""

    def block(n: int) -> list[int]:
        low = max(0, n // 2 - width // 2)
        return sorted(range(low, min(n, low + width)), key=lambda i: abs(i - n // 2))

    if axis == "both":
        return [ky * nx + kx for ky in block(ny) for kx in block(nx)]
    return block(ny if axis == "ky" else nx)
