"""Filtered back-projection for parallel and fan beams (Kak and Slaney, 1988, chapter 3).

The ramp filter is sampled in space, where it is exact for band-limited data and keeps the mean
(eq. 3.61); windows multiply its spectrum:

    h(0) = 1/(4 a^2),   h(n a) = -1/(n pi a)^2 for odd n,   0 for even n

    parallel      f = sum_theta w  (p * h)(x cos theta + y sin theta)
    flat          f = sum_beta  w U^-2 (p R/sqrt(R^2 + s^2) * h)(s'),  cells scaled to the axis
    equiangular   f = sum_beta  w L^-2 (p R cos gamma * (gamma/sin gamma)^2 h)(gamma')

with the weights w of the views' angles: their share of half a turn (parallel), or half of their
share of a full turn (fan). Everything is differentiable.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from sciddm.physics.beams import Beam, FanBeam

__all__ = ["WINDOWS", "Window", "filtered_back_projection"]

Window = Literal["ram-lak", "shepp-logan", "cosine", "hann"]
WINDOWS: tuple[Window, ...] = ("ram-lak", "shepp-logan", "cosine", "hann")

_WIDEST_GAP = 4.0  # times the mean distance of views


def filtered_back_projection(
    sinogram: Tensor,
    beam: Beam,
    shape: tuple[int, int],
    pixel_mm: float,
    *,
    window: Window = "ram-lak",
) -> Tensor:
    """The image of a sinogram.

    Args:
        sinogram: (..., V, D), line integrals.
        beam: its rays. The views of parallel rays cover half a turn or more, those of a fan a full
            turn; they need not be evenly spaced.
        shape: (ny, nx) of the image, laid out as in ``Projector``.
        pixel_mm: size of the square pixels.
        window: on the ramp's spectrum, f in units of the Nyquist frequency: 1 (ram-lak),
            sinc(f/2) (shepp-logan), cos(pi f/2) (cosine), (1 + cos(pi f))/2 (hann).

    Returns:
        (..., ny, nx): value per mm.

    Raises:
        ValueError: the sinogram does not fit the beam, or views are missing over an arc.
    """
    if sinogram.shape[-2:] != (beam.views, beam.cells):
        raise ValueError(
            f"a sinogram of {tuple(sinogram.shape[-2:])} for {beam.views} views of {beam.cells}"
        )
    fan = isinstance(beam, FanBeam)
    scale = 1.0  # from the detector to where the filter is applied
    weight = torch.ones(beam.cells, dtype=torch.float64)
    if isinstance(beam, FanBeam):
        R = beam.source_axis_mm
        scale = (R if beam.detector == "flat" else 1.0) / beam.source_detector_mm
        weight = beam.fan_angles.cos() * (1.0 if beam.detector == "flat" else R)
    first, pitch = float(beam.positions[0]) * scale, beam.pitch_mm * scale
    curved = isinstance(beam, FanBeam) and beam.detector == "equiangular"
    filtered = _filtered(sinogram * weight.to(sinogram), pitch, window, curved)
    shares = view_shares(beam.angles, 2 * math.pi if fan else math.pi) * (0.5 if fan else 1.0)
    # A zero on either side: outside of the detector nothing is known, and nothing is added.
    filtered = torch.nn.functional.pad(filtered * shares.to(sinogram)[:, None], (1, 1))

    ny, nx = shape
    y = ((((ny - 1) / 2 - torch.arange(ny)) * pixel_mm)[:, None]).to(sinogram)
    x = ((torch.arange(nx) - (nx - 1) / 2) * pixel_mm).to(sinogram)
    image = sinogram.new_zeros(*sinogram.shape[:-2], ny, nx)
    for view, angle in enumerate(beam.angles):
        s, factor = _seen_from(beam, x, y, angle)
        at = ((s - first) / pitch + 1).clamp(0, beam.cells + 1)
        low = at.floor().clamp(max=beam.cells)
        share, low = at - low, low.long()
        line = filtered[..., view, :]
        value = torch.lerp(line[..., low], line[..., low + 1], share)
        image = image + (value if factor is None else value * factor)
    return image


def view_shares(angles: tuple[float, ...], period: float) -> Tensor:
    """The arc that each view stands for, half of the way to both of its neighbours; sum: period.

    Raises:
        ValueError: an arc without views.
    """
    at = torch.tensor(angles, dtype=torch.float64) % period
    order = at.argsort()
    gaps = at[order].diff(append=at[order][:1] + period)
    if float(gaps.max()) > _WIDEST_GAP * period / len(angles):
        raise ValueError(
            f"no views over {math.degrees(float(gaps.max())):.0f} degrees: filtered "
            f"back-projection needs views over {math.degrees(period):.0f} degrees without a gap"
        )
    shares = torch.empty_like(at)
    shares[order] = (gaps + gaps.roll(1)) / 2
    return shares


def _seen_from(beam: Beam, x: Tensor, y: Tensor, angle: float) -> tuple[Tensor, Tensor | None]:
    """Where the pixels are on the (scaled) detector, and what their value is multiplied with."""
    s = x * math.cos(angle) + y * math.sin(angle)
    if not isinstance(beam, FanBeam):
        return s, None
    depth = beam.source_axis_mm + x * math.sin(angle) - y * math.cos(angle)
    if float(depth.min()) <= 0:
        raise ValueError("the image reaches beyond the source: make its field of view smaller")
    if beam.detector == "flat":
        u = depth / beam.source_axis_mm
        return s / u, u**-2
    return torch.atan2(s, depth), 1 / (s**2 + depth**2)


def _filtered(sinogram: Tensor, pitch: float, window: Window, curved: bool) -> Tensor:
    """The convolution with the ramp, linear, not circular."""
    cells = sinogram.shape[-1]
    size = 2 ** math.ceil(math.log2(max(2 * cells, 2)))
    n = torch.fft.fftfreq(size, 1 / size, dtype=torch.float64).round()
    kernel = torch.where(n.remainder(2) == 1, -1 / (math.pi * pitch * n) ** 2, 0.0)
    kernel[0] = 1 / (4 * pitch**2)
    if curved:  # only angles within the detector's extent occur, the others meet zeros
        gamma = (n * pitch).clamp(-math.pi / 2, math.pi / 2)
        kernel = kernel / torch.sinc(gamma / math.pi) ** 2
    f = torch.fft.rfftfreq(size, dtype=torch.float64) * 2
    try:
        shape = {
            "ram-lak": torch.ones_like(f),
            "shepp-logan": torch.sinc(f / 2),
            "cosine": (math.pi * f / 2).cos(),
            "hann": (1 + (math.pi * f).cos()) / 2,
        }[window]
    except KeyError:
        raise ValueError(f"no window {window!r}: choose from {', '.join(WINDOWS)}") from None
    response = (torch.fft.rfft(kernel).real * shape * pitch).to(sinogram)
    spectrum = torch.fft.rfft(sinogram, size)
    return torch.fft.irfft(spectrum * response, size)[..., :cells]
