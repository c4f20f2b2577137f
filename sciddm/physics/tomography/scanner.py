"""The scanner that doses are simulated for, where the user states none.

Scanners choose the tube current so that every patient's image has the same noise (automatic
exposure control), so a dose is stated here by what it does to the image: at full dose the quanta
alone leave `NOISE_INDEX_HU` in the middle of the body, at a fraction f of it 1/sqrt(f) as much and
the electronic noise, which does not shrink with the dose, in addition.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sciddm.physics import FanBeam, Projector, even_angles, filtered_back_projection
from sciddm.physics.tomography.units import MU_WATER, to_attenuation
from sciddm.random.streams import Streams

__all__ = ["ELECTRONIC_SD", "NOISE_INDEX_HU", "VIEWS", "full_dose_flux", "standard_beam"]

#: Standard deviation of the noise of a full dose in the middle of the body, HU, at the image's own
#: pixels: what the whole-body scans that the models are trained on hold.
NOISE_INDEX_HU = 20.0
#: Electronic noise of a reading, quanta.
ELECTRONIC_SD = 10.0
#: Views of a turn.
VIEWS = 360

_SOURCE_AXIS_MM = 595.0
_SOURCE_DETECTOR_MM = 1085.0
_BODY_HU = -300.0


def standard_beam(shape: tuple[int, int], pixel_mm: float, views: int = VIEWS) -> FanBeam:
    """A fan beam on an arc of cells as wide, on the axis, as the pixels, that sees all of them.

    The source is at 595 mm from the axis, or further for images that are larger than its reach.
    """
    half = math.hypot(*shape) / 2 * pixel_mm
    away = max(_SOURCE_AXIS_MM, 2 * half)
    pitch = pixel_mm * _SOURCE_DETECTOR_MM / away
    reach = _SOURCE_DETECTOR_MM * math.asin(min(1.0, half / away))
    cells = 2 * math.ceil(reach / pitch) + 2
    return FanBeam(
        even_angles(views),
        cells,
        pitch,
        source_axis_mm=away,
        source_detector_mm=_SOURCE_DETECTOR_MM,
        detector="equiangular",
    )


def full_dose_flux(
    hu: Tensor,
    projector: Projector,
    noise_hu: float = NOISE_INDEX_HU,
    *,
    mu_water: float = MU_WATER,
) -> Tensor:
    """I0, quanta per reading, at which quanta leave `noise_hu` in the middle of each image.

    The variance of an FBP is that of a flux of 1, var(p) = exp(p), divided by the flux; it is
    measured in a reconstruction of such noise, over the body's inner half.

    Args:
        hu: (B, 1, ny, nx), HU.
        projector: the scan.
        noise_hu: of the full dose.
        mu_water: attenuation of water, 1/mm.

    Returns:
        (B,).
    """
    p = projector(to_attenuation(hu, mu_water).clamp(min=0))
    z = Streams(0, len(hu)).randn(p, step=0)
    beam, shape, pixel_mm = projector.beam, projector.shape, projector.pixel_mm
    noise = filtered_back_projection((p / 2).exp() * z, beam, shape, pixel_mm) * (1000 / mu_water)
    found = []
    for image, field in zip(hu[:, 0], noise[:, 0], strict=True):
        inner = _inner_half(image)
        found.append(field[inner].square().mean() if inner.any() else field.square().mean())
    return torch.stack(found) / noise_hu**2


def _inner_half(hu: Tensor) -> Tensor:
    """(y, x) bool: the body's pixels within half of its radius about its middle."""
    body = hu > _BODY_HU
    if not bool(body.any()):
        return body
    y, x = (axis.float() for axis in body.nonzero().T)
    grid_y = torch.arange(hu.shape[0])[:, None] - y.mean()
    grid_x = torch.arange(hu.shape[1]) - x.mean()
    half_radius = (body.sum() / math.pi).sqrt() / 2
    out: Tensor = body & (grid_y.square() + grid_x.square() <= half_radius.square())
    return out
