"""Filtered back-projection for parallel and fan beams (Kak and Slaney, 1988, chapter 3).

The ramp filter is sampled in space, where it is exact for band-limited data and keeps the mean
(eq. 3.61); windows multiply its spectrum:

    h(0) = 1/(4 a^2),   h(n a) = -1/(n pi a)^2 for odd n,   0 for even n

    parallel      f = sum_theta w  (p * h)(x cos theta + y sin theta)
    flat          f = sum_beta  w U^-2 (p R/sqrt(R^2 + s^2) * h)(s'),  cells scaled to the axis
    equiangular   f = sum_beta  w L^-2 (p R cos gamma * (gamma/sin gamma)^2 h)(gamma')

with the weights w of the views' angles: their share of half a turn (parallel), or half of their
share of a full turn (fan). A fan that turns by less, but by 180 degrees and its own opening at
least, sees some lines once and others twice; Parker's weights share those (``short_scan_weights``).
A detector that is offset, to see a wide object with a half of the fan, measures lines near the axis
twice and all others once: a smooth weight shares those (``offset_weights``).
Everything is differentiable.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from sciddm.physics.beams import Beam, FanBeam, quarter_turns

__all__ = [
    "WINDOWS",
    "Window",
    "filtered_back_projection",
    "is_offset",
    "offset_weights",
    "short_scan_weights",
]

Window = Literal["ram-lak", "shepp-logan", "cosine", "hann"]
WINDOWS: tuple[Window, ...] = ("ram-lak", "shepp-logan", "cosine", "hann")

_WIDEST_GAP = 4.0  # times the mean distance of views
_CENTRED_CELLS = 2.0  # a detector longer on one side by less, such as a quarter cell, is centred
_LEAST_OVERLAP = 4.0  # cells about the axis that are needed to share what is measured twice


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
            turn or at least half of one and the fan's opening; they need not be evenly spaced.
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
    scale = 1.0  # from the detector to where the filter is applied
    weight = torch.ones(beam.cells, dtype=torch.float64)
    if isinstance(beam, FanBeam):
        R = beam.source_axis_mm
        scale = (R if beam.detector == "flat" else 1.0) / beam.source_detector_mm
        weight = beam.fan_angles.cos() * (1.0 if beam.detector == "flat" else R)
    first, pitch = float(beam.positions[0]) * scale, beam.pitch_mm * scale
    curved = isinstance(beam, FanBeam) and beam.detector == "equiangular"
    shares, redundancy = _view_weights(beam)
    weighted = sinogram * (weight * redundancy).to(sinogram)
    # The ramp spreads beyond the shorter side, where the weight is 0 and an image is still seen.
    left, right = _missing_cells(beam)
    weighted, first = torch.nn.functional.pad(weighted, (left, right)), first - left * pitch
    filtered = _filtered(weighted, pitch, window, curved)
    # A zero on either side: outside of the detector nothing is known, and nothing is added.
    filtered = torch.nn.functional.pad(filtered * shares.to(sinogram)[:, None], (1, 1))
    return _back_projected(filtered, beam, shape, pixel_mm, first - pitch, pitch)


def _back_projected(
    filtered: Tensor,
    beam: Beam,
    shape: tuple[int, int],
    pixel_mm: float,
    first: float,
    pitch: float,
) -> Tensor:
    """The sum over the views of the filtered sinogram where they see each pixel.

    Views that repeat after quarter turns are taken together, since they see the turned image in
    the same places; with the images as the last axis every pixel's values lie together in memory.
    """
    batch, cells = filtered.shape[:-2], filtered.shape[-1]
    turns, sense = quarter_turns(beam.angles, shape)
    columns = filtered.reshape(-1, turns, beam.views // turns, cells).permute(2, 3, 1, 0).flatten(2)
    ny, nx = shape
    y = ((((ny - 1) / 2 - torch.arange(ny)) * pixel_mm)[:, None]).to(filtered)
    x = ((torch.arange(nx) - (nx - 1) / 2) * pixel_mm).to(filtered)
    image = filtered.new_zeros(ny * nx, columns.shape[-1])
    for line, angle in zip(columns, beam.angles, strict=False):  # the angles of one part
        s, factor = _seen_from(beam, x, y, angle)
        at = ((s - first) / pitch).clamp(0, cells - 1).flatten()
        low = at.floor().clamp(max=cells - 2)
        share = torch.stack([1 - (at - low), at - low], dim=1)
        if factor is not None:
            share = share * factor.reshape(-1, 1)
        both = torch.stack([low, low + 1], dim=1).int()
        # The weighted sum of two rows of a table: one pass over memory.
        image = image + embedding_bag(both, line, per_sample_weights=share, mode="sum")
    parts = image.reshape(ny, nx, turns, -1).permute(2, 3, 0, 1)
    # A turned view sees the image as the first one sees it turned back.
    back = (torch.rot90(part, sense * k, (-2, -1)) for k, part in enumerate(parts))
    return sum(back, torch.zeros_like(parts[0])).reshape(*batch, ny, nx)


def view_shares(angles: tuple[float, ...], period: float) -> Tensor:
    """The arc that each view stands for, half of the way to both of its neighbours; sum: period.

    Raises:
        ValueError: an arc without views.
    """
    _, order, gaps = _around(angles, period)
    if float(gaps.max()) > _WIDEST_GAP * period / len(angles):
        raise ValueError(
            f"no views over {math.degrees(float(gaps.max())):.0f} degrees: filtered "
            f"back-projection needs views over {math.degrees(period):.0f} degrees without a gap"
        )
    shares = torch.empty_like(gaps)
    shares[order] = (gaps + gaps.roll(1)) / 2
    return shares


def short_scan_weights(beam: FanBeam) -> tuple[Tensor, Tensor]:
    """Arcs and Parker's weights of a fan that turns by less than 360 degrees.

    The ray (beta, gamma) is measured again as (beta + pi + 2 gamma, -gamma). With beta from the
    start of the scan, which turns by pi + 2 d,

        w = sin^2(pi/4 beta / (d - gamma))                  beta < 2 (d - gamma)
        w = sin^2(pi/4 (pi + 2 d - beta) / (d + gamma))     beta > pi - 2 gamma
        w = 1                                               between,

    and the two weights of a line add up to 1. d is half the opening of the fan in Parker (1982);
    where the scan turns further, d grows with it (Silver, 2000).

    Returns:
        the arc that each view stands for (V,), their sum being the turn; w (V, D).

    Raises:
        ValueError: the scan turns by less than 180 degrees and the opening of the fan, or has gaps.
    """
    at, order, gaps = _around(beam.angles, 2 * math.pi)
    last = int(gaps.argmax())  # the scan ends before its widest gap
    order, gaps = order.roll(-1 - last), gaps.roll(-1 - last)[:-1]
    ahead, behind = torch.cat([gaps, gaps[-1:]]), torch.cat([gaps[:1], gaps])
    shares = torch.empty_like(ahead)
    shares[order] = (ahead + behind) / 2
    turn = float(shares.sum())
    half = float(beam.fan_angles.abs().max())
    needed = math.pi + 2 * half
    if turn < needed - 1e-6 or float(gaps.max()) > _WIDEST_GAP * turn / len(gaps):
        raise ValueError(
            f"views over {math.degrees(turn):.0f} degrees, and no views over "
            f"{360 - math.degrees(turn):.0f}: filtered back-projection needs "
            f"{math.degrees(needed):.0f} degrees for this fan, without a gap"
        )
    d = (turn - math.pi) / 2
    beta = (at - at[order[0]]).remainder(2 * math.pi) + shares[order[0]] / 2
    beta, gamma = beta[:, None], beam.fan_angles
    rising = (math.pi / 4 * beta / (d - gamma).clamp(min=1e-9)).clamp(max=math.pi / 2)
    falling = math.pi / 4 * (math.pi + 2 * d - beta) / (d + gamma).clamp(min=1e-9)
    weights = rising.sin() ** 2 * falling.clamp(max=math.pi / 2).sin() ** 2
    return shares, weights


def is_offset(beam: Beam) -> bool:
    """Whether the detector reaches further on one side of the central ray than on the other."""
    low, high = float(beam.positions.min()), float(beam.positions.max())
    return abs(low + high) > _CENTRED_CELLS * beam.pitch_mm


def _missing_cells(beam: Beam) -> tuple[int, int]:
    """How many cells an offset detector lacks on either side to be centred."""
    if not is_offset(beam):
        return 0, 0
    lacking = round(abs(float(beam.positions.min() + beam.positions.max())) / beam.pitch_mm)
    return (lacking, 0) if float(beam.positions.sum()) > 0 else (0, lacking)


def offset_weights(beam: Beam) -> Tensor:
    """Weights of the cells of an offset detector that turns by 360 degrees.

    A line at gamma is measured again at -gamma, where the detector has a cell there. With g the
    angle (parallel: the distance) that the shorter side reaches and e = 1 for a longer side of
    positive gamma, else -1,

        w = 1 + sin(pi/2 e gamma / g)     |gamma| < g
        w = 2                             e gamma >= g
        w = 0                             e gamma <= -g

    so that w(gamma) + w(-gamma) = 2 (Wang, 2002).

    Returns:
        (D,); 1 for a detector that is centred.

    Raises:
        ValueError: the detector does not see the axis of rotation.
    """
    if not is_offset(beam):
        return torch.ones(beam.cells, dtype=torch.float64)
    at = beam.fan_angles if isinstance(beam, FanBeam) else beam.positions
    reach = min(-float(beam.positions.min()), float(beam.positions.max()))
    if reach < _LEAST_OVERLAP * beam.pitch_mm:
        raise ValueError(
            f"the detector is offset by {beam.offset_mm:g} mm and sees too little beyond the axis "
            "of rotation for filtered back-projection: take an iterative method"
        )
    shorter = min(-float(at.min()), float(at.max()))
    side = 1.0 if float(beam.positions.sum()) > 0 else -1.0
    return 1 + (math.pi / 2 * (side * at / shorter).clamp(-1, 1)).sin()


def _around(angles: tuple[float, ...], period: float) -> tuple[Tensor, Tensor, Tensor]:
    """Angles within a period, their order, and in that order the gap after each."""
    at = torch.tensor(angles, dtype=torch.float64) % period
    order = at.argsort()
    return at, order, at[order].diff(append=at[order][:1] + period)


def _view_weights(beam: Beam) -> tuple[Tensor, Tensor]:
    """The arc of every view (V,), and what its rays count where a line is measured twice."""
    if not isinstance(beam, FanBeam):
        if is_offset(beam):
            view_shares(beam.angles, 2 * math.pi)  # both sides of every line are needed
        return view_shares(beam.angles, math.pi), offset_weights(beam)
    *_, gaps = _around(beam.angles, 2 * math.pi)
    others = float(gaps.sum() - gaps.max()) / max(len(gaps) - 1, 1)
    if len(gaps) > 2 and float(gaps.max()) > _WIDEST_GAP * others:
        if is_offset(beam):
            raise ValueError(
                f"the detector is offset by {beam.offset_mm:g} mm and turns by less than 360 "
                "degrees: lines are missing, take an iterative method"
            )
        return short_scan_weights(beam)
    return view_shares(beam.angles, 2 * math.pi), offset_weights(beam) / 2


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
    out: Tensor = torch.fft.irfft(spectrum * response, size)[..., :cells]
    return out
