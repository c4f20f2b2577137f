"""One slice of a sinogram as a reconstruction method sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
import xarray as xr
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from sciddm.data_adapters.ct import beam_of
from sciddm.device import current
from sciddm.errors import InputError
from sciddm.physics import (
    FanBeam,
    IndependentNoise,
    Measurement,
    Projector,
    WeightedProjection,
    filtered_back_projection,
)
from sciddm.physics.beams import Beam
from sciddm.physics.fbp import Window, is_offset
from sciddm.physics.tomography.units import MU_WATER, to_hu

__all__ = ["Scan", "estimate_flux", "field_of_view_mm", "scan_of", "truncation"]

_MOST_WEIGHT = 10.0
_MOST_FLUX = 1e7  # quanta: the noise-free data of a simulation have none to speak of
_MEDIAN_SQUARE = 0.4549  # of a unit normal variable
_EDGE = 3  # cells at either end of the detector
_AIR_SHARE = 0.05  # of the strongest attenuation: a ray with more does not pass through air alone
_LARGEST = 512  # pixels a side, where none are asked for


@dataclass(frozen=True)
class Scan:
    """What all slices of a sinogram have in common.

    Attributes:
        beam: the rays.
        shape: (ny, nx) of the image.
        pixel_mm: size of its square pixels.
        flux: I0, quanta per reading, () or (D,), or None where it is not known.
        electronic_sd: of the readings, quanta.
        mu_water: attenuation of water, 1/mm.
    """

    beam: Beam
    shape: tuple[int, int]
    pixel_mm: float
    flux: Tensor | None
    electronic_sd: float
    mu_water: float = MU_WATER

    @cached_property
    def projector(self) -> Projector:
        """Its line integrals; made at the first use, since that takes seconds."""
        return Projector(self.beam, self.shape, self.pixel_mm, device=current())

    @property
    def missing_views(self) -> float:
        """How many times its views an image of N pixels a side needs: pi N / 2 / views."""
        return math.pi / 2 * max(self.shape) / self.beam.views

    def measurement(
        self,
        p: Tensor,
        *,
        iterations: int = 8,
        tolerance: float = 0.0,
        views: Tensor | None = None,
    ) -> Measurement:
        """Line integrals p (V, D) as data of an image in HU, their noise whitened.

        sqrt(w) (p - P mu_w) = sqrt(w) P (mu_w / 1000) x + n, n ~ N(0, I), since
        mu = mu_w (x / 1000 + 1). The statistical weights are w = N^2 / (N + e^2), with the quanta N
        smoothed over neighbouring readings; rays that miss the body count `_MOST_WEIGHT` times the
        median at most, since they would only slow the solution down.

        Args:
            p: (V, D).
            iterations, tolerance: of the solves; see `WeightedProjection`.
            views: (V,) bool, those that count; None for all.
        """
        flux = estimate_flux(p) if self.flux is None else self.flux.to(p)
        counts = flux * (-_smoothed(p)).exp()
        weights = IndependentNoise.of_log_counts(counts, self.electronic_sd).weights
        weights = weights.clamp(max=_MOST_WEIGHT * float(weights[weights > 0].median()))
        if views is not None:
            weights = weights * views[:, None]
        gain = self.mu_water / 1000
        operator = WeightedProjection(self.projector, weights, gain, tolerance)
        water = self.projector.forward(p.new_full((1, *self.shape), self.mu_water))
        return Measurement(weights.sqrt() * (p - water), operator, 1.0, iterations=iterations)

    def fbp(self, sinogram: Tensor, window: Window = "ram-lak") -> Tensor:
        """Filtered back-projection (..., ny, nx), HU.

        Raises:
            InputError: the views do not allow one.
        """
        try:
            image = filtered_back_projection(
                sinogram, self.beam, self.shape, self.pixel_mm, window=window
            )
        except ValueError as error:
            raise InputError(f"no filtered back-projection: {error}") from error
        return to_hu(image, self.mu_water)


def truncation(sinogram: Tensor, beam: Beam) -> float:
    """Share of the views (..., V, D) in which the object reaches beyond the detector.

    There the outermost readings are no air. An offset detector is looked at on its longer side.
    """
    edge = min(_EDGE, beam.cells)
    first, last = sinogram[..., :edge].mean(-1), sinogram[..., -edge:].mean(-1)
    if is_offset(beam):
        beyond = last if float(beam.positions.sum()) > 0 else first
    else:
        beyond = torch.maximum(first, last)
    return float((beyond > _AIR_SHARE * sinogram.max()).float().mean())


def estimate_flux(p: Tensor) -> Tensor:
    """I0, quanta per reading, from the noise of line integrals (V, D) themselves.

    The second difference d along the detector has the variance 6 exp(p) / I0 where the object is
    smooth, and its squared normalised value the median .4549; what edges add, the median ignores.
    """
    d2 = (p[:, :-2] - 2 * p[:, 1:-1] + p[:, 2:]).square()
    unit = d2 * (-_smoothed(p)[:, 1:-1]).exp() / 6
    return (_MEDIAN_SQUARE / unit.median().clamp(min=1e-12)).clamp(max=_MOST_FLUX)


def _smoothed(p: Tensor) -> Tensor:
    """(V, D): means over 3 x 3 readings, so that the noise of a weight is not that of its datum."""
    return avg_pool2d(pad(p[None, None], (1,) * 4, mode="replicate"), 3, stride=1)[0, 0]


def scan_of(dataset: xr.Dataset, size: int | None = None, pixel_mm: float | None = None) -> Scan:
    """The scan of a sinogram, and the image that is to be made of it.

    Args:
        dataset: as `data_adapters.ct.build_sinogram` makes it. Where the next two are not given,
            its attributes `image_shape` and `image_pixel_mm` are taken; without them the image
            covers the field of view, at the detector's resolution on the axis and with at most
            512 pixels a side.
        size: pixels a side.
        pixel_mm: of the pixels.

    Raises:
        InputError: an impossible geometry, size or pixel.
    """
    beam = beam_of(dataset)
    attrs = dataset.attrs
    shape = (size, size) if size is not None else attrs.get("image_shape")
    pixel = pixel_mm if pixel_mm is not None else attrs.get("image_pixel_mm")
    covered = field_of_view_mm(beam)
    if shape is None:
        sampled = covered / (_resolution_mm(beam) if pixel is None else float(pixel))
        side = min(_LARGEST, 2 * math.ceil(sampled / 2))
        shape = (side, side)
    shape = (int(shape[0]), int(shape[1]))
    pixel = covered / max(shape) if pixel is None else float(pixel)
    if min(shape) < 1 or not 0 < pixel < math.inf:
        raise InputError(f"an image of {shape} pixels of {pixel} mm: sizes must be positive")
    flux = None
    if "incident_flux" in dataset:
        flux = torch.as_tensor(dataset["incident_flux"].values, dtype=torch.float32)
    return Scan(
        beam,
        shape,
        pixel,
        flux,
        float(attrs.get("electronic_sd", 0.0)),
        float(attrs.get("mu_water", MU_WATER)),
    )


def field_of_view_mm(beam: Beam) -> float:
    """Diameter of the disk that every view sees whole; an offset detector's two halves together."""
    reach = float(beam.positions.abs().max())
    if not is_offset(beam):
        reach -= abs(beam.offset_mm)
    if not isinstance(beam, FanBeam):
        return 2 * abs(reach)
    ratio = reach / beam.source_detector_mm
    gamma = math.atan(ratio) if beam.detector == "flat" else ratio
    return 2 * beam.source_axis_mm * math.sin(gamma)


def _resolution_mm(beam: Beam) -> float:
    """Distance of neighbouring rays on the axis of rotation."""
    if not isinstance(beam, FanBeam):
        return beam.pitch_mm
    return beam.pitch_mm * beam.source_axis_mm / beam.source_detector_mm
